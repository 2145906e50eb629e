import assert from 'node:assert/strict';
import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { createServer, type ServerResponse } from 'node:http';
import { test } from 'node:test';
import { createHttpClients } from '../../plugin/http-client/client.ts';
import type { Reply } from '../../plugin/plugin.ts';
import { compilePlugin, ResourcePool, TestExchange, type HarnessOptions } from '../../plugin/testing/index.ts';
import { jwtAuth } from './index.ts';
import { IssuerKeys, readKeySet } from './issuer-keys.ts';

const now = Math.floor(Date.now() / 1000);
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const otherRsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });

function jwk(key: KeyObject, fields: object): object {
  return { ...key.export({ format: 'jwk' }), ...fields };
}

const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

function token(payload: object, header: object = {}, key: KeyObject = rsa.privateKey): string {
  const input = `${encode({ alg: 'RS256', kid: 'one', ...header })}.${encode({ exp: now + 60, ...payload })}`;
  return `${input}.${sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

interface Issuer extends AsyncDisposable {
  readonly url: string;
  /** Requests so far. */
  count: number;
  keys: object[];
  /** What is answered instead of the keys. */
  answer: ((response: ServerResponse) => void) | undefined;
}

async function startIssuer(): Promise<Issuer> {
  const server = createServer((request, response) => {
    issuer.count++;
    if (issuer.answer !== undefined) issuer.answer(response);
    else if (request.url === '/.well-known/openid-configuration') {
      response.end(JSON.stringify({ issuer: issuer.url, jwks_uri: `${issuer.url}/jwks` }));
    } else response.end(JSON.stringify({ keys: issuer.keys }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
  const issuer: Issuer = {
    url: `http://127.0.0.1:${port}`,
    count: 0,
    keys: [jwk(rsa.publicKey, { kid: 'one', use: 'sig' })],
    answer: undefined,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
  return issuer;
}

/** Compiles once; each call is one request. */
function gate(config: object, options: HarnessOptions = {}) {
  const { state, logged } = compilePlugin(jwtAuth, config, options);
  const send = async (value: string): Promise<{ reply: Reply | undefined; exchange: TestExchange }> => {
    const exchange = new TestExchange({ headers: { Authorization: `Bearer ${value}` } });
    let reply;
    try {
      reply = (await jwtAuth.rewrite?.(state, exchange)) ?? undefined;
    } catch (error) {
      reply = { status: (error as { status: number }).status, reason: 'thrown' };
    }
    return { reply, exchange };
  };
  return { send, logged, dispose: () => jwtAuth.dispose?.(state) };
}

test('a token of the issuer passes without a consumer, and its keys are fetched once', async () => {
  await using issuer = await startIssuer();
  const { send, dispose } = gate({ jwks_uri: `${issuer.url}/jwks` });
  const answers = await Promise.all([send(token({ sub: 'a' })), send(token({ sub: 'b' })), send(token({ sub: 'a' }))]);
  for (const { reply, exchange } of answers) {
    assert.equal(reply, undefined);
    assert.equal(exchange.consumer, undefined);
  }
  assert.deepEqual(answers[0].exchange.context.get('external_user'), { exp: now + 60, sub: 'a' });
  assert.equal(issuer.count, 1);
  dispose();
});

test('configurations of one issuer share its keys', async () => {
  await using issuer = await startIssuer();
  const shared = new ResourcePool();
  const gates = [1, 2, 3].map(() => gate({ jwks_uri: `${issuer.url}/jwks` }, { shared }));
  for (const { send } of gates) assert.equal((await send(token({}))).reply, undefined);
  assert.equal(issuer.count, 1);
  for (const { dispose } of gates) dispose();
  assert.equal(shared.size, 0);
});

test('the algorithms are the configuration’s, and a key serves only the one it names', async () => {
  await using issuer = await startIssuer();
  issuer.keys.push(jwk(ec.publicKey, { kid: 'ec' }), jwk(otherRsa.publicKey, { kid: 'pss', alg: 'PS256' }));
  const { send } = gate({ jwks_uri: `${issuer.url}/jwks` });
  const es256 = token({}, { alg: 'ES256', kid: 'ec' }, ec.privateKey);
  assert.equal((await send(es256)).reply?.reason, 'jwt-auth.unknown_issuer_key');
  const both = gate({ jwks_uri: `${issuer.url}/jwks`, algorithms: ['RS256', 'ES256'] });
  assert.equal((await both.send(es256)).reply, undefined);
  assert.equal((await both.send(token({}, { kid: 'pss' }, otherRsa.privateKey))).reply?.status, 401);
  for (const alg of ['none', 'HS256', 'RS512', '__proto__', '']) {
    assert.equal((await send(token({}, { alg }))).reply?.status, 401, alg);
  }
  assert.equal((await send(token({}, {}, otherRsa.privateKey))).reply?.reason, 'jwt-auth.bad_signature');
});

