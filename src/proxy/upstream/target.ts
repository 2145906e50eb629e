/**
 * An upstream as the forwarding sees it: which endpoint takes this request, and the next one when that failed.
 * Joins the nodes, their addresses, their health and a balancer for each priority group. Between the pipeline and the pool.
 * Invariant: nothing is built before the first pick or ready, and only a change of health or addresses builds anew.
 */
import type { GatewayError } from '../../errors/gateway-error.ts';
import type { Exchange } from '../../plugin/exchange.ts';
import type { Upstream } from '../../resources/upstream.ts';
import { createBalancer, type BalancedEndpoint, type Balancer, type BalancerDeps } from './balancers/balancer.ts';
import type { Endpoint, Outcome } from './balancers/balancer.ts';
import { recordLatency } from './balancers/ewma.ts';
import { compileHashKey } from './balancers/hash-key.ts';
import { systemClock, type Clock } from './discovery/clock.ts';
import type { NameResolver, ResolvedName } from './discovery/name-resolver.ts';
import { parseNodes, type Node } from './discovery/nodes.ts';
import type { HealthView } from './health/health-view.ts';
import type { PassiveOutcome } from './health/node-health.ts';
import { compilePassiveFilter, type PassiveFilter } from './health/passive-filter.ts';

export type { Endpoint, Outcome } from './balancers/balancer.ts';

export interface UpstreamTarget {
  /**
   * An endpoint that is not in `tried`, or undefined when there is none. Every endpoint that was picked must come back in
   * `done`, once. Where all nodes are unhealthy all are used (APISIX: health-check).
   */
  pick(exchange: Exchange, tried: readonly Endpoint[]): Endpoint | undefined;
  /** A request to the endpoint ended. */
  done(endpoint: Endpoint, outcome: Outcome): void;
  /**
   * To ask before each request's first pick. Undefined when ready; otherwise resolves, never rejects, when there is an
   * endpoint or every name was tried. Also keeps the names in use resolved.
   */
  ready(): Promise<void> | undefined;
  /** Endpoints that may take traffic; before any name is resolved, nodes that may. */
  readonly nodeCount: number;
  /**
   * What the control plane must hear (HealthMonitor.report) of an attempt that ended with this status or error; undefined
   * where it has no passive checks or would learn nothing new.
   */
  passiveOutcome(endpoint: Endpoint, result: number | GatewayError): PassiveOutcome | undefined;
  /** The target was replaced. Requests in flight may go on using it. */
  dispose(): void;
}

export interface TargetDeps {
  /** The resource that holds the upstream, as health is reported by: `upstreams/1`, `routes/1`. */
  readonly key: string;
  readonly resolver: NameResolver;
  readonly health: HealthView;
  /** Name without `$` → its value in an exchange. */
  readonly compileVariable: (name: string) => (exchange: Exchange) => string | undefined;
  readonly random?: () => number;
  readonly clock?: Clock;
}

/** Cheap: keeps its arguments and nothing else until it is used. `upstream` has passed its schema. */
export function createTarget(upstream: Upstream, deps: TargetDeps): UpstreamTarget {
  return new LazyTarget(upstream, deps);
}

const noBalancers: readonly Balancer[] = [];

class LazyTarget implements UpstreamTarget {
  readonly #upstream: Upstream;
  readonly #deps: TargetDeps;
  #built: BuiltTarget | undefined;

  constructor(upstream: Upstream, deps: TargetDeps) {
    this.#upstream = upstream;
    this.#deps = deps;
  }

