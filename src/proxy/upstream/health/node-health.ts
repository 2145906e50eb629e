/**
 * One node's health: four counters and the status they lead to, as APISIX counts (control API: /v1/healthcheck).
 *
 *   healthy ──failure──→ mostly_healthy ──limit of one kind──→ unhealthy
 *      ↑                      │                                   │ success
 *      └──limit of successes──┴──────────────── mostly_unhealthy ←┘
 *
 * A success clears the failures and a failure the successes, so only outcomes in a row count. What a settled status
 * already says is not counted again. Invariant: traffic goes to healthy and mostly_healthy.
 */
import type { Thresholds } from './checks.ts';

export type NodeStatus = 'healthy' | 'mostly_healthy' | 'unhealthy' | 'mostly_unhealthy';

/** What a request told of a node. Status 0: what came was not HTTP. Structured-cloneable. */
export type PassiveOutcome =
  | { readonly kind: 'status'; readonly status: number }
  | { readonly kind: 'connect_failed' }
  | { readonly kind: 'timeout' };

/** The same of a probe; `success` is a TCP connection that only had to be made. */
export type NodeOutcome = PassiveOutcome | { readonly kind: 'success' };

export interface NodeHealth {
  status: NodeStatus;
  readonly counter: { success: number; http_failure: number; tcp_failure: number; timeout_failure: number };
}

export function createNodeHealth(): NodeHealth {
  return {
    status: 'healthy',
    counter: { success: 0, http_failure: 0, tcp_failure: 0, timeout_failure: 0 },
  };
}

export function isHealthy(status: NodeStatus): boolean {
  return status === 'healthy' || status === 'mostly_healthy';
}

/** False while counters run that may change the health. */
export function isSettled(status: NodeStatus): boolean {
  return status === 'healthy' || status === 'unhealthy';
}

/** Counts the outcome. True when the status changed. */
export function recordOutcome(node: NodeHealth, outcome: NodeOutcome, thresholds: Thresholds): boolean {
  const counted = classify(outcome, thresholds);
  if (counted === undefined || counted.limit === 0) return false;
  const before = node.status;
  const verdict = counted.kind === 'success' ? 'healthy' : 'unhealthy';
  if (before === verdict) return false;
  const { counter } = node;
  if (counted.kind === 'success') {
    counter.http_failure = counter.tcp_failure = counter.timeout_failure = 0;
  } else {
    counter.success = 0;
  }
  counter[counted.kind]++;
  if (counter[counted.kind] >= counted.limit) node.status = verdict;
  else if (before === 'healthy') node.status = 'mostly_healthy';
  else if (before === 'unhealthy') node.status = 'mostly_unhealthy';
  return node.status !== before;
}

/** The counter that an outcome raises and its limit; undefined for a status that is in neither list. */
function classify(
  outcome: NodeOutcome,
  thresholds: Thresholds,
): { kind: keyof NodeHealth['counter']; limit: number } | undefined {
  switch (outcome.kind) {
    case 'success':
      return { kind: 'success', limit: thresholds.successes };
    case 'connect_failed':
      return { kind: 'tcp_failure', limit: thresholds.tcpFailures };
    case 'timeout':
      return { kind: 'timeout_failure', limit: thresholds.timeouts };
    case 'status':
      if (thresholds.healthyStatuses.has(outcome.status)) return { kind: 'success', limit: thresholds.successes };
      if (outcome.status === 0 || thresholds.unhealthyStatuses.has(outcome.status)) {
        return { kind: 'http_failure', limit: thresholds.httpFailures };
      }
      return undefined;
  }
}
