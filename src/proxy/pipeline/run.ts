/**
 * Runs the steps of a phase in order. Synchronous until a handler returns a promise.
 * Fails closed: a handler that throws ends the request with 500 and a log line that names the plugin.
 */
import { GatewayError } from '../../errors/gateway-error.ts';
import type { Reply } from '../../plugin/plugin.ts';
import type { ProxyExchange } from '../exchange.ts';
import type { Step } from './compiled.ts';

export interface StepObserver {
  /** A step ended: 'passed', 'refused', 'failed' or 'skipped' (its `_meta.filter` did not match). */
  onStep(step: Step, verdict: 'passed' | 'refused' | 'failed' | 'skipped', reply: Reply | undefined): void;
  /** The step that has not ended yet says something of itself. */
  onNote(text: string): void;
}

export interface FailureLog {
  pluginFailed(name: string, phase: string, error: unknown): void;
}

/** Undefined: all steps let the request pass. */
export function runSteps(
  steps: readonly Step[],
  exchange: ProxyExchange,
  observer: StepObserver | undefined,
  log: FailureLog,
  from = 0,
): Reply | undefined | Promise<Reply | undefined> {
  for (let i = from; i < steps.length; i++) {
    const step = steps[i] as Step;
    const { filter } = step.plugin;
    let result;
    try {
      if (filter !== undefined && !filter(exchange)) {
        observer?.onStep(step, 'skipped', undefined);
        continue;
      }
      result = step.run(exchange);
    } catch (error) {
      return failed(step, error, observer, log);
    }
    if (result === undefined) {
      observer?.onStep(step, 'passed', undefined);
      continue;
    }
    if (result instanceof Promise) {
      return result.then(
        (reply) => {
          // The client is gone and the log phase is over: a later step would take what nobody gives back.
          if (exchange.finished) return undefined;
          if (reply !== undefined) return refused(step, reply, observer);
          observer?.onStep(step, 'passed', undefined);
          return runSteps(steps, exchange, observer, log, i + 1);
        },
        (error: unknown) => failed(step, error, observer, log),
      );
    }
    return refused(step, result, observer);
  }
  return undefined;
}

function refused(step: Step, reply: Reply, observer: StepObserver | undefined): Reply {
  observer?.onStep(step, 'refused', reply);
  const { errorResponse } = step.plugin;
  const reason = reply.reason ?? `${step.plugin.name}.reply`;
  if (errorResponse !== undefined && reply.status >= 400) return { ...reply, reason, body: errorResponse };
  return reply.reason === undefined ? { ...reply, reason } : reply;
}

function failed(step: Step, error: unknown, observer: StepObserver | undefined, log: FailureLog): Reply {
  const failure =
    error instanceof GatewayError ? error : new GatewayError('PLUGIN_FAILED', step.plugin.name, { cause: error });
  // What is wrong with the request (its body is too large, or no JSON) is no failure of the plugin that read it.
  const ofClient = failure.source === 'client';
  if (!ofClient) log.pluginFailed(step.plugin.name, step.phase, error);
  const reply: Reply = {
    status: failure.status,
    body: { error_msg: failure.publicMessage },
    reason: `${step.plugin.name}.failed`,
    detail: ofClient ? failure.message : failure.code,
  };
  observer?.onStep(step, 'failed', reply);
  return reply;
}
