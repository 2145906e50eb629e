/**
 * Host → leaf, by look-ups alone: exact names in a Map, `*.a.com` under its suffix `.a.com`. One table stands at each
 * uri (`radixtree_uri`) or one above all paths (`radixtree_host_uri`).
 * Invariant: keys are lower case, and a table without leaves is dropped by its owner (`editHost` says so).
 */
import type { RouteSubject } from './route-entry.ts';

export interface HostTable<L> {
  /** For routes without hosts. */
  any: L | undefined;
  exact: Map<string, L> | undefined;
  /** A wildcard's text after its `*`. */
  suffixes: Map<string, L> | undefined;
  /** How many suffixes there are of each length that do not start with a dot (`*a.com`, `*`): rare, yet allowed. */
  undotted: Map<number, number> | undefined;
}

export function createHostTable<L>(): HostTable<L> {
  return { any: undefined, exact: undefined, suffixes: undefined, undotted: undefined };
}

/** Sets `map`'s `key` to what `edit` makes of it, or deletes it; returns the map, undefined once it is empty. */
function editKey<K, L>(
  map: Map<K, L> | undefined,
  key: K,
  edit: (leaf: L | undefined) => L | undefined,
): Map<K, L> | undefined {
  const leaf = edit(map?.get(key));
  if (leaf !== undefined) return (map ?? new Map<K, L>()).set(key, leaf);
  map?.delete(key);
  return map?.size === 0 ? undefined : map;
}

/** Replaces the leaf of `host` (undefined: any) by what `edit` returns, undefined to drop it. Returns false when the table is empty. */
export function editHost<L>(
  table: HostTable<L>,
  host: string | undefined,
  edit: (leaf: L | undefined) => L | undefined,
): boolean {
  if (host === undefined) {
    table.any = edit(table.any);
  } else if (!host.startsWith('*')) {
    table.exact = editKey(table.exact, host, edit);
  } else {
    const suffix = host.slice(1);
    const sizeBefore = table.suffixes?.size ?? 0;
    table.suffixes = editKey(table.suffixes, suffix, edit);
    const grown = (table.suffixes?.size ?? 0) - sizeBefore;
    if (grown !== 0 && !suffix.startsWith('.')) {
      table.undotted = editKey(table.undotted, suffix.length, (count = 0) => count + grown || undefined);
    }
  }
  return table.any !== undefined || table.exact !== undefined || table.suffixes !== undefined;
}

/** Called with each leaf and the best found so far; returns the new best. */
export type Visit<L, R> = (leaf: L, subject: RouteSubject, best: R | undefined) => R | undefined;

const dot = 0x2e;

function searchSuffixes<L, R>(
  table: HostTable<L>,
  suffixes: ReadonlyMap<string, L>,
  host: string,
  subject: RouteSubject,
  visit: Visit<L, R>,
  firstWins: boolean,
  found: R | undefined,
): R | undefined {
  let best = found;
  for (let at = 0; at <= host.length; at++) {
    if (host.charCodeAt(at) !== dot && table.undotted?.has(host.length - at) !== true) continue;
    const leaf = suffixes.get(host.slice(at));
    if (leaf === undefined) continue;
    best = visit(leaf, subject, best);
    if (firstWins && best !== undefined) return best;
  }
  return best;
}

/**
 * Visits the leaves whose host the request has: the exact name, then wildcards from the longest to the shortest, then
 * any host. `firstWins` stops at the first that yields something; `found` is the best so far. `authority` is the Host header as sent, with its
 * port; undefined where no route names a port.
 */
export function searchHosts<L, R>(
  table: HostTable<L>,
  authority: string | undefined,
  subject: RouteSubject,
  visit: Visit<L, R>,
  firstWins: boolean,
  found: R | undefined,
): R | undefined {
  const { host } = subject;
  let best = found;
  if (table.exact !== undefined) {
    const withPort = authority === undefined ? undefined : table.exact.get(authority);
    if (withPort !== undefined && authority !== host) best = visit(withPort, subject, best);
    if (firstWins && best !== undefined) return best;
    const leaf = table.exact.get(host);
    if (leaf !== undefined) best = visit(leaf, subject, best);
    if (firstWins && best !== undefined) return best;
  }
  if (table.suffixes !== undefined) {
    best = searchSuffixes(table, table.suffixes, host, subject, visit, firstWins, best);
    if (firstWins && best !== undefined) return best;
    if (authority !== undefined && authority !== host) {
      best = searchSuffixes(table, table.suffixes, authority, subject, visit, firstWins, best);
      if (firstWins && best !== undefined) return best;
    }
  }
  return table.any === undefined ? best : visit(table.any, subject, best);
}
