/** Request body → the values that `post_arg.*` variables read: forms by name, JSON by dotted path. */
import type { Json } from '../resources/resource.ts';
import { parseQuery } from './request-data.ts';

/** Empty for other media types and for text that does not parse: such a variable has no value then. */
export function parsePostArgs(contentType: string | undefined, body: Uint8Array): Record<string, Json> {
  const type = contentType?.split(';', 1)[0]?.trim().toLowerCase();
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8');
  if (type === 'application/x-www-form-urlencoded') return Object.fromEntries(parseQuery(text));
  if (type === 'application/json') {
    try {
      const value = JSON.parse(text) as Json;
      if (value !== null && typeof value === 'object' && !Array.isArray(value)) return value;
    } catch {
      // Not JSON after all.
    }
  }
  return {};
}
