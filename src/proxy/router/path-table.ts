/**
 * Path → leaf: exact paths in a Map, prefixes in a radix tree, parameters in a segment tree at their literal prefix.
 *
 *   "/blog/" ─┬─ "foo/" (leaf) ── "a/" (leaf)
 *             └─ "bar" (leaf)                     each edge a label; no two of a node share their first character
 *
 * A look-up costs the length of the path, whatever the number of routes. Precedence, as APISIX documents it: exact,
 * then the longest literal prefix (for a parameter: what stands before it), then the candidates' own order.
 */
import type { Visit } from './host-table.ts';
import type { RouteSubject } from './route-entry.ts';
import { editSegments, searchSegments, type SegmentNode } from './segment-tree.ts';
import type { UriPattern } from './uri-pattern.ts';

interface PrefixNode<L> {
  label: string;
  /** The first UTF-16 units of the children's labels, ascending: beside `children`, to be searched in one cache line. */
  keys: number[];
  children: PrefixNode<L>[];
  leaf: L | undefined;
  patterns: SegmentNode<L> | undefined;
}

export interface PathTable<L> {
  exact: Map<string, L> | undefined;
  prefixes: PrefixNode<L> | undefined;
}

export function createPathTable<L>(): PathTable<L> {
  return { exact: undefined, prefixes: undefined };
}

/** Of the many nodes without children; they are replaced, never changed in place. */
const none: never[] = [];

function createPrefixNode<L>(label: string): PrefixNode<L> {
  return { label, keys: none, children: none, leaf: undefined, patterns: undefined };
}

/** Where `key` is in the ascending `keys`, or where it would be. */
function positionOf(keys: readonly number[], key: number): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((keys[middle] ?? 0) < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

function commonLength(a: string, b: string): number {
  const limit = Math.min(a.length, b.length);
  let i = 0;
  while (i < limit && a.charCodeAt(i) === b.charCodeAt(i)) i++;
  return i;
}

/** Drops a node that holds nothing, and joins one that only leads to a single child with that child. */
function tidyPrefix<L>(node: PrefixNode<L>): PrefixNode<L> | undefined {
  if (node.leaf !== undefined || node.patterns !== undefined) return node;
  if (node.children.length > 1) return node;
  const [child] = node.children;
  if (child === undefined) return undefined;
  child.label = node.label + child.label;
  return child;
}

/** The tree below `from` after `edit` has changed the node of `prefix`, which starts where `from`'s label starts. */
function editPrefix<L>(
  from: PrefixNode<L> | undefined,
  prefix: string,
  edit: (node: PrefixNode<L>) => void,
): PrefixNode<L> | undefined {
  let node = from ?? createPrefixNode<L>(prefix);
  const common = commonLength(node.label, prefix);
  if (common < node.label.length) {
    const upper = createPrefixNode<L>(node.label.slice(0, common));
    node.label = node.label.slice(common);
    upper.keys = [node.label.charCodeAt(0)];
    upper.children = [node];
    node = upper;
  }
  if (common === prefix.length) {
    edit(node);
  } else {
    const rest = prefix.slice(common);
    const key = rest.charCodeAt(0);
    const position = positionOf(node.keys, key);
    const replaced = node.keys[position] === key ? 1 : 0;
    const child = editPrefix(replaced === 1 ? node.children[position] : undefined, rest, edit);
    if (child !== undefined && replaced === 1) {
      node.children[position] = child;
    } else {
      node.keys = node.keys.toSpliced(position, replaced, ...(child === undefined ? [] : [key]));
      node.children = node.children.toSpliced(position, replaced, ...(child === undefined ? [] : [child]));
    }
  }
  return tidyPrefix(node);
}

/** Replaces the leaf of `pattern` by what `edit` returns, undefined to drop it. Returns false when the table is empty. */
export function editPath<L>(
  table: PathTable<L>,
  pattern: UriPattern,
  edit: (leaf: L | undefined) => L | undefined,
): boolean {
  if (pattern.kind === 'exact') {
    const leaf = edit(table.exact?.get(pattern.prefix));
    if (leaf !== undefined) (table.exact ??= new Map<string, L>()).set(pattern.prefix, leaf);
    else table.exact?.delete(pattern.prefix);
    if (table.exact?.size === 0) table.exact = undefined;
  } else {
    table.prefixes = editPrefix(table.prefixes, pattern.prefix, (node) => {
      if (pattern.kind !== 'segments' || pattern.extra === undefined) node.leaf = edit(node.leaf);
      else node.patterns = editSegments(node.patterns, pattern.extra, 0, edit);
    });
  }
  return table.exact !== undefined || table.prefixes !== undefined;
}

/** The deepest node whose leaf yields something; `end` is where `node`'s label, which the path has, ends in it. */
function searchPrefixes<L, R>(
  node: PrefixNode<L>,
  end: number,
  subject: RouteSubject,
  visit: Visit<L, R>,
): R | undefined {
  const { path } = subject;
  if (end < path.length && node.keys.length > 0) {
    const key = path.charCodeAt(end);
    const position = positionOf(node.keys, key);
    if (node.keys[position] === key) {
      const child = node.children[position];
      if (child !== undefined && (child.label.length === 1 || path.startsWith(child.label, end))) {
        const deeper = searchPrefixes(child, end + child.label.length, subject, visit);
        if (deeper !== undefined) return deeper;
      }
    }
  }
  const best = node.leaf === undefined ? undefined : visit(node.leaf, subject, undefined);
  return node.patterns === undefined ? best : searchSegments(node.patterns, end, subject, visit, best);
}

/** What `visit` makes of the leaves of the request's path, in order of precedence, until one yields something. */
export function searchPaths<L, R>(table: PathTable<L>, subject: RouteSubject, visit: Visit<L, R>): R | undefined {
  const leaf = table.exact?.get(subject.path);
  const best = leaf === undefined ? undefined : visit(leaf, subject, undefined);
  const root = table.prefixes;
  if (best !== undefined || root === undefined || !subject.path.startsWith(root.label)) return best;
  return searchPrefixes(root, root.label.length, subject, visit);
}
