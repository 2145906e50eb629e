import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { test } from 'node:test';
import { compilePlugin, TestExchange, type HarnessOptions } from '../../plugin/testing/index.ts';
import { jwtAuth } from './index.ts';

const now = Math.floor(Date.now() / 1000);
const secret = 'my-secret-key';
const jack: HarnessOptions = { consumers: { jack: { key: 'user-key', secret } } };

function encode(value: unknown): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
}

function hs256(payload: unknown, key: string | Buffer = secret, header: object = { typ: 'JWT', alg: 'HS256' }): string {
  const input = `${encode(header)}.${encode(payload)}`;
  return `${input}.${createHmac('sha256', key).update(input).digest('base64url')}`;
}

const good = hs256({ key: 'user-key', exp: now + 60 });

function attempt(
  init: ConstructorParameters<typeof TestExchange>[0],
  config: object = {},
  options: HarnessOptions = jack,
) {
  const exchange = new TestExchange(init);
  const { state, logged } = compilePlugin(jwtAuth, config, options);
  const reply = jwtAuth.rewrite?.(state, exchange);
  assert.ok(!(reply instanceof Promise), "consumers' keys are at hand");
  return { reply: reply ?? undefined, exchange, logged };
}

function withToken(token: string, config: object = {}, options: HarnessOptions = jack) {
  return attempt({ headers: { Authorization: token } }, config, options);
}

function reasonOf(token: string, config: object = {}, options: HarnessOptions = jack): string | undefined {
  const { reply, exchange } = withToken(token, config, options);
  if (reply !== undefined) assert.equal(exchange.consumer, undefined);
  return reply?.reason;
}

test('a good token attaches its consumer, from header with or without Bearer, query and cookie', () => {
  for (const init of [
    { headers: { Authorization: good } },
    { headers: { Authorization: `Bearer ${good}` } },
    { headers: { Authorization: `bearer ${good}` } },
    { target: `/?jwt=${good}` },
    { headers: { Cookie: `a=b; jwt=${good}` } },
  ]) {
    const { reply, exchange } = attempt(init);
    assert.equal(reply, undefined);
    assert.equal(exchange.consumer?.username, 'jack');
  }
});

test('no token is 401 with a challenge', () => {
  assert.deepEqual(attempt({}).reply, {
    status: 401,
    headers: { 'WWW-Authenticate': 'Bearer realm="jwt"' },
    body: { message: 'Missing JWT token in request' },
    reason: 'jwt-auth.missing',
  });
  assert.deepEqual(attempt({}, { realm: 'nexus' }).reply?.headers, { 'WWW-Authenticate': 'Bearer realm="nexus"' });
});

test('the names of header, query parameter and cookie are configurable; the header goes first, then the query', () => {
  const config = { header: 'X-Token', query: 'token', cookie: 'session' };
  assert.equal(attempt({ headers: { 'x-token': good } }, config).exchange.consumer?.username, 'jack');
  assert.equal(attempt({ target: `/?token=${good}` }, config).exchange.consumer?.username, 'jack');
  assert.equal(attempt({ headers: { Cookie: `session=${good}` } }, config).exchange.consumer?.username, 'jack');
  assert.equal(attempt({ target: `/?token=${good}`, headers: { 'X-Token': 'no' } }, config).reply?.status, 401);
  const cookie = { Cookie: `session=${good}` };
  assert.equal(attempt({ target: '/?token=no', headers: cookie }, config).reply?.status, 401);
  assert.equal(attempt({ headers: { Authorization: good } }, config).reply?.reason, 'jwt-auth.missing');
});

test('two tokens in one place are 401, even twice the same', () => {
  assert.equal(attempt({ headers: { Authorization: [good, good] } }).reply?.reason, 'jwt-auth.ambiguous');
  assert.equal(attempt({ target: `/?jwt=${good}&j%77t=x` }).reply?.reason, 'jwt-auth.ambiguous');
});

