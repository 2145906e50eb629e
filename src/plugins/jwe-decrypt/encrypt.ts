/**
 * `GET /apisix/plugin/jwe/encrypt?key=KEY&payload=TEXT`: a token for the consumer that owns KEY. Reachable only through a
 * route with `public-api`.
 */
import { createCipheriv, randomBytes } from 'node:crypto';
import type { Exchange } from '../../plugin/exchange.ts';
import type { PluginApi, PluginDeps, Reply } from '../../plugin/plugin.ts';
import type { CredentialState } from './index.ts';

export const encryptApi: PluginApi = {
  methods: ['GET'],
  uri: '/apisix/plugin/jwe/encrypt',
  handler: (exchange, deps: PluginDeps<CredentialState>) => answer(exchange, deps),
};

function answer(exchange: Exchange, deps: PluginDeps<CredentialState>): Reply {
  const key = exchange.arg('key');
  if (key === undefined || key === '') return { status: 400, reason: 'jwe-decrypt.encrypt_no_key' };
  const secret = deps.credentials.find(key)?.state;
  if (secret === undefined) return { status: 404, reason: 'jwe-decrypt.encrypt_unknown_key' };
  const header = Buffer.from(JSON.stringify({ alg: 'dir', enc: 'A256GCM', kid: key })).toString('base64url');
  const iv = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', secret, iv).setAAD(Buffer.from(header, 'latin1'));
  const ciphertext = Buffer.concat([cipher.update(exchange.arg('payload') ?? '', 'utf8'), cipher.final()]);
  const parts = [iv, ciphertext, cipher.getAuthTag()].map((bytes) => bytes.toString('base64url'));
  return {
    status: 200,
    headers: { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store' },
    body: `${header}..${parts.join('.')}`,
  };
}
