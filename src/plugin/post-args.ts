/** Request body → the values that `post_arg.*` variables read: forms by name, JSON by dotted path. */
import { GatewayError } from '../errors/gateway-error.ts';
import type { Json } from '../resources/resource.ts';
import { parseQuery } from './request-data.ts';
import { notJson, parseStrictJson } from './strict-json.ts';

/**
 * Empty for other media types and for text that does not parse: such a variable has no value then. Throws GatewayError
 * REQUEST_MALFORMED for JSON in which an object has one key twice: the upstream may read the other one.
 */
export function parsePostArgs(contentType: string | undefined, body: Uint8Array): Record<string, Json> {
  const type = contentType?.split(';', 1)[0]?.trim().toLowerCase();
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8');
  if (type === 'application/x-www-form-urlencoded') return Object.fromEntries(parseQuery(text));
  if (type !== 'application/json') return {};
  const parsed = parseStrictJson(text);
  if ('problem' in parsed) {
    if (parsed.problem === notJson) return {};
    throw new GatewayError('REQUEST_MALFORMED', `the body ${parsed.problem}`);
  }
  const { value } = parsed;
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, Json>) : {};
}
