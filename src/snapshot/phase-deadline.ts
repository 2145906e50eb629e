/**
 * The phases of a plugin that has a deadline: a promise that does not settle in time ends its request with 504, and what is no reply
 * is not taken for one. Only plugins with `timeoutMs` pay for it; a phase that returns nothing pays two comparisons.
 */
import { GatewayError } from '../errors/gateway-error.ts';
import type { Exchange } from '../plugin/exchange.ts';
import type { MaybeAsync, PhaseResult, Reply } from '../plugin/plugin.ts';

type Phase = (exchange: Exchange) => MaybeAsync;

/** `what`: plugin and phase, for the log. */
export function withDeadline(run: Phase, what: string, limitMs: number): Phase {
  return (exchange) => {
    const result: unknown = run(exchange);
    if (result === undefined) return undefined;
    return isThenable(result) ? settled(result, what, limitMs) : replyOf(result, what);
  };
}

function settled(result: PromiseLike<unknown>, what: string, limitMs: number): Promise<PhaseResult> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new GatewayError('PLUGIN_TIMEOUT', `${what} did not end within ${limitMs} ms`));
    }, limitMs);
    result.then(
      (value) => {
        clearTimeout(timer);
        try {
          resolve(value === undefined ? undefined : replyOf(value, what));
        } catch (error) {
          reject(asError(error));
        }
      },
      (error: unknown) => {
        clearTimeout(timer);
        reject(asError(error));
      },
    );
  });
}

function replyOf(value: unknown, what: string): Reply {
  const { status } = (value ?? {}) as { status?: unknown };
  if (typeof status === 'number' && Number.isInteger(status) && status >= 200 && status <= 599) return value as Reply;
  throw new TypeError(
    `${what} returned what is no reply: nothing lets the request pass, { status: 403, body: … } ends it (status from 200 to 599)`,
  );
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null)?.then === 'function';
}
