/** A request's body as JSON, for plugins. */
import { GatewayError } from '../errors/gateway-error.ts';
import type { Json } from '../resources/resource.ts';
import { parseStrictJson } from './strict-json.ts';

/** undefined: the body is empty. Throws GatewayError REQUEST_MALFORMED, without a word of the body. */
export function parseJsonBody(body: Uint8Array): Json | undefined {
  if (body.length === 0) return undefined;
  let text;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    throw new GatewayError('REQUEST_MALFORMED', 'the body is not JSON');
  }
  const parsed = parseStrictJson(text);
  if ('problem' in parsed) throw new GatewayError('REQUEST_MALFORMED', `the body ${parsed.problem}`);
  return parsed.value as Json;
}
