/** What plugins wrote for the request line and Host, looked at before it is sent: by the proxy, and by explain. */
import type { UpstreamRequest } from '../../plugin/exchange.ts';
import { parseAuthority } from '../authority.ts';
import { isValidFieldName } from '../http1/characters.ts';
import { hasUnsafeSegments } from '../path.ts';

/** Why it may not be sent, another path than was judged or another line; undefined: it may. */
export function unsafeOverride({ path, query, method, host }: UpstreamRequest): string | undefined {
  if (path !== undefined && hasUnsafeSegments(path)) return 'the rewritten path could be read as another one';
  if (query !== undefined && !isValidQuery(query)) return 'the rewritten query holds a space, a control byte or #';
  if (method !== undefined && !isValidFieldName(method)) return 'the rewritten method is no token';
  if (host !== undefined && !isValidHost(host)) return 'the rewritten host is no authority';
  return undefined;
}

function isValidQuery(query: string): boolean {
  return /^[\x21\x22\x24-\x7e\x80-\xff]*$/.test(query);
}

function isValidHost(host: string): boolean {
  try {
    return parseAuthority(host).host !== '';
  } catch {
    return false;
  }
}