test('discovery names keys and issuer, and the issuer must be the token’s', async () => {
  await using issuer = await startIssuer();
  const { send } = gate({ discovery: `${issuer.url}/.well-known/openid-configuration`, audience: 'api' });
  assert.equal((await send(token({ iss: issuer.url, aud: 'api' }))).reply, undefined);
  assert.equal((await send(token({ iss: 'https://other', aud: 'api' }))).reply?.reason, 'jwt-auth.wrong_issuer');
  assert.equal((await send(token({ aud: 'api' }))).reply?.reason, 'jwt-auth.wrong_issuer');
  assert.equal((await send(token({ iss: issuer.url, aud: 'web' }))).reply?.reason, 'jwt-auth.wrong_audience');
});

test('an issuer that fails, hangs, redirects, answers garbage or too much: 503, and never a pass', async () => {
  await using issuer = await startIssuer();
  const failures: ((response: ServerResponse) => void)[] = [
    (response) => response.writeHead(500).end(),
    (response) => response.end('garbage'),
    (response) => response.end('{"keys":{}}'),
    (response) => {
      // Where it points to the keys are good.
      if (response.req.url === '/jwks') response.writeHead(302, { Location: '/elsewhere' }).end();
      else response.end(JSON.stringify({ keys: issuer.keys }));
    },
    (response) => response.end(`{"keys":[],"x":"${'x'.repeat(1_100_000)}"}`),
    (response) => response.destroy(),
    () => undefined,
  ];
  for (const answer of failures) {
    issuer.answer = answer;
    const config = { jwks_uri: `${issuer.url}/jwks`, jwks_timeout: 200, anonymous_consumer: 'guest' };
    const { send, logged } = gate(config, { consumers: { guest: undefined } });
    const { reply, exchange } = await send(token({}));
    assert.equal(reply?.status, 503, String(answer));
    assert.equal(exchange.consumer, undefined);
    assert.match(logged.join('\n'), /fetching the keys of the issuer failed/);
  }
  const unreachable = gate({ jwks_uri: 'http://127.0.0.1:1/jwks' });
  assert.equal((await unreachable.send(token({}))).reply?.status, 503);
});

function keysOf({ url }: { readonly url: string }, ttlMs: number, now: () => number): IssuerKeys {
  const log = { error: () => undefined, warn: () => undefined, info: () => undefined };
  return new IssuerKeys({
    jwksUri: `${url}/jwks`,
    discovery: undefined,
    algorithms: ['RS256'],
    ttlMs,
    timeoutMs: 1000,
    tls: {},
    http: createHttpClients({ shared: new ResourcePool(), log }),
    log,
    now,
  });
}

test('an unknown key id asks the issuer again, but no forger makes it ask often', async () => {
  await using issuer = await startIssuer();
  let clock = 0;
  const keys = keysOf(issuer, 300_000, () => clock);
  assert.ok(await keys.find('one', 'RS256'));
  for (let i = 0; i < 100; i++) assert.equal(await keys.find(`forged ${String(i)}`, 'RS256'), undefined);
  assert.equal(issuer.count, 1);
  clock = 10_000;
  issuer.keys.push(jwk(otherRsa.publicKey, { kid: 'two' }));
  const [first, second] = await Promise.all([keys.find('two', 'RS256'), keys.find('two', 'RS256')]);
  assert.ok(first !== undefined && first === second);
  assert.equal(issuer.count, 2);
  keys.close();
});

test('keys are renewed behind the requests, serve on while that fails, and not for ever', async () => {
  await using issuer = await startIssuer();
  let clock = 0;
  const keys = keysOf(issuer, 1000, () => clock);
  const first = await keys.find('one', 'RS256');
  assert.ok(first);
  issuer.answer = (response) => response.writeHead(500).end();
  clock = 2000;
  assert.equal(keys.find('one', 'RS256'), first);
  clock = 1000 + 3_600_001;
  await assert.rejects(async () => keys.find('one', 'RS256'), /could not be fetched/);
  issuer.answer = undefined;
  clock += 2000;
  assert.ok(await keys.find('one', 'RS256'));
  keys.close();
});

