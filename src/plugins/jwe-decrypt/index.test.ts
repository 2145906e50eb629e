import assert from 'node:assert/strict';
import { createCipheriv, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import type { PluginDeps } from '../../plugin/plugin.ts';
import { compilePlugin, testDeps, TestExchange, type HarnessOptions } from '../../plugin/testing/index.ts';
import { encryptApi } from './encrypt.ts';
import { jweDecrypt } from './index.ts';

const secret = '-secret-length-must-be-32-chars-';
const jack: HarnessOptions = { consumers: { jack: { key: 'user-key', secret } } };

function encrypt(
  plaintext: string,
  header: object = {},
  key: Buffer = Buffer.from(secret),
  authenticated = true,
): string {
  const head = Buffer.from(JSON.stringify({ alg: 'dir', enc: 'A256GCM', kid: 'user-key', ...header })).toString(
    'base64url',
  );
  const iv = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', key, iv);
  if (authenticated) cipher.setAAD(Buffer.from(head));
  const text = Buffer.concat([cipher.update(plaintext, 'utf8'), cipher.final()]);
  return [head, '', ...[iv, text, cipher.getAuthTag()].map((bytes) => bytes.toString('base64url'))].join('.');
}

function attempt(headers: Record<string, string | string[]>, config: object = {}, options: HarnessOptions = jack) {
  const exchange = new TestExchange({ headers });
  const { state } = compilePlugin(jweDecrypt, config, options);
  const reply = jweDecrypt.rewrite?.(state, exchange);
  assert.ok(!(reply instanceof Promise));
  return { reply: reply ?? undefined, exchange };
}

test('the plaintext takes the place of the token, or goes where forward_header says', () => {
  for (const token of [
    encrypt('hello'),
    `Bearer ${encrypt('hello')}`,
    encrypt('hello', {}, Buffer.from(secret), false),
  ]) {
    const { reply, exchange } = attempt({ Authorization: token });
    assert.equal(reply, undefined);
    assert.equal(exchange.headers.get('authorization'), 'hello');
  }
  const config = { header: 'X-Token', forward_header: 'X-Claims' };
  const { exchange } = attempt({ 'x-token': encrypt('{"a":1}'), 'x-claims': ['forged', 'twice'] }, config);
  assert.deepEqual(exchange.headers.getAll('x-claims'), ['{"a":1}']);
  assert.equal(exchange.consumer, undefined);
});

test('APISIX’s messages', () => {
  assert.deepEqual(attempt({}).reply?.body, { message: 'missing JWE token in request' });
  assert.equal(attempt({}).reply?.status, 403);
  for (const [token, message] of [
    ['x', 'JWE token invalid'],
    [encrypt('x', { kid: undefined }), 'missing kid in JWE token'],
    [encrypt('x', { kid: 'other' }), 'invalid kid in JWE token'],
    [encrypt('x', {}, randomBytes(32)), 'failed to decrypt JWE token'],
  ] as const) {
    const { reply } = attempt({ Authorization: token });
    assert.equal(reply?.status, 400);
    assert.deepEqual(reply.body, { message });
  }
});

test('no mutated token is passed on (CVE-2026-49230)', () => {
  const token = encrypt('hello');
  for (let i = 0; i < token.length; i++) {
    for (const character of ['A', 'b', '_', '.', '=']) {
      const mutation = token.slice(0, i) + character + token.slice(i + 1);
      if (mutation === token) continue;
      const { reply, exchange } = attempt({ Authorization: mutation });
      assert.equal(reply?.status, 400, mutation);
      assert.equal(exchange.headers.get('authorization'), mutation);
    }
  }
});

test('another algorithm, compression, a critical extension and an encrypted key are refused', () => {
  for (const header of [{ alg: 'A256KW' }, { enc: 'A128GCM' }, { zip: 'DEF' }, { crit: ['x'] }]) {
    assert.equal(attempt({ Authorization: encrypt('x', header) }).reply?.reason, 'jwe-decrypt.algorithm_refused');
  }
  const wrapped = encrypt('x').replace('..', '.AAAA.');
  assert.equal(attempt({ Authorization: wrapped }).reply?.reason, 'jwe-decrypt.malformed');
});

test('without strict a request without a token passes, and a forwarded header of its own does not', () => {
  const config = { strict: false, header: 'X-Token', forward_header: 'X-Claims' };
  for (const spelling of ['X-Claims', 'X_Claims', 'x.claims']) {
    const { reply, exchange } = attempt({ [spelling]: 'forged' }, config);
    assert.equal(reply, undefined);
    assert.equal(exchange.headers.has(spelling), false);
    const decrypted = attempt({ 'X-Token': encrypt('claims'), [spelling]: 'forged' }, config).exchange.headers;
    assert.equal(decrypted.get('x-claims'), 'claims');
    assert.ok(![...decrypted.entries()].flat().includes('forged'));
  }
  assert.equal(attempt({ 'X-Token': 'bad' }, config).reply?.status, 400);
});

test('a plaintext that would end the header is refused', () => {
  for (const plaintext of ['a\r\nX-Admin: 1', 'a\nb', 'a\0b']) {
    assert.equal(attempt({ Authorization: encrypt(plaintext) }).reply?.reason, 'jwe-decrypt.unfit_plaintext');
  }
});

test('a secret that is not 32 bytes is refused when written; base64 is decoded', () => {
  assert.throws(() => attempt({}, {}, { consumers: { jack: { key: 'k', secret: `${secret}x` } } }), /32 bytes/);
  const key = randomBytes(32);
  const options = {
    consumers: { jack: { key: 'user-key', secret: key.toString('base64'), is_base64_encoded: true } },
  };
  assert.equal(attempt({ Authorization: encrypt('x', {}, key) }, {}, options).reply, undefined);
});

test('the encrypting API makes tokens that decrypt, each with its own IV', async () => {
  const call = async (query: string) =>
    await encryptApi.handler(
      new TestExchange({ target: `${encryptApi.uri}${query}` }),
      testDeps(jweDecrypt, jack) as PluginDeps<never>,
    );
  const [one, two] = [await call('?key=user-key&payload=a%20b'), await call('?key=user-key&payload=a%20b')];
  assert.notEqual(one.body, two.body);
  assert.equal(attempt({ Authorization: one.body as string }).exchange.headers.get('authorization'), 'a b');
  assert.equal((await call('')).status, 400);
  assert.equal((await call('?key=other')).status, 404);
});
