/**
 * One uri of one route, compiled: what stands at the leaves of the router's tables, and the order among those that
 * stand at the same leaf.
 */
import { compileAddressMatcher } from '../../address/cidr.ts';
import { compileExpression } from '../../expression/expression.ts';
import { ConfigError } from '../../errors/gateway-error.ts';
import type { CompileVariable, RouteEntry, RouteMatch, RouteSubject } from './route-entry.ts';
import { parseUri, type UriPattern } from './uri-pattern.ts';

export interface CompiledRoute<T> {
  readonly entry: RouteEntry<T>;
  readonly methods: ReadonlySet<string> | undefined;
  readonly fromAddress: ((address: string) => boolean) | undefined;
  readonly holds: ((subject: RouteSubject) => boolean) | undefined;
  /** Its vars read the request's body. */
  readonly needsBody: boolean;
  /** Lower case, each once. Empty: any. */
  readonly hosts: readonly string[];
  candidates: readonly Candidate<T>[];
  /** The answer where the uri names no parameters, made once. */
  readonly match: RouteMatch<T>;
}

export interface Candidate<T> {
  readonly route: CompiledRoute<T>;
  readonly uri: string;
  readonly pattern: UriPattern;
}

const none: readonly never[] = [];
const noParams: ReadonlyMap<string, string> = new Map();
const readsBody = /^(?:post_arg|graphql_|request_body$)/;

/** Throws ConfigError, naming the field, for an entry that cannot be used; changes nothing. */
export function compileRoute<T>(
  entry: RouteEntry<T>,
  parameters: boolean,
  compileVariable: CompileVariable,
): CompiledRoute<T> {
  if (entry.uris.length === 0) throw new ConfigError('uris is empty');
  let needsBody = false;
  const { methods, remoteAddrs, vars } = entry;
  const holds =
    vars &&
    compileExpression<RouteSubject>(vars, (name) => {
      needsBody ||= readsBody.test(name);
      return compileVariable(name);
    });
  const route: CompiledRoute<T> = {
    entry,
    methods: methods === undefined || methods.length === 0 ? undefined : new Set(methods),
    fromAddress: remoteAddrs && compileAddressMatcher(remoteAddrs),
    holds,
    needsBody,
    hosts: entry.hosts.length === 0 ? none : [...new Set(entry.hosts.map((host) => host.toLowerCase()))],
    candidates: none,
    match: { value: entry.value, params: noParams },
  };
  // Made by map: an array that grew by push keeps room for 17.
  route.candidates = [...new Set(entry.uris)].map((uri) => ({ route, uri, pattern: parseUri(uri, parameters) }));
  return route;
}

/** Everything but the host and the literal part of the path, the cheapest first. */
export function passes<T>({ route, pattern }: Candidate<T>, subject: RouteSubject): boolean {
  return (
    (route.methods === undefined || route.methods.has(subject.method)) &&
    (route.fromAddress === undefined || route.fromAddress(subject.remoteAddress)) &&
    (pattern.extra?.expression === undefined || pattern.extra.expression.test(subject.path)) &&
    (route.holds === undefined || route.holds(subject))
  );
}

/**
 * Among candidates of the same literal path: higher priority, then the longer uri, as APISIX. Then the smaller id:
 * etcd's key order, in which APISIX meets them after a start; so the answer never depends on the order of writes.
 */
function goesBefore<T>(a: Candidate<T>, b: Candidate<T>): boolean {
  const byPriority = a.route.entry.priority - b.route.entry.priority;
  if (byPriority !== 0) return byPriority > 0;
  if (a.uri.length !== b.uri.length) return a.uri.length > b.uri.length;
  return a.route.entry.id < b.route.entry.id;
}

/**
 * The first of `list` that passes and goes before `best`, else `best`. The list is sorted, so its first that passes is
 * its best, and several lists need no merging.
 */
export function firstPassing<T>(
  list: readonly Candidate<T>[],
  subject: RouteSubject,
  best: Candidate<T> | undefined,
): Candidate<T> | undefined {
  for (const candidate of list) {
    if (best !== undefined && !goesBefore(candidate, best)) return best;
    if (passes(candidate, subject)) return candidate;
  }
  return best;
}

/** Where `candidate` belongs in the sorted `list`. */
function positionOf<T>(list: readonly Candidate<T>[], candidate: Candidate<T>): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const other = list[middle];
    if (other !== undefined && goesBefore(other, candidate)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Returns the list that replaces `list` (which it may change); undefined: none is left. */
export type ListChange<T> = (list: Candidate<T>[] | undefined, candidate: Candidate<T>) => Candidate<T>[] | undefined;

export function withCandidate<T>(list: Candidate<T>[] | undefined, candidate: Candidate<T>): Candidate<T>[] {
  if (list === undefined) return [candidate];
  list.splice(positionOf(list, candidate), 0, candidate);
  return list;
}

export function withoutCandidate<T>(
  list: Candidate<T>[] | undefined,
  candidate: Candidate<T>,
): Candidate<T>[] | undefined {
  if (list === undefined) return undefined;
  const index = list.indexOf(candidate, positionOf(list, candidate));
  if (index !== -1) list.splice(index, 1);
  return list.length === 0 ? undefined : list;
}
