import assert from 'node:assert/strict';
import { createHmac, hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { createLocalCounters } from '../../plugin/counters/counters.ts';
import type { Reply } from '../../plugin/plugin.ts';
import { compilePlugin, TestExchange, type HarnessOptions, type TestExchangeInit } from '../../plugin/testing/index.ts';
import { hmacAuth } from './index.ts';

const jack: HarnessOptions = { consumers: { jack: { key_id: 'jack-key', secret_key: 'jack-secret' } } };
const today = (): string => new Date().toUTCString();

interface SignedInit {
  readonly method?: string;
  readonly target?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
  readonly listed?: readonly string[];
  readonly algorithm?: string;
  readonly keyId?: string;
  readonly secret?: string;
}

/** A request that signs itself, by the rules as they are documented. */
function signedRequest(init: SignedInit = {}): TestExchangeInit & { headers: Record<string, string> } {
  const { method = 'GET', target = '/get', keyId = 'jack-key', secret = 'jack-secret', algorithm = 'sha256' } = init;
  const headers: Record<string, string> = { Date: today(), ...init.headers };
  const listed = init.listed ?? ['@request-target', 'date'];
  const lines = listed.map((name) => {
    const value = Object.entries(headers).find(([field]) => field.toLowerCase() === name.toLowerCase())?.[1];
    return name === '@request-target' ? `${method} ${target}` : `${name}: ${value ?? ''}`;
  });
  const signature = createHmac(algorithm, secret)
    .update(`${[keyId, ...lines].join('\n')}\n`)
    .digest('base64');
  headers['Authorization'] =
    `Signature keyId="${keyId}",algorithm="hmac-${algorithm}",headers="${listed.join(' ')}",signature="${signature}"`;
  return { method, target, headers, ...(init.body === undefined ? {} : { body: init.body }) };
}

async function attempt(init: TestExchangeInit, config: object = {}, options: HarnessOptions = jack) {
  const exchange = new TestExchange(init);
  const { state, logged } = compilePlugin(hmacAuth, config, options);
  const reply = (await hmacAuth.rewrite?.(state, exchange)) as Reply | undefined;
  if (reply !== undefined) assert.equal(exchange.consumer, undefined);
  return { reply, exchange, logged };
}

async function reasonOf(init: TestExchangeInit, config: object = {}, options: HarnessOptions = jack) {
  return (await attempt(init, config, options)).reply?.reason;
}

interface Vector {
  name: string;
  algorithm: string;
  keyId: string;
  secret: string;
  method: string;
  target: string;
  headers: Record<string, string>;
  listed: string[];
  signature: string;
}

const vectors = JSON.parse(
  readFileSync(new URL('../../../test/vectors/hmac/signatures.json', import.meta.url), 'utf8'),
) as Vector[];

for (const vector of vectors) {
  test(`accepts what OpenSSL signs: ${vector.name} (${vector.algorithm})`, async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: Date.UTC(2038, 0, 19, 3, 14, 7) });
    const { keyId, algorithm, listed, signature, secret, method, target } = vector;
    const parameters = `keyId="${keyId}",algorithm="${algorithm}",headers="${listed.join(' ')}",signature="${signature}"`;
    const headers = { ...vector.headers, Authorization: `Signature ${parameters}` };
    const options = { consumers: { jack: { key_id: keyId, secret_key: secret } } };
    const { reply, exchange } = await attempt({ method, target, headers }, {}, options);
    assert.equal(reply, undefined);
    assert.equal(exchange.consumer?.username, 'jack');
  });
}

test('every algorithm passes unless allowed_algorithms leaves it out', async () => {
  for (const algorithm of ['sha1', 'sha256', 'sha512']) {
    assert.equal(await reasonOf(signedRequest({ algorithm })), undefined);
  }
  const config = { allowed_algorithms: ['hmac-sha256'] };
  assert.equal(await reasonOf(signedRequest({ algorithm: 'sha1' }), config), 'hmac-auth.algorithm_refused');
  assert.equal(await reasonOf(signedRequest({ algorithm: 'md5' })), 'hmac-auth.algorithm_refused');
});

test('APISIX’s messages', async () => {
  const message = async (Authorization?: string): Promise<unknown> =>
    (await attempt({ headers: Authorization === undefined ? {} : { Authorization } })).reply?.body;
  assert.deepEqual(await message(), { message: "client request can't be validated: missing Authorization header" });
  assert.deepEqual(await message('Basic eA=='), {
    message: "client request can't be validated: Authorization header does not start with 'Signature'",
  });
  const { reply } = await attempt(signedRequest({ secret: 'other' }));
  assert.deepEqual(reply?.body, { message: "client request can't be validated" });
  assert.deepEqual(reply.headers, { 'WWW-Authenticate': 'hmac realm="hmac"' });
});

