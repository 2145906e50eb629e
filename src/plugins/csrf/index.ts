/**
 * csrf: the double-submit cookie. Every response carries a signed token in a cookie; a request by an unsafe method must send
 * it back both as that cookie and in a header of the same name, which a foreign site's form cannot do. Runs in `access`.
 * APISIX: the token is signed with HMAC-SHA-256 (there, a hash of text that holds the key) and compared in constant time,
 * its random part comes from the system, and one from the future counts as expired.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { ConfigError } from '../../errors/gateway-error.ts';
import { definePlugin, type Reply } from '../../plugin/plugin.ts';

interface Config {
  key: string;
  expires: number;
  name: string;
}

interface State extends Config {
  readonly noHeader: Reply;
  readonly noCookie: Reply;
  readonly mismatch: Reply;
  readonly forged: Reply;
}

/** RFC 9110 §9.2.1. */
const safeMethods = new Set(['GET', 'HEAD', 'OPTIONS']);
/** RFC 9110 §5.1 and RFC 6265 §4.1.1: what both a field and a cookie may be called. */
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** Seconds by which clocks of several gateways may differ. */
const clockSkew = 60;

export const csrf = definePlugin<Config, State>({
  name: 'csrf',
  priority: 2980,
  version: '0.1',
  schema: {
    type: 'object',
    properties: {
      key: { type: 'string', description: 'Secret that signs tokens.' },
      expires: {
        type: 'integer',
        default: 7200,
        description: 'Seconds a token is good for; 0: the gateway does not look at its age.',
      },
      name: { type: 'string', default: 'apisix-csrf-token', description: 'Name of both the cookie and the header.' },
    },
    required: ['key'],
    encrypt_fields: ['key'],
  },

  compile(config) {
    if (!token.test(config.name)) throw new ConfigError('name: neither a header nor a cookie can be called that');
    const refusal = (reason: string, message: string): Reply => ({
      status: 401,
      body: { error_msg: message },
      reason: `csrf.${reason}`,
    });
    return {
      ...config,
      noHeader: refusal('missing_header', 'no csrf token in headers'),
      noCookie: refusal('missing_cookie', 'no csrf cookie'),
      mismatch: refusal('mismatch', 'csrf token mismatch'),
      forged: refusal('invalid_token', 'Failed to verify the csrf token signature'),
    };
  },

  access(state, exchange) {
    if (safeMethods.has(exchange.method)) return undefined;
    const sent = exchange.headers.get(state.name);
    if (sent === undefined || sent === '') return state.noHeader;
    const kept = exchange.cookie(state.name);
    if (kept === undefined || kept === '') return state.noCookie;
    if (sent !== kept) return state.mismatch;
    return isGenuine(kept, state) ? undefined : state.forged;
  },

  headerFilter(state, exchange) {
    const now = Math.floor(Date.now() / 1000);
    const random = randomBytes(16).toString('hex');
    const made = { random, expires: now, sign: sign(random, now, state.key).toString('base64') };
    const value = Buffer.from(JSON.stringify(made)).toString('base64');
    const until = new Date((now + state.expires) * 1000).toUTCString();
    exchange.response.headers.append('Set-Cookie', `${state.name}=${value};path=/;SameSite=Lax;Expires=${until}`);
  },
});

/** `issued`: seconds since 1970; under APISIX's name `expires` in the token. */
function sign(random: string, issued: number, key: string): Buffer {
  return createHmac('sha256', key)
    .update(`${random}:${String(issued)}`)
    .digest();
}

function isGenuine(value: string, { key, expires }: Config): boolean {
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.from(value, 'base64').toString('utf8'));
  } catch {
    return false;
  }
  if (typeof parsed !== 'object' || parsed === null) return false;
  const { random, expires: issued, sign: signature } = parsed as Record<string, unknown>;
  if (typeof random !== 'string' || typeof issued !== 'number' || typeof signature !== 'string') return false;
  const given = Buffer.from(signature, 'base64');
  const expected = sign(random, issued, key);
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return false;
  const age = Date.now() / 1000 - issued;
  return expires <= 0 || (age <= expires && age >= -clockSkew);
}
