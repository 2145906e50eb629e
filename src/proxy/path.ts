/**
 * The one path that routing, every plugin and the upstream agree on.
 * Invariant: what is matched and what is forwarded name the same resource, or the request is refused with 400
 * (CVE-2021-43557, CVE-2025-32431, CVE-2019-9901, CVE-2021-29492).
 */
import { GatewayError } from '../errors/gateway-error.ts';

export interface NormalPath {
  /** Percent-decoded once, slashes merged, dot segments removed: what rules see. */
  readonly path: string;
  /** The same path as it goes upstream, percent-encoded. */
  readonly encoded: string;
}

/**
 * `raw`: path of the request-target, starting with '/', without query; visible ASCII, as the parser leaves it.
 * An encoded slash counts as a slash for rules and stays encoded upstream where nothing else changed.
 * Throws REQUEST_PATH_REFUSED on invalid percent-encoding, control bytes, backslashes, `..` above the root, dot segments with
 * parameters (`..;`), and overlong UTF-8, which some backends read as `.` or `/` (RFC 3629 §10).
 */
export function normalisePath(raw: string): NormalPath {
  const decoded = decodePath(raw);
  if (!/\/\/|\/\.{1,2}(?:[/;]|$)/.test(decoded)) return { path: decoded, encoded: raw };
  const path = removeDotSegments(decoded);
  if (path.includes('\ufffd')) throw refused('invalid UTF-8 in a path that needs normalising');
  return { path, encoded: encodePath(path) };
}

/**
 * As a Java servlet container reads it (`normalize_uri_like_servlet`): a segment ends at its first `;`, and what follows is
 * parameters that no rule sees. They go upstream where that leads to the same path. Refuses what `normalisePath` refuses.
 */
export function normaliseServletPath(raw: string): NormalPath {
  const whole = normalisePath(raw);
  const bare = raw.replace(/;[^/]*/g, '');
  const { path, encoded } = normalisePath(bare);
  return { path, encoded: whole.encoded === raw && encoded === bare ? raw : encoded };
}

/** Percent-encodes a decoded path for the request line; what is legal in a path stays (RFC 3986 §3.3). */
export function encodePath(path: string): string {
  return path.replace(/[^A-Za-z0-9\-._~!$&'()*+,;=:@/]+/g, encodeURIComponentStrict);
}

/**
 * True where a path that a plugin wrote still has something an upstream could resolve to another path, or bytes that no path
 * has: they would end it, or the request line (apisix#13787).
 */
export function hasUnsafeSegments(encoded: string): boolean {
  if (/[^!-~]|[#?]/.test(encoded)) return true;
  if (!/[%\\]|\/\.|\/\//.test(encoded)) return false;
  try {
    return /\/\.{1,2}(?:[/;]|$)/.test(decodePath(encoded));
  } catch {
    return true;
  }
}

function encodeURIComponentStrict(text: string): string {
  let out = '';
  for (const byte of Buffer.from(text, 'utf8')) out += `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  return out;
}

const overlong = /[\xc0\xc1][\x80-\xbf]|\xe0[\x80-\x9f]|\xf0[\x80-\x8f]/;

/** Decodes each `%XX` once; bytes over 0x7f are read as UTF-8. */
function decodePath(raw: string): string {
  let binary = raw;
  if (raw.includes('%')) {
    binary = raw.replace(/%(.{0,2})/g, (_, digits: string) => {
      if (!/^[0-9A-Fa-f]{2}$/.test(digits)) throw refused('invalid percent-encoding');
      return String.fromCharCode(Number.parseInt(digits, 16));
    });
  }
  // eslint-disable-next-line no-control-regex -- control bytes are what is looked for
  if (/[\x00-\x1f\x7f\\]/.test(binary)) throw refused('control byte or backslash in the path');
  if (!/[\x80-\xff]/.test(binary)) return binary;
  if (overlong.test(binary)) throw refused('overlong UTF-8 in the path');
  return Buffer.from(binary, 'latin1').toString('utf8');
}

function removeDotSegments(path: string): string {
  const kept: string[] = [];
  const segments = path.split('/');
  const last = segments.length - 1;
  let directory = false;
  for (const [index, segment] of segments.entries()) {
    directory = false;
    if (segment === '') {
      directory = index === last;
    } else if (segment === '.') {
      directory = true;
    } else if (segment === '..') {
      if (kept.pop() === undefined) throw refused('`..` above the root');
      directory = true;
    } else if (/^\.{1,2};/.test(segment)) {
      throw refused('dot segment with parameters');
    } else kept.push(segment);
  }
  return kept.length === 0 ? '/' : `/${kept.join('/')}${directory ? '/' : ''}`;
}

function refused(detail: string): GatewayError {
  return new GatewayError('REQUEST_PATH_REFUSED', detail);
}
