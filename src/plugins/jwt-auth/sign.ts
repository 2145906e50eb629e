/**
 * `GET /apisix/plugin/jwt/sign?key=KEY&payload=JSON`: a token for the consumer that owns KEY. Reachable only through a
 * route with `public-api`. What the caller sends as payload never replaces `key` and `exp`.
 */
import type { Exchange } from '../../plugin/exchange.ts';
import type { PluginApi, PluginDeps, Reply } from '../../plugin/plugin.ts';
import { queryValues } from '../../plugin/uri.ts';
import { isHmac, signHmac, signWithKey } from './algorithms.ts';
import type { CredentialState } from './credential.ts';

export const signApi: PluginApi = {
  methods: ['GET'],
  uri: '/apisix/plugin/jwt/sign',
  handler: (exchange, deps: PluginDeps<CredentialState>) => answer(exchange, deps),
};

function answer(exchange: Exchange, deps: PluginDeps<CredentialState>): Reply {
  const [key, ...others] = queryValues(exchange.query, 'key');
  if (key === undefined || key === '' || others.length > 0) return { status: 400, reason: 'jwt-auth.sign_no_key' };
  const found = deps.credentials.find(key);
  if (found === undefined) return { status: 404, reason: 'jwt-auth.sign_unknown_key' };
  const extra = parseExtra(queryValues(exchange.query, 'payload')[0]);
  if (extra === undefined) {
    return {
      status: 400,
      body: { message: 'payload is not a JSON object' },
      reason: 'jwt-auth.sign_malformed_payload',
    };
  }
  const { algorithm, signer, lifetimeSeconds } = found.state;
  if (signer === undefined) {
    return {
      status: 500,
      body: { message: 'failed to sign jwt' },
      reason: 'jwt-auth.sign_no_private_key',
      detail: 'the credential has no private_key, or a secret that could not be resolved',
    };
  }
  const payload = { ...extra, exp: Math.floor(Date.now() / 1000) + lifetimeSeconds, key };
  const input = `${encode({ typ: 'JWT', alg: algorithm })}.${encode(payload)}`;
  // compile() pairs a Buffer with the HS algorithms and a private key with the others.
  const signature = isHmac(algorithm)
    ? signHmac(algorithm, signer as Buffer, input)
    : signWithKey(algorithm, signer as Exclude<typeof signer, Buffer>, input);
  return {
    status: 200,
    headers: { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store' },
    body: `${input}.${signature}`,
  };
}

function parseExtra(text: string | undefined): object | undefined {
  if (text === undefined) return {};
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
