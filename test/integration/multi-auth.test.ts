/** multi-auth over the built-in auth plugins themselves. */
import assert from 'node:assert/strict';
import { createHmac, hash } from 'node:crypto';
import { test } from 'node:test';
import { definePlugin, type Reply } from '../../src/plugin/plugin.ts';
import {
  compilePlugin,
  TestExchange,
  type HarnessOptions,
  type TestExchangeInit,
} from '../../src/plugin/testing/index.ts';
import { basicAuth } from '../../src/plugins/basic-auth/index.ts';
import { consumerRestriction } from '../../src/plugins/consumer-restriction/index.ts';
import { hmacAuth } from '../../src/plugins/hmac-auth/index.ts';
import { jwtAuth } from '../../src/plugins/jwt-auth/index.ts';
import { keyAuth } from '../../src/plugins/key-auth/index.ts';
import { multiAuth } from '../../src/plugins/multi-auth/index.ts';

const undecided = definePlugin<object, undefined>({
  name: 'undecided',
  priority: 1,
  type: 'auth',
  schema: { type: 'object' },
  compile: () => undefined,
  rewrite: async () => ({ status: 503, body: 'later' }),
});

const options: HarnessOptions = {
  others: [
    { plugin: keyAuth, consumers: { keeper: { key: 'k-1' } } },
    { plugin: basicAuth, consumers: { basil: { username: 'foo', password: 'bar' } } },
    { plugin: jwtAuth, consumers: { jill: { key: 'jill-key', secret: 's' } } },
    { plugin: hmacAuth, consumers: { hannah: { key_id: 'h', secret_key: 's' } } },
    { plugin: consumerRestriction },
    { plugin: undecided },
    { plugin: multiAuth },
  ],
};

const basic = `Basic ${Buffer.from('foo:bar').toString('base64')}`;
const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const jwtInput = `${encode({ alg: 'HS256' })}.${encode({ key: 'jill-key' })}`;
const jwt = `${jwtInput}.${createHmac('sha256', 's').update(jwtInput).digest('base64url')}`;

const everything = [{ 'basic-auth': {} }, { 'key-auth': {} }, { 'jwt-auth': {} }, { 'hmac-auth': {} }];

async function attempt(init: TestExchangeInit, plugins: object[] = everything) {
  const exchange = new TestExchange(init);
  const { state } = compilePlugin(multiAuth, { auth_plugins: plugins }, options);
  const reply = (await multiAuth.rewrite?.(state, exchange)) as Reply | undefined;
  return { reply, exchange };
}

test('whichever member knows the caller lets him in', async () => {
  assert.equal((await attempt({ headers: { apikey: 'k-1' } })).exchange.consumer?.username, 'keeper');
  assert.equal((await attempt({ headers: { Authorization: basic } })).exchange.consumer?.username, 'basil');
  assert.equal((await attempt({ headers: { Authorization: `Bearer ${jwt}` } })).exchange.consumer?.username, 'jill');
  const date = new Date().toUTCString();
  const signature = createHmac('sha256', 's').update(`h\ndate: ${date}\n`).digest('base64');
  const Authorization = `Signature keyId="h",algorithm="hmac-sha256",headers="date",signature="${signature}"`;
  const { exchange } = await attempt({ headers: { Date: date, Authorization } });
  assert.equal(exchange.consumer?.username, 'hannah');
});

test('a member that waits for the body decides in its turn', async () => {
  const date = new Date().toUTCString();
  const digest = `SHA-256=${hash('sha256', 'hello', 'base64')}`;
  const signature = createHmac('sha256', 's').update(`h\ndate: ${date}\ndigest: ${digest}\n`).digest('base64');
  const headers = {
    Date: date,
    Digest: digest,
    Authorization: `Signature keyId="h",algorithm="hmac-sha256",headers="date digest",signature="${signature}"`,
  };
  const members = [{ 'hmac-auth': { validate_request_body: true } }, { 'key-auth': {} }];
  assert.equal((await attempt({ headers, body: 'hello' }, members)).exchange.consumer?.username, 'hannah');
  assert.equal((await attempt({ headers, body: 'other' }, members)).reply?.status, 401);
  const both = { headers: { ...headers, apikey: 'k-1' }, body: 'other' };
  assert.equal((await attempt(both, members)).exchange.consumer?.username, 'keeper');
});