test('a key that the issuer takes back ends the tokens that were verified with it', async () => {
  await using issuer = await startIssuer();
  const { send } = gate({ jwks_uri: `${issuer.url}/jwks`, jwks_ttl: 1 });
  assert.equal((await send(token({}))).reply, undefined);
  issuer.keys = [jwk(otherRsa.publicKey, { kid: 'one' })];
  const deadline = Date.now() + 20_000;
  let reply;
  do {
    await new Promise((resolve) => setTimeout(resolve, 50));
    ({ reply } = await send(token({})));
  } while (reply === undefined && Date.now() < deadline);
  assert.equal(reply?.reason, 'jwt-auth.bad_signature');
});

test('keys for encryption, secrets, short RSA keys and garbage are left out; without a kid only a single key is meant', () => {
  const short = generateKeyPairSync('rsa', { modulusLength: 1024 });
  const list = [
    null,
    7,
    {},
    { kty: 'oct', k: 'c2VjcmV0', kid: 'secret' },
    { kty: 'RSA', kid: 'broken', n: 'x', e: '' },
    jwk(rsa.publicKey, { kid: 'enc', use: 'enc' }),
    jwk(rsa.publicKey, { kid: 'ops', key_ops: ['encrypt'] }),
    jwk(short.publicKey, { kid: 'short' }),
    jwk(rsa.publicKey, { kid: 'good' }),
  ];
  const { keys } = readKeySet(JSON.stringify({ keys: list }), undefined, ['RS256', 'PS256']);
  assert.deepEqual([...keys.keys()], ['good']);
  assert.deepEqual([...(keys.get('good')?.keys() ?? [])], ['RS256', 'PS256']);
  assert.throws(() => readKeySet('[]', undefined, ['RS256']));
  assert.throws(() => readKeySet('null', undefined, ['RS256']));
});

test('a claim names the consumer, and one that does not exist is 401', async () => {
  await using issuer = await startIssuer();
  const config = { jwks_uri: `${issuer.url}/jwks`, consumer_claim: 'preferred.name' };
  const { send } = gate(config, { consumers: { jack: undefined } });
  assert.equal((await send(token({ preferred: { name: 'jack' } }))).exchange.consumer?.username, 'jack');
  for (const preferred of [{ name: 'jill' }, { name: ['jack'] }, undefined, 'jack']) {
    const { reply } = await send(token({ preferred }));
    assert.equal(reply?.status, 401);
    assert.deepEqual(reply.body, { message: 'Invalid user key in JWT token' });
  }
});

test('a claim names the consumer group; its members are nobody else’s consumer, and who has no group is 403', async () => {
  await using issuer = await startIssuer();
  const config = { jwks_uri: `${issuer.url}/jwks`, group_claim: 'roles', groups: { admin: 'gold', user: 'silver' } };
  const { send } = gate(config, { consumers: { jack: undefined } });
  const one = (await send(token({ sub: 'jack', roles: ['x', 'user', 'admin'] }))).exchange.consumer;
  const two = (await send(token({ sub: 'jill', roles: 'admin' }))).exchange.consumer;
  assert.deepEqual([one?.groupId, one?.username, one?.customId], ['gold', 'group:gold', 'jack']);
  assert.deepEqual([two?.groupId, two?.username, two?.customId], ['gold', 'group:gold', 'jill']);
  assert.equal(one?.resource, two?.resource);
  assert.equal((await send(token({ sub: 'a\r\nb', roles: 'user' }))).exchange.consumer?.customId, undefined);
  assert.equal((await send(token({ roles: ['x'] }))).reply?.status, 403);
  assert.equal((await send(token({ roles: ['constructor'] }))).reply?.status, 403);
});

test('what cannot work is refused when written', () => {
  for (const config of [
    { jwks_uri: 'ftp://x' },
    { jwks_uri: 'x' },
    { jwks_uri: 'https://x', algorithms: ['HS256'] },
    { jwks_uri: 'https://x', algorithms: [] },
    { group_claim: 'roles' },
    { groups: { a: 'b' } },
  ]) {
    assert.throws(() => compilePlugin(jwtAuth, config), JSON.stringify(config));
  }
});
