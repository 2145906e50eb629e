/**
 * Who is healthy, for all workers: runs the active checks and counts what workers report, in the control plane's thread.
 * Listeners hear each change of status and pass it on as messages (health-view.ts).
 * Invariant: what listeners were told last is what `status` says; a node that goes is told healthy first.
 * APISIX: checks start when an upstream is put rather than at its first request, so that one already meets the truth.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Upstream } from '../../../resources/upstream.ts';
import { systemClock, type Clock } from '../discovery/clock.ts';
import type { NameResolver } from '../discovery/name-resolver.ts';
import { parseNodes } from '../discovery/nodes.ts';
import { compileChecks, type CompiledChecks, type Thresholds } from './checks.ts';
import type { HealthMessage } from './health-view.ts';
import { createNodeHealth, isHealthy, isSettled, recordOutcome } from './node-health.ts';
import type { NodeHealth, NodeOutcome, NodeStatus, PassiveOutcome } from './node-health.ts';
import { startProbeRounds, type WatchedNode } from './probe-rounds.ts';
import { createSlots } from './slots.ts';

export type { PassiveOutcome } from './node-health.ts';

/** What the control API tells of one resource. */
export interface HealthReport {
  /** `/apisix/upstreams/1`. */
  readonly name: string;
  readonly type: 'http' | 'https' | 'tcp';
  readonly nodes: readonly {
    readonly ip: string;
    readonly port: number;
    readonly status: NodeStatus;
    readonly counter: NodeHealth['counter'];
  }[];
}

/** `settled`: see HealthMessage. */
export type HealthListener = (key: string, label: string, healthy: boolean, settled: boolean) => void;

export interface HealthMonitor {
  /** Starts, or goes on with, what the upstream's `checks` ask for. Without checks as `remove`. Known nodes keep their state. */
  put(key: string, upstream: Upstream): void;
  remove(key: string): void;
  /** What a worker's request met. Ignored where the upstream has no passive checks or not that node. */
  report(key: string, endpointLabel: string, outcome: PassiveOutcome): void;
  /** Returns a function that ends it. */
  onChange(listener: HealthListener): () => void;
  /** What a new worker must hear: every node that is not plainly healthy. */
  snapshot(): HealthMessage[];
  /** All resources with checks: routes, services, upstreams. */
  status(): HealthReport[];
  statusOf(key: string): HealthReport | undefined;
  dispose(): void;
}

export interface HealthMonitorOptions {
  readonly resolver: NameResolver;
  readonly clock?: Clock;
  /** Active probes at once, of all upstreams together. */
  readonly maxProbes?: number;
}

/** One resource with checks. */
interface Watched {
  readonly key: string;
  upstream: Upstream;
  checks: CompiledChecks;
  nodes: Map<string, WatchedNode>;
  stopRounds: (() => void) | undefined;
}

/** The order in which APISIX lists them. */
const kinds = ['routes', 'services', 'upstreams'];

export function createHealthMonitor(options: HealthMonitorOptions): HealthMonitor {
  const { resolver, clock = systemClock, maxProbes = 512 } = options;
  const deps = { resolver, clock, slots: createSlots(maxProbes) };
  const all = new Map<string, Watched>();
  const listeners = new Set<HealthListener>();

  function tell(key: string, label: string, status: NodeStatus): void {
    for (const listener of listeners) listener(key, label, isHealthy(status), isSettled(status));
  }

  function count(watched: Watched, node: WatchedNode, outcome: NodeOutcome, thresholds: Thresholds): void {
    if (recordOutcome(node.health, outcome, thresholds)) tell(watched.key, node.node.label, node.health.status);
  }

  /** Takes over the nodes that stay, with their health. */
  function setNodes(watched: Watched): void {
    const before = watched.nodes;
    const nodes = parseNodes(watched.upstream);
    watched.nodes = new Map();
    // APISIX: health-check: an only node is not checked, for it is used whatever its health.
    for (const node of nodes.length > 1 ? nodes : []) {
      const known = before.get(node.label);
      before.delete(node.label);
      watched.nodes.set(node.label, known ?? { node, health: createNodeHealth(), address: node.host });
    }
    tellGone(watched.key, before);
  }

  function tellGone(key: string, nodes: Map<string, WatchedNode>): void {
    for (const [label, { health }] of nodes) if (health.status !== 'healthy') tell(key, label, 'healthy');
  }

  function startRounds(watched: Watched): void {
    watched.stopRounds?.();
    const { active } = watched.checks;
    watched.stopRounds =
      active &&
      startProbeRounds(
        {
          checks: active,
          upstream: () => watched.upstream,
          nodes: () => watched.nodes.values(),
          settled(node, outcome) {
            // A probe that was under way when its node was removed says nothing any more.
            if (watched.nodes.get(node.node.label) === node) count(watched, node, outcome, active.thresholds);
          },
        },
        deps,
      );
  }

  function remove(key: string): void {
    const watched = all.get(key);
    if (watched === undefined) return;
    all.delete(key);
    watched.stopRounds?.();
    tellGone(key, watched.nodes);
  }

  return {
    put(key, upstream) {
      if (upstream.checks === undefined) {
        remove(key);
        return;
      }
      const known = all.get(key);
      if (known === undefined) {
        const checks = compileChecks(upstream.checks);
        const watched: Watched = { key, upstream, checks, nodes: new Map(), stopRounds: undefined };
        all.set(key, watched);
        setNodes(watched);
        startRounds(watched);
        return;
      }
      // Frequent changes of nodes must not keep starting the intervals anew.
      const sameChecks = isDeepStrictEqual(known.upstream.checks, upstream.checks);
      known.upstream = upstream;
      setNodes(known);
      if (sameChecks) return;
      known.checks = compileChecks(upstream.checks);
      startRounds(known);
    },
    remove,
    report(key, endpointLabel, outcome) {
      const watched = all.get(key);
      const node = watched?.nodes.get(endpointLabel);
      if (watched?.checks.passive === undefined || node === undefined) return;
      count(watched, node, outcome, watched.checks.passive);
    },
    onChange(listener) {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },
    snapshot() {
      return [...all.values()].flatMap(({ key, nodes }) =>
        [...nodes]
          .filter(([, { health }]) => health.status !== 'healthy')
          .map(
            ([
              label,
              {
                health: { status },
              },
            ]) => ({
              type: 'health' as const,
              key,
              label,
              healthy: isHealthy(status),
              settled: isSettled(status),
            }),
          ),
      );
    },
    status() {
      const rank = ({ key }: Watched): number => kinds.indexOf(key.slice(0, key.indexOf('/')));
      return [...all.values()].sort((a, b) => rank(a) - rank(b)).map(describe);
    },
    statusOf(key) {
      const watched = all.get(key);
      return watched && describe(watched);
    },
    dispose() {
      for (const { stopRounds } of all.values()) stopRounds?.();
      all.clear();
      listeners.clear();
    },
  };
}

function describe({ key, checks, nodes }: Watched): HealthReport {
  return {
    name: `/apisix/${key}`,
    type: checks.type,
    nodes: [...nodes.values()].map(({ node, address, health }) => ({
      ip: address,
      port: checks.active?.port ?? node.port,
      status: health.status,
      counter: { ...health.counter },
    })),
  };
}