test('nobody known is 401 with one message; the operator reads why each member refused', async () => {
  for (const headers of [{}, { apikey: 'wrong' }]) {
    const { reply, exchange } = await attempt({ headers });
    assert.equal(reply?.status, 401);
    assert.deepEqual(reply.body, { message: 'Authorization Failed' });
    assert.equal(exchange.consumer, undefined);
  }
  const { reply } = await attempt({ headers: { Authorization: basic.slice(0, -4) } });
  // Of each member that has one (RFC 9110 §11.6.1).
  assert.deepEqual(reply?.headers, {
    'WWW-Authenticate': 'apikey realm="key", Bearer realm="jwt", hmac realm="hmac"',
  });
  assert.match(reply.detail ?? '', /^basic-auth\.\w+; key-auth\.missing; jwt-auth\.malformed; hmac-auth\.malformed/);
});

test('each member finds the request as it came, and what any of them hides does not go upstream', async () => {
  const hide = (): object => ({ hide_credentials: true });
  const members = [{ 'basic-auth': hide() }, { 'key-auth': hide() }, { 'jwt-auth': hide() }];
  const bearer = await attempt({ headers: { Authorization: `Bearer ${jwt}`, apikey: 'wrong' } }, members);
  assert.equal(bearer.exchange.consumer?.username, 'jill');
  assert.equal(bearer.exchange.headers.has('authorization'), false);
  assert.equal(bearer.exchange.headers.has('apikey'), false);
  const query = await attempt({ target: `/?a=1&apikey=wrong&jwt=${jwt}&b` }, members);
  assert.equal(query.exchange.consumer?.username, 'jill');
  assert.equal(query.exchange.upstream.query, 'a=1&b');
  const cookies = [{ 'jwt-auth': { ...hide(), cookie: 'old' } }, { 'jwt-auth': hide() }];
  const cookie = await attempt({ headers: { Cookie: `a=1; old=x; jwt=${jwt}` } }, cookies);
  assert.equal(cookie.exchange.consumer?.username, 'jill');
  assert.equal(cookie.exchange.headers.get('cookie'), 'a=1');
});

test('a member that could not decide does not turn into a plain refusal, nor does it keep others from deciding', async () => {
  const members = [{ undecided: {} }, { 'key-auth': {} }];
  assert.equal((await attempt({}, members)).reply?.status, 503);
  assert.equal((await attempt({ headers: { apikey: 'k-1' } }, members)).exchange.consumer?.username, 'keeper');
});

test('an unknown plugin, one that does not authenticate, a wrong configuration and itself are refused when written', () => {
  const compile = (auth_plugins: unknown): unknown => compilePlugin(multiAuth, { auth_plugins }, options);
  assert.throws(() => compile([{ 'key-auth': {} }]), /auth_plugins/);
  assert.throws(() => compile([{ 'key-auth': {} }, { nothing: {} }]), /unknown plugin \[nothing\]/);
  const restriction = { 'consumer-restriction': { whitelist: ['a'] } };
  assert.throws(() => compile([{ 'key-auth': {} }, restriction]), /consumer-restriction plugin is not supported/);
  assert.throws(() => compile([{ 'key-auth': {} }, { 'jwt-auth': { header: 1 } }]), /header/);
  const inner = { 'multi-auth': { auth_plugins: everything } };
  assert.throws(() => compile([{ 'key-auth': {} }, inner]), /multi-auth plugin is not supported/);
});
