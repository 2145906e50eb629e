/** Host field and absolute-form authority → host and port (RFC 9110 §7.2, RFC 3986 §3.2). */
import { isIPv6 } from 'node:net';
import { GatewayError } from '../errors/gateway-error.ts';

export interface Authority {
  /** As received. */
  readonly raw: string;
  /** Lower case, without port and trailing dot; an IPv6 literal keeps its brackets. */
  readonly host: string;
  readonly port: number | undefined;
}

const known = new Map<string, Authority>();
const maxKnown = 2048;
const none: Authority = { raw: '', host: '', port: undefined };
const pattern = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~!$&'()*+,;=%]*)(?::([0-9]{0,5}))?$/;

/** Throws REQUEST_MALFORMED. Repeated values are remembered (bounded). */
export function parseAuthority(raw: string): Authority {
  const seen = known.get(raw);
  if (seen !== undefined) return seen;
  if (raw === '') return none;
  const match = pattern.exec(raw);
  const host = match?.[1] ?? '';
  const badLiteral = host.startsWith('[') && !isIPv6(host.slice(1, -1));
  if (match === null || host === '' || badLiteral || raw.length > 1024)
    throw new GatewayError('REQUEST_MALFORMED', 'invalid Host');
  const port = match[2] === undefined || match[2] === '' ? undefined : Number(match[2]);
  if (port !== undefined && port > 65_535) throw new GatewayError('REQUEST_MALFORMED', 'invalid port in Host');
  const lower = host.toLowerCase();
  const authority = { raw, host: lower.endsWith('.') ? lower.slice(0, -1) : lower, port };
  if (known.size >= maxKnown) known.clear();
  known.set(raw, authority);
  return authority;
}
