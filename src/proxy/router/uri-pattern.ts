/**
 * A route's `uri`, read once when the route is put:
 *
 *   /foo           exact
 *   /foo* /foo/*   prefix; `/x/*rest` also names what follows
 *   /a/:id/b       segments, where parameters are on: `:id` is one segment, not empty
 *   anything else with a `*` inside: prefix up to it, and the whole path verified by a regular expression
 *
 * APISIX: `:` and a naming `*` count at the start of a segment only. There, `/foo:bar` is the prefix `/foo` and
 * `/x*y` the prefix `/x`; here the first is that exact path, and the second also demands the `y`.
 */
import { ConfigError } from '../../errors/gateway-error.ts';

/** A named part of the path, by the index of its segment after the prefix; `rest`: all from there on. */
interface Capture {
  readonly name: string;
  readonly segment: number;
  readonly rest: boolean;
}

export interface UriPattern {
  readonly kind: 'exact' | 'prefix' | 'segments';
  /** The literal start, for `exact` all of it; for `segments` it ends with `/`. */
  readonly prefix: string;
  /** Apart, as most routes have none of it and there may be 100,000 of them. */
  readonly extra: PatternExtra | undefined;
}

export interface PatternExtra {
  /** Only `segments`: what follows the prefix; undefined is a parameter. */
  readonly segments: readonly (string | undefined)[];
  /** Only `segments`: whatever follows the last of `segments`, even nothing, matches. */
  readonly openEnd: boolean;
  readonly captures: readonly Capture[];
  /** Verifies the whole path; its named parts are its groups, in the order of `names`. */
  readonly expression: RegExp | undefined;
  readonly names: readonly string[];
}

const none: readonly never[] = [];
const noExtra: PatternExtra = { segments: none, openEnd: false, captures: none, expression: undefined, names: none };

/** What `:name` or `*name` names; nothing for other parts. */
function captureOf(part: string, segment: number): Capture[] {
  const rest = part.startsWith('*');
  return part.length > 1 && (rest || part.startsWith(':')) ? [{ name: part.slice(1), segment, rest }] : [];
}

function parseSegments(uri: string, prefix: string): UriPattern {
  const parts = uri.slice(prefix.length).split('/');
  if (parts.includes(':')) throw new ConfigError(`invalid uri ${uri}: a parameter without a name`);
  const openEnd = parts.at(-1)?.startsWith('*') ?? false;
  const segments = (openEnd ? parts.slice(0, -1) : parts).map((part) => (part.startsWith(':') ? undefined : part));
  return { kind: 'segments', prefix, extra: { ...noExtra, segments, openEnd, captures: parts.flatMap(captureOf) } };
}

function parseIrregular(uri: string, prefix: string, parameters: boolean): UriPattern {
  const names: string[] = [];
  const source = uri
    .split('/')
    .map((part) => {
      if (parameters && part.length > 1 && part.startsWith(':')) {
        names.push(part.slice(1));
        return '([^/]+)';
      }
      if (part.length > 1 && part.startsWith('*') && !part.includes('*', 1)) {
        names.push(part.slice(1));
        return '([^]*)';
      }
      return part.replace(/[\\^$.+?()[\]{}|]/g, '\\$&').replaceAll('*', '[^]*');
    })
    .join('/');
  return { kind: 'prefix', prefix, extra: { ...noExtra, expression: new RegExp(`^${source}$`), names } };
}

/** Throws ConfigError, naming the uri, for one that no path could match. */
export function parseUri(uri: string, parameters: boolean): UriPattern {
  if (!uri.startsWith('/') && !uri.startsWith('*')) throw new ConfigError(`invalid uri ${uri}: it must start with /`);
  const star = uri.indexOf('*');
  const firstParameter = parameters ? uri.indexOf('/:') + 1 : 0;
  if (firstParameter > 0 && (star === -1 || firstParameter < star)) {
    const prefix = uri.slice(0, firstParameter);
    // The one star that a segment tree can hold is a whole last segment.
    const regular = star === -1 || (uri.charAt(star - 1) === '/' && !/[/*]/.test(uri.slice(star + 1)));
    return regular ? parseSegments(uri, prefix) : parseIrregular(uri, prefix, parameters);
  }
  if (star === -1) return { kind: 'exact', prefix: uri, extra: undefined };
  const prefix = uri.slice(0, star);
  const name = uri.slice(star + 1);
  if (name === '') return { kind: 'prefix', prefix, extra: undefined };
  if (!prefix.endsWith('/') || /[/*]/.test(name)) return parseIrregular(uri, prefix, parameters);
  return { kind: 'prefix', prefix, extra: { ...noExtra, captures: [{ name, segment: 0, rest: true }] } };
}

/** The named parts of a path that `pattern` matches; undefined where it names none. */
export function readParams({ prefix, extra }: UriPattern, path: string): Map<string, string> | undefined {
  if (extra === undefined) return undefined;
  if (extra.captures.length > 0) {
    const params = new Map<string, string>();
    let at = prefix.length;
    let segment = 0;
    for (const capture of extra.captures) {
      for (; segment < capture.segment; segment++) at = path.indexOf('/', at) + 1;
      const slash = capture.rest ? -1 : path.indexOf('/', at);
      params.set(capture.name, slash === -1 ? path.slice(at) : path.slice(at, slash));
    }
    return params;
  }
  if (extra.names.length === 0) return undefined;
  const found = extra.expression?.exec(path);
  return new Map(extra.names.map((name, i) => [name, found?.[i + 1] ?? '']));
}
