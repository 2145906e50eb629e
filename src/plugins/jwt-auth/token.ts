/**
 * Compact JWS (RFC 7515 §7.1) → its parts, strictly: three base64url segments in their one canonical spelling, two JSON
 * objects in UTF-8, no critical extension. Says nothing about who signed it.
 */
import { isUtf8 } from 'node:buffer';
import type { JsonObject } from './claims.ts';

export interface ParsedToken {
  readonly algorithm: string;
  readonly keyId: string | undefined;
  /** Frozen to the bottom: it may be remembered and shown to many requests. */
  readonly payload: JsonObject;
  readonly signingInput: string;
  readonly signature: Buffer;
}

const compact = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/;

/** undefined: not such a token (none of the reasons is worth telling apart to a client). */
export function parseToken(token: string): ParsedToken | undefined {
  const match = compact.exec(token);
  if (match === null) return undefined;
  const [, header = '', payload = '', signature = ''] = match;
  const head = parseObject(header);
  const body = parseObject(payload);
  const bytes = decode(signature);
  if (head === undefined || body === undefined || bytes === undefined) return undefined;
  const algorithm = own(head, 'alg');
  // RFC 7515 §4.1.11: an extension that must be understood and is not makes the token invalid.
  if (typeof algorithm !== 'string' || Object.hasOwn(head, 'crit')) return undefined;
  const keyId = own(head, 'kid');
  return {
    algorithm,
    keyId: typeof keyId === 'string' ? keyId : undefined,
    payload: body,
    signingInput: token.slice(0, token.length - signature.length - 1),
    signature: bytes,
  };
}

function own(object: JsonObject, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

/** undefined where the text spells bytes that are spelt otherwise: no second text may stand for one signature. */
function decode(segment: string): Buffer | undefined {
  const bytes = Buffer.from(segment, 'base64url');
  return bytes.toString('base64url') === segment ? bytes : undefined;
}

function parseObject(segment: string): JsonObject | undefined {
  const bytes = decode(segment);
  if (bytes === undefined || !isUtf8(bytes)) return undefined;
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'), freeze);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;
  } catch {
    return undefined;
  }
}

function freeze(_: string, value: unknown): unknown {
  return Object.freeze(value);
}
