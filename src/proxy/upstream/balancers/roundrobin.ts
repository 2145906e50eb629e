/**
 * Smooth weighted round robin, as nginx does it: each pick raises every endpoint's current value by its weight, takes the
 * highest, and lowers that one by the total; so an endpoint's turns are spread over the cycle, not bunched.
 * Endpoints of equal weight need no such values: a cursor gives the same order in O(1).
 * The starting point is random, so that many workers do not all begin at the first node.
 */
import type { BalancedEndpoint, Balancer, BalancerDeps } from './balancer.ts';

/** Bound on the picks made ahead to reach the random starting point. */
const maxAdvance = 1000;

export function createRoundrobin(endpoints: readonly BalancedEndpoint[], deps: BalancerDeps): Balancer {
  const weight = endpoints[0]?.weight;
  return endpoints.every((endpoint) => endpoint.weight === weight) ? cyclic(endpoints, deps) : smooth(endpoints, deps);
}

function cyclic(endpoints: readonly BalancedEndpoint[], { random }: BalancerDeps): Balancer {
  const count = endpoints.length;
  let cursor = Math.floor(random() * count);
  return {
    pick(_exchange, tried) {
      for (let step = 0; step < count; step++) {
        const endpoint = endpoints[cursor];
        cursor = cursor + 1 === count ? 0 : cursor + 1;
        if (endpoint !== undefined && (tried.length === 0 || !tried.includes(endpoint))) return endpoint;
      }
      return undefined;
    },
  };
}

function smooth(endpoints: readonly BalancedEndpoint[], { random }: BalancerDeps): Balancer {
  const states = endpoints.map((endpoint) => ({ endpoint, weight: endpoint.weight, current: 0 }));
  const total = states.reduce((sum, { weight }) => sum + weight, 0);

  // nginx: a tried endpoint neither gains nor counts in the total of that pick.
  function pick(tried: readonly unknown[]): BalancedEndpoint | undefined {
    let best: (typeof states)[number] | undefined;
    let sum = 0;
    for (const state of states) {
      if (tried.length > 0 && tried.includes(state.endpoint)) continue;
      state.current += state.weight;
      sum += state.weight;
      if (best === undefined || state.current > best.current) best = state;
    }
    if (best === undefined) return undefined;
    best.current -= sum;
    return best.endpoint;
  }

  const untried: readonly unknown[] = [];
  for (let ahead = Math.floor(random() * Math.min(total, maxAdvance)); ahead > 0; ahead--) pick(untried);
  return { pick: (_exchange, tried) => pick(tried) };
}