test('APISIX’s messages: which key is missing or unknown, and one message for every failed verification', () => {
  assert.deepEqual(withToken('x').reply?.body, { message: 'JWT token invalid' });
  assert.deepEqual(withToken(hs256({ exp: now + 60 })).reply?.body, { message: 'missing user key in JWT token' });
  assert.deepEqual(withToken(hs256({ key: 'other' })).reply?.body, { message: 'Invalid user key in JWT token' });
  assert.deepEqual(withToken(hs256({ key: 'user-key' }, 'wrong')).reply?.body, { message: 'failed to verify jwt' });
  const expired = hs256({ key: 'user-key', exp: now - 1 });
  assert.deepEqual(withToken(expired).reply?.body, { message: 'failed to verify jwt' });
});

test('key_claim_name says which claim names the credential', () => {
  const token = hs256({ iss: 'user-key', key: 'other' });
  assert.equal(withToken(token, { key_claim_name: 'iss' }).exchange.consumer?.username, 'jack');
  for (const key of [1, true, null, ['user-key'], { a: 1 }]) {
    assert.equal(reasonOf(hs256({ key })), 'jwt-auth.missing_key_claim');
  }
  assert.equal(reasonOf(hs256({}), { key_claim_name: 'constructor' }), 'jwt-auth.missing_key_claim');
});

test('exp and nbf hold whenever present, and lifetime_grace_period gives leeway on both', () => {
  const lenient = { consumers: { jack: { key: 'user-key', secret, lifetime_grace_period: 30 } } };
  const expired = hs256({ key: 'user-key', exp: now - 10 });
  const early = hs256({ key: 'user-key', nbf: now + 10 });
  assert.equal(reasonOf(expired), 'jwt-auth.expired');
  assert.equal(reasonOf(early), 'jwt-auth.not_yet_valid');
  assert.equal(reasonOf(expired, {}, lenient), undefined);
  assert.equal(reasonOf(early, {}, lenient), undefined);
  assert.equal(reasonOf(hs256({ key: 'user-key', exp: now - 40 }), {}, lenient), 'jwt-auth.expired');
  assert.equal(reasonOf(hs256({ key: 'user-key' })), undefined);
});

test('an empty claims_to_verify skips nothing, and a listed claim that is missing is 401 (apisix#13468)', () => {
  assert.equal(reasonOf(hs256({ key: 'user-key', exp: now - 1 }), { claims_to_verify: [] }), 'jwt-auth.expired');
  assert.equal(reasonOf(hs256({ key: 'user-key', exp: now - 1 }), { claims_to_verify: ['exp'] }), 'jwt-auth.expired');
  assert.equal(reasonOf(hs256({ key: 'user-key' }), { claims_to_verify: ['exp'] }), 'jwt-auth.claim_missing');
  assert.equal(reasonOf(good, { claims_to_verify: ['exp', 'nbf'] }), 'jwt-auth.claim_missing');
  assert.equal(reasonOf(good, { claims_to_verify: ['exp'] }), undefined);
});

test('an exp or nbf that is no finite number is 401', () => {
  for (const exp of ['"9999999999"', 'null', 'true', '[9999999999]', '1e999']) {
    assert.equal(reasonOf(hs256(`{"key":"user-key","exp":${exp}}`)), 'jwt-auth.claim_invalid', exp);
    assert.equal(reasonOf(hs256(`{"key":"user-key","nbf":${exp}}`)), 'jwt-auth.claim_invalid', exp);
  }
});

test('issuer, audience and scopes are required where configured; a missing scope is 403', () => {
  const token = hs256({ key: 'user-key', iss: 'https://id', aud: ['a', 'b'], scope: 'read write', scp: ['admin'] });
  assert.equal(reasonOf(token, { issuer: 'https://id', audience: 'b', scopes: ['write', 'admin'] }), undefined);
  assert.equal(reasonOf(token, { issuer: ['x', 'https://id'], audience: ['x', 'a'] }), undefined);
  assert.equal(reasonOf(token, { issuer: 'https://other' }), 'jwt-auth.wrong_issuer');
  assert.equal(reasonOf(token, { audience: 'c' }), 'jwt-auth.wrong_audience');
  assert.equal(reasonOf(hs256({ key: 'user-key' }), { audience: 'c' }), 'jwt-auth.wrong_audience');
  assert.equal(reasonOf(hs256({ key: 'user-key', iss: 7 }), { issuer: '7' }), 'jwt-auth.wrong_issuer');
  const { reply } = withToken(token, { scopes: ['read', 'delete'] });
  assert.equal(reply?.status, 403);
  assert.equal(reply.reason, 'jwt-auth.missing_scope');
});

