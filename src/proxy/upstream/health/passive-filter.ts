/**
 * A worker's part of passive health checks: decides which outcomes the control plane must hear, which are those that can
 * change a node's health. While a node is plainly healthy its successes cost a look-up; only failures become messages.
 */
import type { GatewayError } from '../../../errors/gateway-error.ts';
import type { Upstream } from '../../../resources/upstream.ts';
import { compileChecks } from './checks.ts';
import type { HealthView } from './health-view.ts';
import type { PassiveOutcome } from './node-health.ts';

/**
 * `result`: the status that the node answered, or the error that the attempt ended with. Undefined: nothing to report.
 */
export type PassiveFilter = (label: string, result: number | GatewayError) => PassiveOutcome | undefined;

/** Undefined where the upstream has no passive checks. */
export function compilePassiveFilter(key: string, upstream: Upstream, view: HealthView): PassiveFilter | undefined {
  const passive = upstream.checks && compileChecks(upstream.checks).passive;
  if (passive === undefined) return undefined;
  const { healthyStatuses, unhealthyStatuses } = passive;
  return (label, result) => {
    const success = typeof result === 'number' && healthyStatuses.has(result);
    // Another success of a healthy node, or failure of an unhealthy one, changes nothing.
    if (view.isSettled(key, label) && view.isHealthy(key, label) === success) return undefined;
    if (typeof result !== 'number') return outcomeOf(result);
    return success || unhealthyStatuses.has(result) ? { kind: 'status', status: result } : undefined;
  };
}

/** Undefined for what is not the node's doing. */
function outcomeOf({ code, source }: GatewayError): PassiveOutcome | undefined {
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
