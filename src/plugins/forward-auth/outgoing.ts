/**
 * What the service is asked with. Compiled once a change. Invariants: X-Forwarded-* are the gateway's own, made from what routing saw
 * (CVE-2026-35051); no value can end a line (CVE-2026-31908); every field of a name goes out (CVE-2021-32777).
 */
import { ConfigError } from '../../errors/gateway-error.ts';
import type { Exchange } from '../../plugin/exchange.ts';
import { headerLiteral } from '../../plugin/header-operations.ts';
import { encodePath } from '../../plugin/uri.ts';
import { compileVariable } from '../../plugin/variables.ts';

export type SentHeaders = Record<string, string[]>;

export interface OutgoingHeaders {
  /** undefined: a value that no header may hold. */
  of(exchange: Exchange): SentHeaders | undefined;
  /** Some value comes from the request's body (`$post_arg.…`): it must have been read. */
  readonly readsBody: boolean;
}

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const fieldValue = /^[\t\x20-\x7e\x80-\xff]*$/;
/** Of this connection alone, or the message's framing (RFC 9110 §7.6.1): never another request's. */
const connectionOnly = new Set(
  'connection content-length expect keep-alive proxy-connection te trailer transfer-encoding upgrade'.split(' '),
);
const variable = /(?<!\\)\$(?:\{([A-Za-z_][\w.]*)\}|(post_arg\.[\w.]*\w|[A-Za-z_]\w*))/g;

/** Throws ConfigError that names the field. */
export function compileHeaders(
  requestHeaders: readonly string[],
  extraHeaders: Readonly<Record<string, string | number>>,
  withBody: boolean,
): OutgoingHeaders {
  for (const name of requestHeaders) checkName('request_headers', name);
  for (const [name, value] of Object.entries(extraHeaders)) {
    checkName('extra_headers', name);
    headerLiteral('extra_headers', name, value);
  }
  const forwarded = [
    ...new Set([...requestHeaders.map(lower), ...(withBody ? ['content-type', 'content-encoding'] : [])]),
  ];
  const extra = Object.entries(extraHeaders).map(([name, value]) => [lower(name), compileText(String(value))] as const);
  return {
    readsBody: Object.values(extraHeaders).some((value) => /\$\{?post_arg[._]/.test(String(value))),
    of(exchange) {
      const sent: SentHeaders = {};
      for (const name of forwarded) {
        const values = exchange.headers.getAll(name);
        if (values.length > 0) sent[name] = values;
      }
      for (const [name, text] of extra) {
        const value = latin1(text(exchange));
        if (!fieldValue.test(value)) return undefined;
        sent[name] = [value];
      }
      const { headers, scheme, host, path, query } = exchange;
      sent['x-forwarded-proto'] = [headers.get('x-forwarded-proto') ?? scheme];
      sent['x-forwarded-method'] = [exchange.method];
      sent['x-forwarded-host'] = [headers.get('x-forwarded-host') ?? host];
      // The path that routing matched, not the target as it came: the service judges the resource that is served.
      sent['x-forwarded-uri'] = [encodePath(path) + (query === '' ? '' : `?${query}`)];
      sent['x-forwarded-for'] = [exchange.remoteAddress];
      return sent;
    },
  };
}

function checkName(where: string, name: string): void {
  if (!token.test(name)) throw new ConfigError(`${where}: ${JSON.stringify(name)} is no name of a header`);
  if (connectionOnly.has(lower(name)))
    throw new ConfigError(`${where}: ${name} belongs to the connection and is not sent on`);
}

function lower(name: string): string {
  return name.toLowerCase();
}

function compileText(template: string): (exchange: Exchange) => string {
  const parts: ((exchange: Exchange) => string)[] = [];
  let at = 0;
  for (const found of template.matchAll(variable)) {
    const before = template.slice(at, found.index);
    const read = compileVariable(found[1] ?? found[2] ?? '');
    parts.push((exchange) => before + (read(exchange) ?? ''));
    at = found.index + found[0].length;
  }
  const rest = template.slice(at);
  return (exchange) => parts.reduce((text, part) => text + part(exchange), '') + rest;
}

/** Text beyond Latin-1 goes as UTF-8. */
function latin1(text: string): string {
  return /[^\0-\xff]/.test(text) ? Buffer.from(text, 'utf8').toString('latin1') : text;
}