test('every change of one character of a token is 401', () => {
  for (let i = 0; i < good.length; i++) {
    const characters = new Set('AQgw-_.=+/ '.split('').concat(String.fromCharCode(good.charCodeAt(i) ^ 1)));
    characters.delete(good[i] ?? '');
    for (const character of characters) {
      const mutation = good.slice(0, i) + character + good.slice(i + 1);
      const { reply, exchange } = attempt({ headers: { 'X-Token': mutation } }, { header: 'X-Token' });
      assert.equal(reply?.status, 401, mutation);
      assert.equal(exchange.consumer, undefined);
    }
    assert.equal(withToken(good.slice(0, i) + good.slice(i + 1)).reply?.status, 401);
  }
  for (const mutation of [`${good}=`, `${good}A`, `${good}.`, `.${good}`, good.toUpperCase(), `${good} `]) {
    assert.equal(withToken(mutation).reply?.status, 401, mutation);
  }
});

test('none, an empty signature and a JWE-shaped token are 401 (CVE-2026-39999, CVE-2026-22817)', () => {
  const payload = encode({ key: 'user-key', exp: now + 60 });
  for (const alg of ['none', 'None', 'NONE', 'nOnE', '']) {
    const head = encode({ alg });
    assert.equal(withToken(`${head}.${payload}.`).reply?.status, 401);
    assert.equal(withToken(`${head}.${payload}`).reply?.status, 401);
    assert.equal(withToken(`${head}.${payload}.AA`).reply?.reason, 'jwt-auth.algorithm_mismatch');
  }
  assert.equal(withToken(`${encode({ alg: 'HS256' })}.${payload}.`).reply?.reason, 'jwt-auth.malformed');
  assert.equal(withToken(`${encode({ alg: 'dir', enc: 'A256GCM' })}..AAAA.AAAA.AAAA`).reply?.status, 401);
  assert.equal(withToken(`${good}.AAAA.AAAA`).reply?.status, 401);
});

test('the algorithm is the credential’s: HS256 signed with the RSA public key is 401 (CVE-2026-39999)', () => {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pem = publicKey.export({ type: 'spki', format: 'pem' });
  const options = { consumers: { jack: { key: 'user-key', algorithm: 'RS256', public_key: pem } } };
  const payload = { key: 'user-key', exp: now + 60 };
  for (const spelling of [pem, pem.trimEnd(), publicKey.export({ type: 'spki', format: 'der' })]) {
    assert.equal(reasonOf(hs256(payload, spelling), {}, options), 'jwt-auth.algorithm_mismatch');
    assert.equal(reasonOf(hs256(payload, spelling, { alg: 'RS256' }), {}, options), 'jwt-auth.bad_signature');
  }
  assert.equal(reasonOf(signed('RS256', privateKey, payload), {}, options), undefined);
  assert.equal(reasonOf(signed('RS512', privateKey, payload), {}, options), 'jwt-auth.algorithm_mismatch');
  assert.equal(reasonOf(signed('PS256', privateKey, payload), {}, options), 'jwt-auth.algorithm_mismatch');
});

test('a token with a critical extension is 401 (RFC 7515 §4.1.11)', () => {
  const token = hs256({ key: 'user-key' }, secret, { alg: 'HS256', crit: ['b64'], b64: false });
  assert.equal(reasonOf(token), 'jwt-auth.malformed');
});

