import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import type { PluginDeps, Reply } from '../../plugin/plugin.ts';
import { compilePlugin, testDeps, TestExchange, type HarnessOptions } from '../../plugin/testing/index.ts';
import { jwtAuth } from './index.ts';
import { signApi } from './sign.ts';

const jack: HarnessOptions = { consumers: { jack: { key: 'user-key', secret: 'my-secret-key', exp: 120 } } };

async function call(query: string, options: HarnessOptions = jack): Promise<Reply> {
  const exchange = new TestExchange({ target: `${signApi.uri}${query}` });
  return await signApi.handler(exchange, testDeps(jwtAuth, options) as PluginDeps<never>);
}

function textOf({ body }: Reply): string {
  assert.equal(typeof body, 'string');
  return body as string;
}

function payloadOf(reply: Reply): Record<string, unknown> {
  const [, payload = ''] = textOf(reply).split('.');
  return JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>;
}

function accepted(token: string, options: HarnessOptions = jack): string | undefined {
  const exchange = new TestExchange({ headers: { Authorization: token } });
  const { state } = compilePlugin(jwtAuth, {}, options);
  void jwtAuth.rewrite?.(state, exchange);
  return exchange.consumer?.username;
}

test('the token is the whole answer, as text, and jwt-auth accepts it', async () => {
  const reply = await call('?key=user-key');
  assert.equal(reply.status, 200);
  assert.equal(reply.headers?.['Content-Type'], 'text/plain; charset=utf-8');
  const [header = ''] = textOf(reply).split('.');
  assert.deepEqual(JSON.parse(Buffer.from(header, 'base64url').toString()), { typ: 'JWT', alg: 'HS256' });
  assert.deepEqual(Object.keys(payloadOf(reply)), ['exp', 'key']);
  assert.ok(Math.abs(Number(payloadOf(reply)['exp']) - Date.now() / 1000 - 120) < 5);
  assert.equal(accepted(textOf(reply)), 'jack');
});

test('payload adds claims, and replaces neither key nor exp', async () => {
  const extra = encodeURIComponent('{"uid":10000,"key":"other","exp":9e9,"__proto__":{"key":"other"}}');
  const payload = payloadOf(await call(`?key=user-key&payload=${extra}`));
  assert.equal(payload['uid'], 10000);
  assert.equal(payload['key'], 'user-key');
  assert.ok(Number(payload['exp']) < 9e9);
});

test('a missing key is 400, an unknown one 404, a payload that is no JSON object 400', async () => {
  for (const query of ['', '?key=', '?key=user-key&key=user-key']) assert.equal((await call(query)).status, 400);
  assert.equal((await call('?key=other')).status, 404);
  for (const payload of ['x', '[]', 'null', '1', '']) {
    assert.equal((await call(`?key=user-key&payload=${payload}`)).status, 400, payload);
  }
});

test('other algorithms sign with private_key, and say so where there is none', async () => {
  for (const [algorithm, { publicKey, privateKey }] of [
    ['RS256', generateKeyPairSync('rsa', { modulusLength: 2048 })],
    ['PS512', generateKeyPairSync('rsa', { modulusLength: 2048 })],
    ['ES384', generateKeyPairSync('ec', { namedCurve: 'P-384' })],
    ['EdDSA', generateKeyPairSync('ed25519')],
  ] as const) {
    const credential = {
      key: 'user-key',
      algorithm,
      public_key: publicKey.export({ type: 'spki', format: 'pem' }),
    };
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' });
    const options = { consumers: { jack: { ...credential, private_key: pem } } };
    assert.equal(accepted(textOf(await call('?key=user-key', options)), options), 'jack', algorithm);
    const unable = await call('?key=user-key', { consumers: { jack: credential } });
    assert.equal(unable.status, 500);
    assert.deepEqual(unable.body, { message: 'failed to sign jwt' });
  }
});