  pick(exchange: Exchange, tried: readonly Endpoint[]): Endpoint | undefined {
    return (this.#built ??= new BuiltTarget(this.#upstream, this.#deps)).pick(exchange, tried);
  }

  done(endpoint: Endpoint, outcome: Outcome): void {
    this.#built?.done(endpoint as BalancedEndpoint, outcome);
  }

  ready(): Promise<void> | undefined {
    return (this.#built ??= new BuiltTarget(this.#upstream, this.#deps)).ready();
  }

  get nodeCount(): number {
    return (this.#built ??= new BuiltTarget(this.#upstream, this.#deps)).nodeCount;
  }

  passiveOutcome(endpoint: Endpoint, result: number | GatewayError): PassiveOutcome | undefined {
    return this.#built?.passiveFilter?.(endpoint.label, result);
  }

  dispose(): void {
    // Names expire in the resolver by themselves; requests in flight may still pick and retry.
  }
}

class BuiltTarget {
  readonly #upstream: Upstream;
  readonly #key: string;
  readonly #resolver: NameResolver;
  readonly #health: HealthView;
  readonly #clock: Clock;
  readonly #balancerDeps: BalancerDeps;
  /** Weight above 0 only. */
  readonly #nodes: readonly Node[];
  readonly #names: readonly ResolvedName[];
  readonly #hasChecks: boolean;
  readonly passiveFilter: PassiveFilter | undefined;
  /** By label and address: an endpoint outlives rebuilding, and so does what algorithms remember of it. */
  #endpoints = new Map<string, BalancedEndpoint>();
  /** The only endpoint, where no choice is to be made. */
  #only: BalancedEndpoint | undefined;
  /** One a priority group, highest first. */
  #balancers = noBalancers;
  /** What the balancers were built from; -1: not yet. */
  #resolverVersion = -1;
  #namesVersion = -1;
  #healthVersion = -1;
  #keyVersion = -1;

  constructor(upstream: Upstream, deps: TargetDeps) {
    const { key, resolver, health, compileVariable, random = Math.random, clock = systemClock } = deps;
    this.#upstream = upstream;
    this.#key = key;
    this.#resolver = resolver;
    this.#health = health;
    this.#clock = clock;
    this.#balancerDeps = {
      hashKey: compileHashKey(upstream, compileVariable),
      random,
      now: () => clock.now(),
    };
    // APISIX: its documentation takes a node of weight 0 out of service, and so do we, also where it is the only one.
    this.#nodes = parseNodes(upstream).filter(({ weight }) => weight > 0);
    this.#names = [...new Set(this.#nodes.filter(({ isAddress }) => !isAddress).map(({ host }) => host))].map((host) =>
      resolver.name(host),
    );
    this.#hasChecks = upstream.checks !== undefined;
    this.passiveFilter = compilePassiveFilter(key, upstream, health);
  }

  get nodeCount(): number {
    if (this.#isOutdated()) this.#build();
    return this.#endpoints.size === 0 ? this.#nodes.length : this.#endpoints.size;
  }

  pick(exchange: Exchange, tried: readonly Endpoint[]): BalancedEndpoint | undefined {
    if (this.#isOutdated()) this.#build();
    const endpoint = this.#choose(exchange, tried);
    if (endpoint !== undefined) endpoint.active++;
    return endpoint;
  }

  #choose(exchange: Exchange, tried: readonly Endpoint[]): BalancedEndpoint | undefined {
    const only = this.#only;
    if (only !== undefined) return tried.length > 0 && tried.includes(only) ? undefined : only;
    for (const balancer of this.#balancers) {
      const endpoint = balancer.pick(exchange, tried);
      if (endpoint !== undefined) return endpoint;
    }
    return undefined;
  }

  done(endpoint: BalancedEndpoint, outcome: Outcome): void {
    endpoint.active--;
    if (this.#upstream.type === 'ewma') recordLatency(endpoint, outcome, this.#clock.now());
  }

  ready(): Promise<void> | undefined {
    if (this.#names.length === 0) return undefined;
    let usable = this.#nodes.some(({ isAddress }) => isAddress);
    let answers: Promise<void>[] | undefined;
    for (const name of this.#names) {
      const wait = this.#resolver.ensure(name);
      if (wait !== undefined) (answers ??= []).push(wait.then(() => assertResolved(name)));
      else if (name.addresses.length > 0) usable = true;
    }
    if (answers === undefined) return undefined;
    const first = Promise.any(answers).catch(() => undefined);
    return usable ? undefined : first;
  }

  #isOutdated(): boolean {
    if (this.#names.length > 0 && this.#resolver.version !== this.#resolverVersion) {
      this.#resolverVersion = this.#resolver.version;
      if (sumOfVersions(this.#names) !== this.#namesVersion) return true;
    }
    if (this.#hasChecks && this.#health.version !== this.#healthVersion) {
      this.#healthVersion = this.#health.version;
      if (this.#health.versionOf(this.#key) !== this.#keyVersion) return true;
    }
    return this.#keyVersion === -1;
  }

  #build(): void {
    this.#namesVersion = sumOfVersions(this.#names);
    this.#keyVersion = this.#health.versionOf(this.#key);
    this.#endpoints = this.#collectEndpoints();
    const all = [...this.#endpoints.values()];
    this.#only = all.length === 1 ? all[0] : undefined;
    this.#balancers = all.length === 1 ? noBalancers : this.#createBalancers(all);
  }

  #createBalancers(all: readonly BalancedEndpoint[]): Balancer[] {
    const healthy = this.#hasChecks ? all.filter(({ label }) => this.#health.isHealthy(this.#key, label)) : all;
    const groups = Map.groupBy(healthy.length > 0 ? healthy : all, ({ priority }) => priority);
    return [...groups]
      .sort(([a], [b]) => b - a)
      .map(([, endpoints]) => createBalancer(this.#upstream.type, endpoints, this.#balancerDeps));
  }

  #collectEndpoints(): Map<string, BalancedEndpoint> {
    const endpoints = new Map<string, BalancedEndpoint>();
    for (const { host, port, label, weight, priority, isAddress } of this.#nodes) {
      const addresses = isAddress ? [host] : this.#resolver.name(host).addresses;
      for (const address of addresses) {
        const id = `${label}/${address}`;
        const share = weight / addresses.length;
        const known = endpoints.get(id) ?? this.#endpoints.get(id);
        if (known !== undefined) known.weight = endpoints.has(id) ? known.weight + share : share;
        endpoints.set(
          id,
          known ?? { host, port, label, address, weight: share, priority, active: 0, ewmaMs: 0, touchedAt: 0 },
        );
      }
    }
    return endpoints;
  }
}

function assertResolved({ name, addresses, error }: ResolvedName): void {
  if (addresses.length === 0) throw error ?? new Error(`${name} has no address`);
}

function sumOfVersions(names: readonly ResolvedName[]): number {
  let sum = 0;
  for (const name of names) sum += name.version;
  return sum;
}