const pairs: readonly (readonly [string, () => { publicKey: KeyObject; privateKey: KeyObject }])[] = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'].map(
    (name) => [name, () => generateKeyPairSync('rsa', { modulusLength: 2048 })] as const,
  ),
  ['ES256', () => generateKeyPairSync('ec', { namedCurve: 'P-256' })],
  ['ES384', () => generateKeyPairSync('ec', { namedCurve: 'P-384' })],
  ['ES512', () => generateKeyPairSync('ec', { namedCurve: 'P-521' })],
  ['EdDSA', () => generateKeyPairSync('ed25519')],
  ['EdDSA', () => generateKeyPairSync('ed448')],
];

function signed(algorithm: string, key: KeyObject, payload: object): string {
  const input = `${encode({ alg: algorithm })}.${encode(payload)}`;
  const hash = algorithm === 'EdDSA' ? undefined : `sha${algorithm.slice(2)}`;
  const options = algorithm.startsWith('PS') ? { padding: 6, saltLength: -1 } : { dsaEncoding: 'ieee-p1363' as const };
  return `${input}.${sign(hash, Buffer.from(input), { key, ...options }).toString('base64url')}`;
}

for (const [algorithm, generate] of pairs) {
  test(`${algorithm}: the right key passes, another one does not`, () => {
    const { publicKey, privateKey } = generate();
    const pem = publicKey.export({ type: 'spki', format: 'pem' });
    const options = { consumers: { jack: { key: 'user-key', algorithm, public_key: pem } } };
    assert.equal(reasonOf(signed(algorithm, privateKey, { key: 'user-key' }), {}, options), undefined);
    const other = signed(algorithm, generate().privateKey, { key: 'user-key' });
    assert.equal(reasonOf(other, {}, options), 'jwt-auth.bad_signature');
  });
}

test('HS384 and HS512 pass with their own length only', () => {
  for (const [algorithm, hash] of [
    ['HS384', 'sha384'],
    ['HS512', 'sha512'],
  ] as const) {
    const options = { consumers: { jack: { key: 'user-key', secret, algorithm } } };
    const input = `${encode({ alg: algorithm })}.${encode({ key: 'user-key' })}`;
    const token = `${input}.${createHmac(hash, secret).update(input).digest('base64url')}`;
    assert.equal(reasonOf(token, {}, options), undefined);
    assert.equal(reasonOf(good, {}, options), 'jwt-auth.algorithm_mismatch');
  }
});

test('base64_secret decodes the secret', () => {
  const bytes = Buffer.from([0, 255, 128, 7, 9]);
  const credential = { key: 'user-key', secret: bytes.toString('base64'), base64_secret: true };
  assert.equal(reasonOf(hs256({ key: 'user-key' }, bytes), {}, { consumers: { jack: credential } }), undefined);
  const wrong = { consumers: { jack: { ...credential, secret: 'not base64!' } } };
  assert.throws(() => withToken(good, {}, wrong), /base64_secret required but the secret is not in base64 format/);
});

test('a missing secret is made at random, and stored', () => {
  const config = { key: 'k', algorithm: 'HS512', exp: 1, base64_secret: false, lifetime_grace_period: 0 } as const;
  const first: { secret?: string } & typeof config = { ...config };
  const second: { secret?: string } & typeof config = { ...config };
  jwtAuth.credential?.complete?.(first);
  jwtAuth.credential?.complete?.(second);
  assert.equal(Buffer.from(first.secret ?? '', 'base64').length, 32);
  assert.notEqual(first.secret, second.secret);
  const publicKeyOnly = { ...config, algorithm: 'RS256' };
  jwtAuth.credential?.complete?.(publicKeyOnly as never);
  assert.equal('secret' in publicKeyOnly, false);
});

