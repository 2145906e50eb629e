/**
 * Addresses of node host names, one resolver a worker. A name in use is resolved anew in the background before its answer
 * expires; a failure keeps the last good answer. A name out of use expires, and its next user waits for a fresh answer.
 *
 *   ensure ─→ pending ──answer──→ fresh ──90 % of the TTL, used──→ pending (still fresh) …
 *                └────failure───→ fresh, last good addresses       └─ not used → expired, until ensure
 *
 * Invariant: `ResolvedName.addresses` is what to use now, whatever state the name is in; it never goes from some to none.
 */
import type { Clock } from './clock.ts';
import { systemClock } from './clock.ts';
import { createDnsQuery, type DnsQueryOptions } from './dns-query.ts';

export interface ResolvedName {
  readonly name: string;
  /** Sorted. Empty until the first good answer. */
  readonly addresses: readonly string[];
  /** Grows when `addresses` changes. */
  readonly version: number;
  /** Why the last resolution failed; undefined when it did not. */
  readonly error: Error | undefined;
}

export interface NameResolver {
  /** Grows when any name's addresses change. */
  readonly version: number;
  /** The shared state of a name; asks nothing yet. Names compare without case. */
  name(name: string): ResolvedName;
  /** Marks the name as used. Undefined when it can be used as it stands; otherwise resolves (never rejects) once it was resolved or failed. */
  ensure(name: ResolvedName): Promise<void> | undefined;
  dispose(): void;
}

export interface NameResolverOptions extends DnsQueryOptions {
  /** Seconds that any answer holds, instead of its TTL (`apisix.dns_resolver_valid`). */
  readonly validSeconds?: number;
  /** Names remembered; beyond it the oldest is forgotten. */
  readonly maxNames?: number;
  readonly clock?: Clock;
}

/** Where an answer has no TTL (hosts file, system look-up). */
const defaultTtlSeconds = 10;
/** A TTL of 0 must not become a query a request; one of years must not outlast a mistake. */
const minTtlSeconds = 1;
const maxTtlSeconds = 86_400;
/** Part of the TTL after which a used name is asked again. */
const refreshAt = 0.9;
/** Pause after a failure, doubled each time. */
const minRetryMs = 1000;
const maxRetryMs = 30_000;

interface Entry extends ResolvedName {
  addresses: readonly string[];
  version: number;
  error: Error | undefined;
  used: boolean;
  fresh: boolean;
  pending: Promise<void> | undefined;
  failures: number;
  cancelTimer: (() => void) | undefined;
}

export function createNameResolver(options: NameResolverOptions = {}): NameResolver {
  const { clock = systemClock, maxNames = 131_072, validSeconds } = options;
  const query = createDnsQuery(options);
  const entries = new Map<string, Entry>();
  let version = 0;
  let disposed = false;

  function remember(entry: Entry): void {
    entries.set(entry.name, entry);
    if (entries.size <= maxNames) return;
    const oldest = entries.values().next().value;
    if (oldest !== undefined) forget(oldest);
  }

  function forget(entry: Entry): void {
    entries.delete(entry.name);
    entry.cancelTimer?.();
    entry.fresh = false;
  }

  function resolve(entry: Entry): Promise<void> {
    entry.used = false;
    entry.pending = query.resolve(entry.name).then(
      ({ addresses, ttlSeconds = defaultTtlSeconds }) => {
        entry.error = undefined;
        entry.failures = 0;
        accept(entry, [...addresses].sort());
        const ttl = Math.min(Math.max(validSeconds ?? ttlSeconds, minTtlSeconds), maxTtlSeconds);
        settle(entry, ttl * 1000 * refreshAt);
      },
      (error: unknown) => {
        entry.error = error instanceof Error ? error : new Error(String(error));
        settle(entry, Math.min(minRetryMs * 2 ** entry.failures++, maxRetryMs));
      },
    );
    return entry.pending;
  }

  function accept(entry: Entry, addresses: readonly string[]): void {
    if (addresses.join() === entry.addresses.join()) return;
    entry.addresses = addresses;
    entry.version++;
    version++;
  }

  function settle(entry: Entry, validMs: number): void {
    entry.pending = undefined;
    // A name that was forgotten meanwhile stays so: its next user resolves it.
    if (disposed || entries.get(entry.name) !== entry) return;
    entry.fresh = true;
    entry.cancelTimer = clock.after(validMs, () => {
      entry.cancelTimer = undefined;
      if (entry.used) void resolve(entry);
      else entry.fresh = false;
    });
  }

  return {
    get version() {
      return version;
    },
    name(name) {
      const key = name.toLowerCase();
      const known = entries.get(key);
      if (known !== undefined) return known;
      const entry: Entry = {
        name: key,
        addresses: [],
        version: 0,
        error: undefined,
        used: false,
        fresh: false,
        pending: undefined,
        failures: 0,
        cancelTimer: undefined,
      };
      remember(entry);
      return entry;
    },
    ensure(name) {
      const entry = name as Entry;
      if (entry.fresh) {
        entry.used = true;
        return undefined;
      }
      if (disposed) return undefined;
      if (entry.pending !== undefined) return entry.pending;
      if (entries.get(entry.name) !== entry) remember(entry);
      return resolve(entry);
    },
    dispose() {
      disposed = true;
      query.dispose();
      for (const entry of entries.values()) entry.cancelTimer?.();
      entries.clear();
    },
  };
}