test('a change of any signed part is 401: method, path, query, date, header, key id', async () => {
  const listed = ['@request-target', 'date', 'x-a'];
  const request = signedRequest({ target: '/get?a=1', headers: { 'X-A': 'one' }, listed });
  assert.equal(await reasonOf(request), undefined);
  const earlier = new Date(Date.now() - 10_000).toUTCString();
  for (const change of [
    { method: 'POST' },
    { target: '/get?a=2' },
    { target: '/get' },
    { target: '/Get?a=1' },
    { headers: { ...request.headers, Date: earlier } },
    { headers: { ...request.headers, 'X-A': 'two' } },
    { headers: { ...request.headers, 'X-A': ['one', 'one'] as never } },
  ]) {
    assert.equal(await reasonOf({ ...request, ...change }), 'hmac-auth.bad_signature', JSON.stringify(change));
  }
  const authorization = request.headers['Authorization'] ?? '';
  const rename = authorization.replace('jack-key', 'jack-kez');
  assert.equal(
    await reasonOf({ ...request, headers: { ...request.headers, Authorization: rename } }),
    'hmac-auth.unknown_key',
  );
  const shorter = authorization.replace(' x-a"', '"');
  assert.equal(
    await reasonOf({ ...request, headers: { ...request.headers, Authorization: shorter } }),
    'hmac-auth.bad_signature',
  );
});

test('every change of one character of Authorization is 401', async () => {
  const request = signedRequest();
  const field = request.headers['Authorization'] ?? '';
  // Past the scheme's name, which has no case (RFC 9110 §11.1).
  for (let i = 'Signature '.length; i < field.length; i++) {
    for (const character of ['A', 'b', '/', '=', '"', ',', ' ']) {
      const Authorization = field.slice(0, i) + character + field.slice(i + 1);
      if (Authorization === field) continue;
      const { reply } = await attempt({ ...request, headers: { ...request.headers, Authorization } });
      assert.equal(reply?.status, 401, Authorization);
    }
  }
});

test('Date must be signed, and near; X-Date stands in where Date is absent (apisix#13388)', async () => {
  assert.equal(await reasonOf(signedRequest({ listed: ['@request-target'] })), 'hmac-auth.unsigned_header');
  assert.equal(await reasonOf(signedRequest({ listed: [] })), 'hmac-auth.unsigned_header');
  for (const seconds of [-400, 400]) {
    const headers = { Date: new Date(Date.now() + seconds * 1000).toUTCString() };
    assert.equal(await reasonOf(signedRequest({ headers })), 'hmac-auth.clock_skew');
    assert.equal(await reasonOf(signedRequest({ headers }), { clock_skew: 500 }), undefined);
  }
  for (const date of [
    'now',
    '',
    '2038-01-19T03:14:07Z',
    '1700000000',
    `${today()} `,
    'Tue, 99 Jan 2038 03:14:07 GMT',
  ]) {
    assert.equal(await reasonOf(signedRequest({ headers: { Date: date } })), 'hmac-auth.date_malformed', date);
  }
  const { Date: _, ...headers } = signedRequest({ headers: { 'X-Date': today() }, listed: ['x-date'] }).headers;
  assert.equal(await reasonOf({ target: '/get', headers }), undefined);
  const both = signedRequest({ headers: { 'X-Date': today() }, listed: ['x-date'] });
  assert.equal(await reasonOf(both), 'hmac-auth.unsigned_header');
});

test('signed_headers must be part of the signature, whatever their case; a listed one must be there', async () => {
  const config = { signed_headers: ['X-Custom', '@request-target'] };
  const headers = { 'X-Custom': 'a' };
  const listed = ['@request-target', 'date', 'x-custom'];
  assert.equal(await reasonOf(signedRequest({ headers, listed }), config), undefined);
  assert.equal(await reasonOf(signedRequest({ headers }), config), 'hmac-auth.unsigned_header');
  assert.equal(await reasonOf(signedRequest({ listed }), config), 'hmac-auth.signed_header_missing');
});

