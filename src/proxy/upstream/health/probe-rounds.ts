/**
 * The active checks of one upstream: one round over its healthy nodes and one over its unhealthy ones, each at its own
 * interval, each with no more probes at once than `concurrency`. The first rounds begin at once.
 * Invariant: a node is never probed twice at the same time, and nothing is heard after `stop`.
 */
import type { Upstream } from '../../../resources/upstream.ts';
import type { Clock } from '../discovery/clock.ts';
import type { NameResolver } from '../discovery/name-resolver.ts';
import type { Node } from '../discovery/nodes.ts';
import type { ActiveChecks } from './checks.ts';
import { isHealthy, type NodeHealth, type NodeOutcome } from './node-health.ts';
import { probe, type ProbeTarget } from './probe.ts';
import type { Slots } from './slots.ts';

export interface WatchedNode {
  readonly node: Node;
  readonly health: NodeHealth;
  /** Where the last probe went; the node's host before the first. */
  address: string;
}

export interface ProbeSubject {
  readonly checks: ActiveChecks;
  /** As of now: asked at each round. */
  upstream(): Upstream;
  nodes(): Iterable<WatchedNode>;
  settled(node: WatchedNode, outcome: NodeOutcome): void;
}

export interface ProbeDeps {
  readonly resolver: NameResolver;
  readonly clock: Clock;
  readonly slots: Slots;
}

/** Returns a function that stops the rounds and aborts their probes. */
export function startProbeRounds(subject: ProbeSubject, { resolver, clock, slots }: ProbeDeps): () => void {
  const { checks } = subject;
  const stopping = new AbortController();
  const timers = new Map<boolean, () => void>();
  let turn = 0;

  async function check(watched: WatchedNode): Promise<void> {
    const outcome = await slots.run(() => attempt(watched)).catch(failed);
    if (!stopping.signal.aborted) subject.settled(watched, outcome);
  }

  async function attempt(watched: WatchedNode): Promise<NodeOutcome> {
    const address = await addressOf(watched.node);
    if (address === undefined) return failed();
    watched.address = address;
    return probe(probeTarget(subject.upstream(), watched.node, address, checks), checks, clock, stopping.signal);
  }

  /** A name's addresses take turns, so that none of them goes unseen. */
  async function addressOf({ host, isAddress }: Node): Promise<string | undefined> {
    if (isAddress) return host;
    const name = resolver.name(host);
    await resolver.ensure(name);
    return name.addresses[turn++ % name.addresses.length];
  }

  async function runRound(healthy: boolean): Promise<void> {
    const started = clock.now();
    const due = [...subject.nodes()].filter(({ health }) => isHealthy(health.status) === healthy).values();
    await Promise.all(
      Array.from({ length: checks.concurrency }, async () => {
        // One iterator for all: each takes the next node that no other took.
        for (const watched of due) {
          if (!stopping.signal.aborted) await check(watched);
        }
      }),
    );
    if (stopping.signal.aborted) return;
    const interval = healthy ? checks.healthyIntervalMs : checks.unhealthyIntervalMs;
    timers.set(
      healthy,
      clock.after(Math.max(interval - (clock.now() - started), 0), () => void runRound(healthy)),
    );
  }

  void runRound(true);
  void runRound(false);
  return () => {
    stopping.abort();
    for (const cancel of timers.values()) cancel();
  };
}

/** Also of a request that could not even be made (a client certificate that is none): rounds must go on. */
function failed(): NodeOutcome {
  return { kind: 'connect_failed' };
}

/** Host: the rewritten one, the node's name where it is passed, the checks' own, or the node's (APISIX: healthcheck_manager). */
function probeTarget(upstream: Upstream, node: Node, address: string, checks: ActiveChecks): ProbeTarget {
  const port = checks.port ?? node.port;
  const rewritten = upstream.pass_host === 'rewrite' ? upstream.upstream_host : undefined;
  const passed = upstream.pass_host === 'node' && !node.isAddress ? withPort(node.host, port, checks) : undefined;
  return {
    address,
    port,
    hostHeader: rewritten ?? passed ?? checks.host ?? withPort(node.host, port, checks),
    clientCert: upstream.tls?.client_cert,
    clientKey: upstream.tls?.client_key,
  };
}

/** RFC 9110 §7.2: the port is left out where it is the scheme's own. */
function withPort(host: string, port: number, { type }: ActiveChecks): string {
  const name = host.includes(':') ? `[${host}]` : host;
  return port === (type === 'https' ? 443 : 80) ? name : `${name}:${port}`;
}