test('keys that cannot be used are refused when written, without a word of them', () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pem = rsa.publicKey.export({ type: 'spki', format: 'pem' });
  for (const [credential, message] of [
    [{ algorithm: 'RS256' }, /missing valid public key/],
    [{ algorithm: 'RS256', public_key: 'private thing' }, /missing valid public key/],
    [{ algorithm: 'ES256', public_key: pem }, /does not fit the algorithm ES256/],
    [{ algorithm: 'RS256', public_key: pem, private_key: 'private thing' }, /private_key is not a private key/],
    [{ algorithm: 'none' }, /algorithm/],
  ] as const) {
    assert.throws(
      () => withToken(good, {}, { consumers: { jack: { key: 'user-key', ...credential } } }),
      (error: Error) => message.test(error.message) && !error.message.includes('private thing'),
    );
  }
});

test('an unresolved reference is not itself the secret (apisix#13667)', () => {
  for (const reference of ['$env://JWT', '$ENV://JWT', '$secret://vault/1/jack/jwt']) {
    const options = { consumers: { jack: { key: 'user-key', secret: reference } } };
    assert.equal(reasonOf(hs256({ key: 'user-key' }, reference), {}, options), 'jwt-auth.unresolved_secret');
  }
});

test('neither reply nor log holds the token or the secret (CVE-2022-29266)', () => {
  const bad = hs256({ key: 'user-key', exp: now + 60 }, 'wrong');
  for (const token of [
    bad,
    'xxxxxx.yyyyyy.zzzzzz',
    `${encode({ alg: 'none' })}.${encode({ key: 'user-key' })}.QUJDREVG`,
  ]) {
    const { reply, logged } = withToken(token);
    const text = JSON.stringify([reply, logged]);
    assert.equal(text.includes(secret), false);
    assert.equal(text.includes(token), false);
    assert.equal(text.includes(token.slice(token.lastIndexOf('.') + 1)), false);
  }
});

test('hide_credentials takes the token out of all three places and leaves the rest as it came', () => {
  const { exchange } = attempt(
    {
      target: `/?a=%20&jwt=${good}&b`,
      headers: { Authorization: good, Cookie: [`x=1; jwt=${good}`, 'y="2"'] },
    },
    { hide_credentials: true },
  );
  assert.equal(exchange.consumer?.username, 'jack');
  assert.equal(exchange.headers.has('authorization'), false);
  assert.equal(exchange.upstream.query, 'a=%20&b');
  assert.deepEqual(exchange.headers.getAll('cookie'), ['x=1; y="2"']);
  const alone = attempt({ headers: { Cookie: `jwt=${good}` } }, { hide_credentials: true });
  assert.equal(alone.exchange.headers.has('cookie'), false);
  assert.equal(attempt({ headers: { Authorization: good } }).exchange.headers.has('authorization'), true);
});

test('anonymous access takes the place of a 401, hides a bad token, and not of a missing scope', () => {
  const options = { consumers: { ...jack.consumers, guest: undefined } };
  const config = { anonymous_consumer: 'guest', hide_credentials: true };
  for (const init of [{}, { headers: { Authorization: 'bad' } }, { target: '/?jwt=bad' }]) {
    const { reply, exchange } = attempt(init, config, options);
    assert.equal(reply, undefined);
    assert.equal(exchange.consumer?.username, 'guest');
    assert.equal(exchange.headers.has('authorization'), false);
    assert.doesNotMatch(exchange.upstream.query ?? exchange.query, /bad/);
  }
  assert.equal(withToken(good, { ...config, scopes: ['x'] }, options).reply?.status, 403);
  const { reply, logged } = attempt({}, { anonymous_consumer: 'nobody' });
  assert.deepEqual(reply?.body, { message: 'Invalid user authorization' });
  assert.deepEqual(logged, ['error anonymous consumer nobody does not exist']);
});

test('store_in_ctx keeps the payload for other plugins, and none of them can change it', () => {
  const token = hs256({ key: 'user-key', roles: ['a'], deep: { x: 1 } });
  const payload = withToken(token, { store_in_ctx: true }).exchange.context.get('jwt_auth_payload');
  assert.deepEqual(payload, { key: 'user-key', roles: ['a'], deep: { x: 1 } });
  assert.ok(Object.isFrozen(payload) && Object.isFrozen((payload as { deep: object }).deep));
  assert.equal(withToken(token).exchange.context.size, 0);
});
