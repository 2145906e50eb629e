/**
 * What a balancing algorithm is given and what it answers. One balancer stands for the usable endpoints of one priority
 * group; it is made anew when the group changes, so whatever must outlive that is kept on the endpoint itself.
 * Invariant: a balancer never returns an endpoint that is in `tried`.
 */
import type { Exchange } from '../../../plugin/exchange.ts';
import type { Upstream } from '../../../resources/upstream.ts';
import { createChash } from './chash.ts';
import { createEwma } from './ewma.ts';
import { createLeastConn } from './least-conn.ts';
import { createRoundrobin } from './roundrobin.ts';

/** One address that requests can go to. The same object for as long as its target has it. */
export interface Endpoint {
  /** As configured: name or address; an IPv6 address is without brackets. */
  readonly host: string;
  readonly port: number;
  /** IP address to connect to. */
  readonly address: string;
  /** `host:port` as configured, IPv6 in brackets; what health states and logs are keyed by. */
  readonly label: string;
  /** The node's weight, divided by the number of addresses that its name has. Above 0. */
  readonly weight: number;
  /** Higher is tried first. */
  readonly priority: number;
}

/** An endpoint with what algorithms remember of it. */
export interface BalancedEndpoint extends Endpoint {
  weight: number;
  /** Requests picked and not yet done. */
  active: number;
  /** Decaying average of latencies, in ms, as of `touchedAt` (ms of the clock; 0: never). */
  ewmaMs: number;
  touchedAt: number;
}

export interface Outcome {
  readonly latencyMs: number;
  readonly failed: boolean;
}

export interface Balancer {
  /** Undefined when every endpoint was tried. */
  pick(exchange: Exchange, tried: readonly Endpoint[]): BalancedEndpoint | undefined;
}

export interface BalancerDeps {
  /** What a request is hashed by (chash). */
  readonly hashKey: (exchange: Exchange) => string;
  /** In [0, 1). */
  readonly random: () => number;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
}

/** `endpoints`: at least one, each of a weight above 0; kept, not copied. An upstream without type is roundrobin. */
export function createBalancer(
  type: Upstream['type'],
  endpoints: readonly BalancedEndpoint[],
  deps: BalancerDeps,
): Balancer {
  switch (type) {
    case 'chash':
      return createChash(endpoints, deps);
    case 'least_conn':
      return createLeastConn(endpoints, deps);
    case 'ewma':
      return createEwma(endpoints, deps);
    case 'roundrobin':
    case undefined:
      return createRoundrobin(endpoints, deps);
  }
}
