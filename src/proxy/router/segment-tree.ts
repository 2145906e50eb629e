/**
 * Paths with parameters, by segment: `/:tenant/users/:id` is [parameter] → "users" → [parameter]. One tree stands at
 * each literal prefix of the path table. Every pattern that matches is visited, and the candidates' own order decides;
 * routes that share a prefix are not scanned.
 */
import type { RouteSubject } from './route-entry.ts';
import type { Visit } from './host-table.ts';
import type { PatternExtra } from './uri-pattern.ts';

export interface SegmentNode<L> {
  literals: Map<string, SegmentNode<L>> | undefined;
  parameter: SegmentNode<L> | undefined;
  /** Patterns that end here. */
  end: L | undefined;
  /** Patterns that end in `/*` here. */
  rest: L | undefined;
}

function createSegmentNode<L>(): SegmentNode<L> {
  return { literals: undefined, parameter: undefined, end: undefined, rest: undefined };
}

/** Replaces the leaf of `pattern`, whose segments from `depth` on are below `from`. Returns undefined when nothing is left. */
export function editSegments<L>(
  from: SegmentNode<L> | undefined,
  pattern: PatternExtra,
  depth: number,
  edit: (leaf: L | undefined) => L | undefined,
): SegmentNode<L> | undefined {
  const node = from ?? createSegmentNode<L>();
  if (depth === pattern.segments.length) {
    if (pattern.openEnd) node.rest = edit(node.rest);
    else node.end = edit(node.end);
  } else {
    const literal = pattern.segments[depth];
    if (literal === undefined) {
      node.parameter = editSegments(node.parameter, pattern, depth + 1, edit);
    } else {
      const child = editSegments(node.literals?.get(literal), pattern, depth + 1, edit);
      if (child !== undefined) (node.literals ??= new Map()).set(literal, child);
      else node.literals?.delete(literal);
      if (node.literals?.size === 0) node.literals = undefined;
    }
  }
  const empty =
    node.literals === undefined && node.parameter === undefined && node.end === undefined && node.rest === undefined;
  return empty ? undefined : node;
}

/** Visits each pattern below `node` that the path, from the start of a segment at `at`, matches. */
export function searchSegments<L, R>(
  node: SegmentNode<L>,
  at: number,
  subject: RouteSubject,
  visit: Visit<L, R>,
  found: R | undefined,
): R | undefined {
  const { path } = subject;
  let best = node.rest === undefined ? found : visit(node.rest, subject, found);
  const slash = path.indexOf('/', at);
  const end = slash === -1 ? path.length : slash;
  const literal = node.literals?.get(path.slice(at, end));
  const parameter = end === at ? undefined : node.parameter;
  if (slash === -1) {
    if (literal?.end !== undefined) best = visit(literal.end, subject, best);
    if (parameter?.end !== undefined) best = visit(parameter.end, subject, best);
  } else {
    if (literal !== undefined) best = searchSegments(literal, slash + 1, subject, visit, best);
    if (parameter !== undefined) best = searchSegments(parameter, slash + 1, subject, visit, best);
  }
  return best;
}
