/** Endpoints and exchanges for the balancers' tests. */
import type { Exchange } from '../../../plugin/exchange.ts';
import type { BalancedEndpoint } from './balancer.ts';

/** `weights`: one endpoint each, on 10.0.0.1, 10.0.0.2, … */
export function endpointsOf(...weights: readonly number[]): BalancedEndpoint[] {
  return weights.map((weight, index) => {
    const host = `10.0.${Math.floor(index / 250)}.${(index % 250) + 1}`;
    return {
      host,
      port: 80,
      address: host,
      label: `${host}:80`,
      weight,
      priority: 0,
      active: 0,
      ewmaMs: 0,
      touchedAt: 0,
    };
  });
}

/** An exchange of which only the client's address is ever read. */
export function exchangeFrom(remoteAddress: string): Exchange {
  return { remoteAddress } as Exchange;
}
