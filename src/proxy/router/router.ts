/**
 * Request → route. Stands between the HTTP engine and the pipeline; pure data and functions, no I/O, no clock.
 *
 *   radixtree_uri[_with_parameter]:  path table → host table → candidates, in order
 *   radixtree_host_uri:              host table → path table → candidates, in order
 *
 * Invariant: the answer depends on the entries alone, never on the order in which they were put, nor on their number;
 * and `put`/`remove` finish within one turn, so a request sees all of a change or nothing of it.
 */
import {
  compileRoute,
  firstPassing,
  withCandidate,
  withoutCandidate,
  type Candidate,
  type CompiledRoute,
  type ListChange,
} from './candidate.ts';
import { explainMisses } from './explain.ts';
import { createHostTable, editHost, searchHosts, type HostTable } from './host-table.ts';
import { createPathTable, editPath, searchPaths, type PathTable } from './path-table.ts';
import type {
  CompileVariable,
  RouteEntry,
  RouteExplanation,
  RouteMatch,
  RouterMode,
  RouteSubject,
} from './route-entry.ts';
import { readParams } from './uri-pattern.ts';

export interface Router<T> {
  /**
   * Adds the entry, or replaces the one of the same id; costs the length of its uris times its hosts.
   * Throws ConfigError for a uri, address or expression that cannot be used, and then changes nothing.
   */
  put(entry: RouteEntry<T>): void;
  /** Returns whether there was one. */
  remove(id: string): boolean;
  match(subject: RouteSubject): RouteMatch<T> | undefined;
  /** What `match` would answer and why the nearest others would not. Looks at every entry: for people, not requests. */
  explain(subject: RouteSubject): RouteExplanation;
  readonly size: number;
  /** Some entry's vars read the request's body, which must then be there before `match`. */
  readonly needsBody: boolean;
}

type Candidates<T> = Candidate<T>[];

/** Puts candidates into nested tables and finds them again; one for each order of nesting. */
interface Index<T> {
  /** `host` undefined: any. */
  edit(candidate: Candidate<T>, host: string | undefined, change: ListChange<T>): void;
  find(subject: RouteSubject, authority: string | undefined): Candidate<T> | undefined;
}

function createPathFirstIndex<T>(): Index<T> {
  const paths = createPathTable<HostTable<Candidates<T>>>();
  return {
    edit(candidate, host, change) {
      editPath(paths, candidate.pattern, (leaf) => {
        const hosts = leaf ?? createHostTable<Candidates<T>>();
        return editHost(hosts, host, (list) => change(list, candidate)) ? hosts : undefined;
      });
    },
    // Priority goes before how exactly a host is named: all lists of a uri compete (APISIX: here the host only filters).
    find: (subject, authority) =>
      searchPaths<HostTable<Candidates<T>>, Candidate<T>>(paths, subject, (hosts, _, best) =>
        searchHosts(hosts, authority, subject, firstPassing<T>, false, best),
      ),
  };
}

function createHostFirstIndex<T>(): Index<T> {
  const hosts = createHostTable<PathTable<Candidates<T>>>();
  return {
    edit(candidate, host, change) {
      editHost(hosts, host, (leaf) => {
        const paths = leaf ?? createPathTable<Candidates<T>>();
        return editPath(paths, candidate.pattern, (list) => change(list, candidate)) ? paths : undefined;
      });
    },
    // The most exact host whose paths match; a host without such a path leaves the request to the next.
    find: (subject, authority) =>
      searchHosts<PathTable<Candidates<T>>, Candidate<T>>(
        hosts,
        authority,
        subject,
        (paths) => searchPaths(paths, subject, firstPassing<T>),
        true,
        undefined,
      ),
  };
}

const anyHost: readonly undefined[] = [undefined];

/** `compileVariable` gives the reader of a variable by its name; by default the subject's own `variable`. */
export function createRouter<T>(options: { mode: RouterMode; compileVariable?: CompileVariable }): Router<T> {
  const compileVariable = options.compileVariable ?? ((name) => (subject) => subject.variable(name));
  const parameters = options.mode === 'radixtree_uri_with_parameter';
  const index = options.mode === 'radixtree_host_uri' ? createHostFirstIndex<T>() : createPathFirstIndex<T>();
  const routes = new Map<string, CompiledRoute<T>>();
  let bodyReaders = 0;
  let portNamers = 0;

  function edit(route: CompiledRoute<T>, change: ListChange<T>, step: 1 | -1): void {
    for (const host of route.hosts.length === 0 ? anyHost : route.hosts) {
      for (const candidate of route.candidates) index.edit(candidate, host, change);
    }
    if (route.needsBody) bodyReaders += step;
    if (route.hosts.some((host) => host.includes(':'))) portNamers += step;
  }

  function remove(id: string): boolean {
    const route = routes.get(id);
    if (route === undefined) return false;
    edit(route, withoutCandidate, -1);
    return routes.delete(id);
  }

  /** A host with a port is compared with the Host header as sent (APISIX), which is read only where a route has one. */
  function find(subject: RouteSubject): Candidate<T> | undefined {
    const authority = portNamers === 0 ? undefined : subject.variable('http_host')?.toLowerCase();
    return index.find(subject, authority);
  }

  return {
    put(entry) {
      const route = compileRoute(entry, parameters, compileVariable);
      remove(entry.id);
      routes.set(entry.id, route);
      edit(route, withCandidate, 1);
    },
    remove,
    match(subject) {
      const found = find(subject);
      if (found === undefined) return undefined;
      const params = readParams(found.pattern, subject.path);
      return params === undefined ? found.route.match : { value: found.route.entry.value, params };
    },
    explain(subject) {
      const found = find(subject);
      return {
        matched: found && { id: found.route.entry.id, uri: found.uri },
        misses: explainMisses(routes.values(), subject),
      };
    },
    get size() {
      return routes.size;
    },
    get needsBody() {
      return bodyReaders > 0;
    },
  };
}
