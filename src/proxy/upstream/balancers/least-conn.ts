/**
 * The endpoint of the lowest (active + 1) / weight, as APISIX documents least_conn; `active` counts the requests of this
 * worker that were picked and are not done. Endpoints that tie take turns.
 */
import type { BalancedEndpoint, Balancer, BalancerDeps } from './balancer.ts';

export function createLeastConn(endpoints: readonly BalancedEndpoint[], { random }: BalancerDeps): Balancer {
  const count = endpoints.length;
  let start = Math.floor(random() * count);
  return {
    pick(_exchange, tried) {
      let best: BalancedEndpoint | undefined;
      let bestScore = Infinity;
      let bestIndex = 0;
      for (let step = 0, index = start; step < count; step++, index = index + 1 === count ? 0 : index + 1) {
        const endpoint = endpoints[index];
        if (endpoint === undefined || (tried.length > 0 && tried.includes(endpoint))) continue;
        const score = (endpoint.active + 1) / endpoint.weight;
        if (score < bestScore) {
          best = endpoint;
          bestScore = score;
          bestIndex = index;
        }
      }
      if (best !== undefined) start = bestIndex + 1 === count ? 0 : bestIndex + 1;
      return best;
    },
  };
}
