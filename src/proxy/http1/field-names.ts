/**
 * What the gateway knows of a field name: its lower-case form and whether it means something to a proxy.
 * Looked up once for each field of each message; the names seen so far are kept (bounded), so that a lookup is one Map hit.
 */
import { isValidFieldName } from './characters.ts';
import { foldedName, identityHeaders } from '../../plugin/identity-headers.ts';

/** Why a field name is special. Hop-by-hop fields are never forwarded (RFC 9110 §7.6.1). */
export const FieldKind = {
  plain: 0,
  host: 1,
  connection: 2,
  contentLength: 3,
  transferEncoding: 4,
  expect: 5,
  upgrade: 6,
  /** Keep-Alive, Proxy-Connection, TE, Trailer, Proxy-Authenticate and the like. */
  hopByHop: 7,
  /** X-Forwarded-*, X-Real-IP, Forwarded: rebuilt from the socket unless the peer is trusted. */
  forwarded: 8,
  /** Set by the gateway alone: what a client sends under that name is dropped. */
  identity: 9,
  /**
   * `X_Consumer_Username`, `X.Forwarded.For`, `X!Real!IP` …: a backend that makes names of variables out of field names may
   * fold it onto the real name (GHSA-x677-9fxg-v5c5), so it is dropped.
   */
  alias: 10,
  /** X-Forwarded-Prefix and the like: a trusted peer's are passed on, nobody else's. */
  forwardedOther: 11,
  server: 12,
  date: 13,
} as const;
export type FieldKind = (typeof FieldKind)[keyof typeof FieldKind];

export interface FieldName {
  readonly lower: string;
  readonly kind: FieldKind;
  /** RFC 9110 §5.6.2; what the parser reads is, what a plugin writes may not be. */
  readonly isToken: boolean;
}

const special = new Map<string, FieldKind>([
  ['host', FieldKind.host],
  ['connection', FieldKind.connection],
  ['content-length', FieldKind.contentLength],
  ['transfer-encoding', FieldKind.transferEncoding],
  ['expect', FieldKind.expect],
  ['upgrade', FieldKind.upgrade],
  ['keep-alive', FieldKind.hopByHop],
  ['proxy-connection', FieldKind.hopByHop],
  ['proxy-authenticate', FieldKind.hopByHop],
  ['proxy-authorization', FieldKind.hopByHop],
  ['te', FieldKind.hopByHop],
  ['trailer', FieldKind.hopByHop],
  ['forwarded', FieldKind.forwarded],
  ['x-real-ip', FieldKind.forwarded],
  ['x-forwarded-for', FieldKind.forwarded],
  ['x-forwarded-host', FieldKind.forwarded],
  ['x-forwarded-port', FieldKind.forwarded],
  ['x-forwarded-proto', FieldKind.forwarded],
  ['x-forwarded-prefix', FieldKind.forwardedOther],
  ['x-forwarded-scheme', FieldKind.forwardedOther],
  ['x-forwarded-server', FieldKind.forwardedOther],
  ['x-forwarded-ssl', FieldKind.forwardedOther],
  ...identityHeaders.map((name) => [name, FieldKind.identity] as const),
  ['server', FieldKind.server],
  ['date', FieldKind.date],
]);

/** Names kept; past that a name is classified each time it is seen. */
const maxKnownNames = 4096;
const knownNames = new Map<string, FieldName>();

/** `name` as received or as written by a plugin, in any case. */
export function fieldName(name: string): FieldName {
  return knownNames.get(name) ?? learnFieldName(name);
}

function learnFieldName(name: string): FieldName {
  const lower = name.toLowerCase();
  const known = name === lower ? undefined : knownNames.get(lower);
  // Not of `lower`: U+212A is a `k` there.
  const isToken = isValidFieldName(name);
  const result = known?.isToken === isToken ? known : { lower, kind: classify(lower), isToken };
  if (knownNames.size < maxKnownNames && name.length <= 64) knownNames.set(name, result);
  return result;
}

function classify(lower: string): FieldKind {
  const kind = special.get(lower);
  if (kind !== undefined) return kind;
  const folding = foldedName(lower);
  if (folding !== lower) {
    const folded = special.get(folding);
    if (folded !== undefined) return FieldKind.alias;
  }
  return FieldKind.plain;
}