test('a body swapped with a fresh Digest is 401: Digest is signed where it is sent (apisix#13395)', async () => {
  const digestOf = (body: string): string => `SHA-256=${hash('sha256', body, 'base64')}`;
  const config = { validate_request_body: true };
  const listed = ['@request-target', 'date', 'digest'];
  const good = signedRequest({ method: 'POST', body: '{"a":1}', headers: { Digest: digestOf('{"a":1}') }, listed });
  assert.equal(await reasonOf(good, config), undefined);
  assert.equal(await reasonOf({ ...good, body: '{"a":2}' }, config), 'hmac-auth.body_digest');
  const swapped = { ...good, body: '{"a":2}', headers: { ...good.headers, Digest: digestOf('{"a":2}') } };
  assert.equal(await reasonOf(swapped, config), 'hmac-auth.bad_signature');
  const unsigned = signedRequest({ body: 'x', headers: { Digest: digestOf('x') } });
  assert.equal(await reasonOf(unsigned, config), 'hmac-auth.unsigned_header');
  assert.equal(await reasonOf(unsigned), 'hmac-auth.unsigned_header');
  assert.equal(await reasonOf(signedRequest({ body: 'x' }), config), 'hmac-auth.unsigned_header');
  const empty = signedRequest({ headers: { Digest: digestOf('') }, listed });
  assert.equal(await reasonOf(empty, config), undefined);
});

const digests = JSON.parse(
  readFileSync(new URL('../../../test/vectors/hmac/digests.json', import.meta.url), 'utf8'),
) as { source: string; body: string; digest: string }[];

for (const { source, body, digest } of digests) {
  test(`accepts the body and Digest of ${source}`, async () => {
    const listed = ['@request-target', 'date', 'digest'];
    const request = signedRequest({ method: 'POST', body, headers: { Digest: digest }, listed });
    assert.equal(await reasonOf(request, { validate_request_body: true }), undefined);
  });
}

test('the body is not read before the signature holds', async () => {
  const request = signedRequest({ secret: 'other', headers: { Digest: 'SHA-256=x' }, listed: ['date', 'digest'] });
  const exchange = new TestExchange(request);
  exchange.body = () => assert.fail('the body was read');
  const { state } = compilePlugin(hmacAuth, { validate_request_body: true }, jack);
  const reply = await hmacAuth.rewrite?.(state, exchange);
  assert.equal(reply?.reason, 'hmac-auth.bad_signature');
});

test('with replay_protection a nonce passes once for a key, on every worker, and must be signed', async (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: 1_700_000_000_000 });
  const counters = createLocalCounters(() => Date.now());
  const options = { consumers: { ...jack.consumers, jill: { key_id: 'jill-key', secret_key: 's' } }, counters };
  const config = { replay_protection: true, clock_skew: 60 };
  const listed = ['@request-target', 'date', 'x-nonce'];
  const request = signedRequest({ headers: { 'X-Nonce': 'n-1' }, listed });
  assert.equal(await reasonOf(request, config, options), undefined);
  assert.equal(await reasonOf(request, config, options), 'hmac-auth.replayed');
  assert.equal(await reasonOf(signedRequest({ headers: { 'X-Nonce': 'n-2' }, listed }), config, options), undefined);
  const jill = { keyId: 'jill-key', secret: 's', headers: { 'X-Nonce': 'n-1' }, listed };
  assert.equal(await reasonOf(signedRequest(jill), config, options), undefined);
  const fresh = { ...request, headers: { ...request.headers, 'X-Nonce': 'n-3' } };
  assert.equal(await reasonOf(fresh, config, options), 'hmac-auth.bad_signature');
  assert.equal(await reasonOf(signedRequest(), config, options), 'hmac-auth.unsigned_header');
  assert.equal(await reasonOf(signedRequest({ listed }), config, options), 'hmac-auth.signed_header_missing');
  for (const nonce of ['', 'a b', 'x'.repeat(129)]) {
    const malformed = signedRequest({ headers: { 'X-Nonce': nonce }, listed });
    assert.equal(await reasonOf(malformed, config, options), 'hmac-auth.nonce_malformed');
  }
  // Until its date is too old, the request stays refused.
  t.mock.timers.setTime(1_700_000_000_000 + 60_000);
  assert.equal(await reasonOf(request, config, options), 'hmac-auth.replayed');
  t.mock.timers.setTime(1_700_000_000_000 + 61_000);
  assert.equal(await reasonOf(request, config, options), 'hmac-auth.clock_skew');
});

