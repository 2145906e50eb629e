/**
 * Why entries do not match a request, for `gatewright explain` and the control API. Beside the request path, never on
 * it: it looks at every entry in turn. Its verdicts hold each entry alone against the request; that an entry matches
 * and another goes before it is no miss.
 */
import type { CompiledRoute } from './candidate.ts';
import type { RouteMiss, RouteSubject } from './route-entry.ts';
import type { PatternExtra, UriPattern } from './uri-pattern.ts';

const maxMisses = 10;
/** The later in the list a check fails, the nearer the entry was. */
const checks = ['path', 'host', 'method', 'remote_addr', 'vars'] as const;

function segmentsMatch(pattern: PatternExtra, parts: readonly string[]): boolean {
  if (pattern.openEnd ? parts.length <= pattern.segments.length : parts.length !== pattern.segments.length)
    return false;
  return pattern.segments.every((segment, i) => (segment === undefined ? parts[i] !== '' : parts[i] === segment));
}

function pathMatches(pattern: UriPattern, path: string): boolean {
  if (pattern.kind === 'exact') return path === pattern.prefix;
  if (!path.startsWith(pattern.prefix)) return false;
  if (pattern.extra === undefined) return true;
  if (pattern.kind === 'segments') return segmentsMatch(pattern.extra, path.slice(pattern.prefix.length).split('/'));
  return pattern.extra.expression?.test(path) ?? true;
}

function hostMatches(hosts: readonly string[], subject: RouteSubject): boolean {
  if (hosts.length === 0) return true;
  const names = [subject.host];
  if (hosts.some((host) => host.includes(':')))
    names.push(subject.variable('http_host')?.toLowerCase() ?? subject.host);
  return hosts.some((host) =>
    names.some((name) => (host.startsWith('*') ? name.endsWith(host.slice(1)) : name === host)),
  );
}

/** The first check that the entry fails; undefined where it matches. */
function explainMiss<T>(route: CompiledRoute<T>, subject: RouteSubject): RouteMiss | undefined {
  const { id, uris, methods, remoteAddrs, vars } = route.entry;
  const { method, path, host, remoteAddress } = subject;
  if (!route.candidates.some((candidate) => pathMatches(candidate.pattern, path))) {
    return { id, reason: 'path', detail: `path ${path} does not match ${uris.join(', ')}` };
  }
  if (!hostMatches(route.hosts, subject)) {
    return { id, reason: 'host', detail: `host ${host || '(none)'} is not in ${route.hosts.join(', ')}` };
  }
  if (route.methods?.has(method) === false) {
    return { id, reason: 'method', detail: `method ${method} is not in ${methods?.join(', ') ?? ''}` };
  }
  if (route.fromAddress?.(remoteAddress) === false) {
    return { id, reason: 'remote_addr', detail: `address ${remoteAddress} is not in ${remoteAddrs?.join(', ') ?? ''}` };
  }
  if (route.holds?.(subject) === false) {
    return { id, reason: 'vars', detail: `vars do not hold: ${JSON.stringify(vars)}` };
  }
  return undefined;
}

function sharedLength<T>(route: CompiledRoute<T>, path: string): number {
  return Math.max(
    ...route.candidates.map(({ uri }) => {
      let i = 0;
      while (i < uri.length && i < path.length && uri.charCodeAt(i) === path.charCodeAt(i)) i++;
      return i;
    }),
  );
}

/** The nearest 10: those that failed the latest check, then those that share the longest start of the path. */
export function explainMisses<T>(routes: Iterable<CompiledRoute<T>>, subject: RouteSubject): RouteMiss[] {
  const misses: { miss: RouteMiss; check: number; shared: number }[] = [];
  for (const route of routes) {
    const miss = explainMiss(route, subject);
    if (miss === undefined) continue;
    misses.push({ miss, check: checks.indexOf(miss.reason), shared: sharedLength(route, subject.path) });
  }
  return misses
    .sort((a, b) => b.check - a.check || b.shared - a.shared || (a.miss.id < b.miss.id ? -1 : 1))
    .slice(0, maxMisses)
    .map(({ miss }) => miss);
}
