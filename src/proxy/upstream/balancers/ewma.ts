/**
 * Two endpoints at random, then the one whose exponentially decaying average latency is lower (APISIX: ewma, decay 10 s).
 * An endpoint without traffic decays towards 0, so a slow one is asked again after a while. Weights do not matter here.
 * APISIX: a failed attempt counts as a slow one, lest an endpoint that refuses at once looks like the fastest.
 */
import type { BalancedEndpoint, Balancer, BalancerDeps, Endpoint, Outcome } from './balancer.ts';

/** Milliseconds after which an old average weighs 1/e. */
const decayMs = 10_000;
/** What a failure counts at least, in milliseconds. */
const failureMs = 1000;

export function createEwma(endpoints: readonly BalancedEndpoint[], { random, now }: BalancerDeps): Balancer {
  return {
    pick(_exchange, tried) {
      const candidates = tried.length === 0 ? endpoints : endpoints.filter((endpoint) => !includes(tried, endpoint));
      const count = candidates.length;
      if (count < 2) return candidates[0];
      const first = Math.floor(random() * count);
      const other = Math.floor(random() * (count - 1));
      const a = candidates[first];
      const b = candidates[other < first ? other : other + 1];
      if (a === undefined || b === undefined) return a ?? b;
      const time = now();
      return scoreAt(a, time) > scoreAt(b, time) ? b : a;
    },
  };
}

/** Adds an outcome to the endpoint's average. The first one is taken as it is. */
export function recordLatency(endpoint: BalancedEndpoint, outcome: Outcome, time: number): void {
  const latencyMs = outcome.failed ? Math.max(outcome.latencyMs, failureMs) : outcome.latencyMs;
  const keep = endpoint.touchedAt === 0 ? 0 : Math.exp(-Math.max(time - endpoint.touchedAt, 0) / decayMs);
  endpoint.ewmaMs = endpoint.ewmaMs * keep + latencyMs * (1 - keep);
  endpoint.touchedAt = time;
}

function scoreAt(endpoint: BalancedEndpoint, time: number): number {
  return endpoint.ewmaMs * Math.exp(-Math.max(time - endpoint.touchedAt, 0) / decayMs);
}

function includes(tried: readonly Endpoint[], endpoint: Endpoint): boolean {
  return tried.includes(endpoint);
}
