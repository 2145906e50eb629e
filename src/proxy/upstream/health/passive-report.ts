/**
 * A worker's part of passive health checks: tells the control plane of outcomes that can change a node's health, and of no
 * other. While a node is plainly healthy its successes cost one set look-up; only failures become messages.
 */
import type { GatewayError } from '../../../errors/gateway-error.ts';
import type { Upstream } from '../../../resources/upstream.ts';
import { compileChecks } from './checks.ts';
import type { HealthView } from './health-view.ts';
import type { NodeOutcome } from './node-health.ts';

/** From a worker to the control plane, for HealthMonitor.report. Structured-cloneable. */
export interface PassiveReportMessage {
  readonly type: 'health_report';
  readonly key: string;
  readonly label: string;
  readonly outcome: NodeOutcome;
}

/** `result`: the status that the node answered, or the error that the attempt ended with. */
export type PassiveReporter = (label: string, result: number | GatewayError) => void;

/** Undefined where the upstream has no passive checks. */
export function compilePassiveReporter(
  key: string,
  upstream: Upstream,
  view: HealthView,
  send: (message: PassiveReportMessage) => void,
): PassiveReporter | undefined {
  const passive = upstream.checks && compileChecks(upstream.checks).passive;
  if (passive === undefined) return undefined;
  const { healthyStatuses, unhealthyStatuses } = passive;
  return (label, result) => {
    const outcome = typeof result === 'number' ? ({ kind: 'status', status: result } as const) : outcomeOf(result);
    if (outcome === undefined) return;
    const success = outcome.kind === 'status' && healthyStatuses.has(outcome.status);
    if (outcome.kind === 'status' && !success && outcome.status !== 0 && !unhealthyStatuses.has(outcome.status)) {
      return;
    }
    // Another success of a healthy node, or failure of an unhealthy one, changes nothing.
    if (view.isSettled(key, label) && view.isHealthy(key, label) === success) return;
    send({ type: 'health_report', key, label, outcome });
  };
}

/** Undefined for what is not the node's doing. */
function outcomeOf({ code, source }: GatewayError): NodeOutcome | undefined {
  if (source !== 'upstream') return undefined;
  switch (code) {
    case 'UPSTREAM_CONNECT_TIMEOUT':
    case 'UPSTREAM_SEND_TIMEOUT':
    case 'UPSTREAM_READ_TIMEOUT':
      return { kind: 'timeout' };
    case 'UPSTREAM_MALFORMED':
      return { kind: 'status', status: 0 };
    default:
      return { kind: 'connect_failed' };
  }
}