test('asking what would happen uses up no nonce, and knows a used one', async () => {
  const options = { ...jack, counters: createLocalCounters() };
  const config = { replay_protection: true };
  const request = signedRequest({ headers: { 'X-Nonce': 'n' }, listed: ['date', 'x-nonce'] });
  const asked = { ...request, dryRun: true };
  for (let i = 0; i < 2; i++) assert.equal(await reasonOf(asked, config, options), undefined);
  assert.equal(await reasonOf(request, config, options), undefined);
  for (let i = 0; i < 2; i++) assert.equal(await reasonOf(asked, config, options), 'hmac-auth.replayed');
  assert.equal(await reasonOf(request, config, options), 'hmac-auth.replayed');
});

test('a credential that has expired is another reason than an unknown one, and the same answer', async () => {
  const expired = await attempt(signedRequest(), {}, { ...jack, expired: ['jack'] });
  const unknown = await attempt(signedRequest(), {}, { consumers: {} });
  assert.equal(expired.reply?.reason, 'hmac-auth.expired');
  assert.equal(unknown.reply?.reason, 'hmac-auth.unknown_key');
  assert.deepEqual(expired.reply.body, unknown.reply.body);
});

test('a forged request does not use up a nonce', async () => {
  const options = { ...jack, counters: createLocalCounters() };
  const config = { replay_protection: true };
  const init = { headers: { 'X-Nonce': 'n' }, listed: ['date', 'x-nonce'] };
  assert.equal(await reasonOf(signedRequest({ ...init, secret: 'x' }), config, options), 'hmac-auth.bad_signature');
  assert.equal(await reasonOf(signedRequest(init), config, options), undefined);
});

test('a mismatch shows the operator the string to sign, without secrets; the client sees nothing of it', async () => {
  const headers = { Cookie: 'session=abc', 'X-Plain': 'seen' };
  const listed = ['@request-target', 'date', 'cookie', 'x-plain'];
  const request = signedRequest({ secret: 'other', target: '/get?apikey=hidden&a=', headers, listed });
  const { reply } = await attempt(request);
  const date = request.headers['Date'] ?? '';
  const whole = `jack-key\nGET /get?apikey=hidden&a=\ndate: ${date}\ncookie: session=abc\nx-plain: seen\n`;
  const detail = reply?.detail ?? '';
  const shown = `jack-key\nGET /get?apikey=***&a=\ndate: ${date}\ncookie: ***\nx-plain: seen\n`;
  assert.ok(detail.includes(JSON.stringify(shown)), detail);
  assert.ok(detail.includes(hash('sha256', whole)), detail);
  assert.doesNotMatch(detail, /hidden|session=abc|jack-secret/);
  assert.doesNotMatch(JSON.stringify(reply?.body), /string to sign/);
});

test('malformed fields are 401', async () => {
  const { Authorization = '', Date: date = '' } = signedRequest().headers;
  for (const field of [
    'Signature ',
    'Signature keyId="jack-key"',
    'Signature keyId="jack-key",signature="AAAA"',
    `${Authorization},keyId="jack-key"`,
    Authorization.replaceAll('"', ''),
    Authorization.replace('signature="', 'signature="!'),
    `${Authorization} trailing`,
  ]) {
    assert.equal(await reasonOf({ headers: { Date: date, Authorization: field } }), 'hmac-auth.malformed', field);
  }
  const twice = { target: '/get', headers: { Date: date, Authorization: [Authorization, Authorization] } };
  assert.equal(await reasonOf(twice), 'hmac-auth.malformed');
});

test('an unresolved reference is not itself the secret (apisix#13667)', async () => {
  const options = { consumers: { jack: { key_id: 'jack-key', secret_key: '$env://HMAC' } } };
  assert.equal(await reasonOf(signedRequest({ secret: '$env://HMAC' }), {}, options), 'hmac-auth.unresolved_secret');
});

test('hide_credentials removes Authorization, also where anonymous access takes over', async () => {
  const config = { hide_credentials: true };
  assert.equal((await attempt(signedRequest(), config)).exchange.headers.has('authorization'), false);
  const options = { consumers: { ...jack.consumers, guest: undefined } };
  const forged = signedRequest({ secret: 'other' });
  const { exchange } = await attempt(forged, { ...config, anonymous_consumer: 'guest' }, options);
  assert.equal(exchange.consumer?.username, 'guest');
  assert.equal(exchange.headers.has('authorization'), false);
  const { reply, logged } = await attempt(forged, { anonymous_consumer: 'nobody' });
  assert.deepEqual(reply?.body, { message: 'Invalid user authorization' });
  assert.deepEqual(logged, ['error anonymous consumer nobody does not exist']);
});
