/** What the router is given (entries, subjects) and what it answers; the data on both sides of `createRouter`. */
import type { VariableValue } from '../../expression/expression.ts';
import type { Json } from '../../resources/resource.ts';

/**
 * - `radixtree_uri`: the path chooses, then the host filters.
 * - `radixtree_host_uri`: the host chooses, then the path.
 * - `radixtree_uri_with_parameter`: as `radixtree_uri`, and a segment `:name` stands for any one segment.
 */
export type RouterMode = 'radixtree_uri' | 'radixtree_host_uri' | 'radixtree_uri_with_parameter';

/** A route as configured. The router keeps the object: it must not be changed after `put`. */
export interface RouteEntry<T> {
  readonly id: string;
  readonly uris: readonly string[];
  /** Empty: any host. `*.a.com` stands for every name that ends in `.a.com`, of any number of labels. */
  readonly hosts: readonly string[];
  /** undefined or empty: any method. */
  readonly methods: readonly string[] | undefined;
  readonly remoteAddrs: readonly string[] | undefined;
  readonly vars: Json[] | undefined;
  /** Higher first, among entries of one uri. */
  readonly priority: number;
  readonly value: T;
}

/** What a request shows the router. */
export interface RouteSubject {
  readonly method: string;
  /** Normalised and decoded: the path that every plugin sees. */
  readonly path: string;
  /** Lower case, without a port; '' where the request names none. */
  readonly host: string;
  readonly remoteAddress: string;
  variable(name: string): string | undefined;
}

export type CompileVariable = (name: string) => (subject: RouteSubject) => VariableValue;

/** Owned by the router and shared between requests. */
export interface RouteMatch<T> {
  readonly value: T;
  readonly params: ReadonlyMap<string, string>;
}

export interface RouteMiss {
  readonly id: string;
  readonly reason: 'host' | 'method' | 'remote_addr' | 'vars' | 'path';
  readonly detail: string;
}

export interface RouteExplanation {
  readonly matched: { readonly id: string; readonly uri: string } | undefined;
  /** At most 10, the nearest to a match first. */
  readonly misses: RouteMiss[];
}
