import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compilePlugin, TestExchange, type HarnessOptions } from '../../plugin/testing/index.ts';
import { keyAuth } from './index.ts';

const jack: HarnessOptions = { consumers: { jack: { key: 'auth-one' } } };

function attempt(
  init: ConstructorParameters<typeof TestExchange>[0],
  config: object = {},
  options: HarnessOptions = jack,
) {
  const exchange = new TestExchange(init);
  const { state, logged } = compilePlugin(keyAuth, config, options);
  const reply = keyAuth.rewrite?.(state, exchange);
  assert.ok(!(reply instanceof Promise), 'key-auth answers at once');
  return { reply: reply ?? undefined, exchange, logged };
}

test('a known key in the header attaches its consumer', () => {
  const { reply, exchange } = attempt({ headers: { ApiKey: 'auth-one' } });
  assert.equal(reply, undefined);
  assert.equal(exchange.consumer?.username, 'jack');
});

test('a known key in the query attaches its consumer, percent-encoded or not', () => {
  assert.equal(attempt({ target: '/?apikey=auth-one' }).exchange.consumer?.username, 'jack');
  assert.equal(attempt({ target: '/?a=1&api%6Bey=auth%2Done' }).exchange.consumer?.username, 'jack');
});

test('header and query names are configurable; the header goes first', () => {
  const config = { header: 'X-Key', query: 'k' };
  assert.equal(attempt({ headers: { 'x-key': 'auth-one' } }, config).exchange.consumer?.username, 'jack');
  assert.equal(attempt({ target: '/?k=auth-one' }, config).exchange.consumer?.username, 'jack');
  assert.equal(attempt({ target: '/?k=auth-one', headers: { 'X-Key': 'no' } }, config).reply?.status, 401);
});

test('no key is 401 with a challenge', () => {
  const { reply, exchange } = attempt({});
  assert.deepEqual(reply, {
    status: 401,
    headers: { 'WWW-Authenticate': 'apikey realm="key"' },
    body: { message: 'Missing API key found in request' },
    reason: 'key-auth.missing',
  });
  assert.equal(exchange.consumer, undefined);
});

test('every one-character change of a key is 401', () => {
  const key = 'auth-one';
  const mutations = Array.from(key).flatMap((character, i) => [
    key.slice(0, i) + key.slice(i + 1),
    `${key.slice(0, i)}${String.fromCharCode(character.charCodeAt(0) ^ 1)}${key.slice(i + 1)}`,
    `${key.slice(0, i)}${character}${key.slice(i)}`,
  ]);
  for (const mutation of [...mutations, `${key} `, ` ${key}`, key.toUpperCase()]) {
    const { reply, exchange } = attempt({ headers: { apikey: mutation } });
    assert.equal(reply?.status, 401, mutation);
    assert.deepEqual(reply.body, { message: 'Invalid API key in request' });
    assert.equal(exchange.consumer, undefined);
  }
});

test('an empty key and an oversized key are 401', () => {
  for (const key of ['', 'x'.repeat(100_000)]) {
    assert.equal(attempt({ headers: { apikey: key } }).reply?.reason, 'key-auth.unknown_key');
  }
  assert.throws(() => keyAuthWith(''), /key/);
});

test('a key sent twice is 401, even twice the same', () => {
  assert.equal(attempt({ headers: { apikey: ['auth-one', 'auth-one'] } }).reply?.reason, 'key-auth.ambiguous');
  assert.equal(attempt({ target: '/?apikey=auth-one&api%6Bey=x' }).reply?.reason, 'key-auth.ambiguous');
});

test('an unresolved reference is not itself a key (apisix#13667)', () => {
  for (const key of ['$env://JACK_KEY', '$ENV://JACK_KEY', '$secret://vault/1/jack/key']) {
    const options = { consumers: { jack: { key } } };
    assert.equal(attempt({ headers: { apikey: key } }, {}, options).reply?.status, 401);
    assert.equal(attempt({ target: `/?apikey=${encodeURIComponent(key)}` }, {}, options).reply?.status, 401);
  }
});

test('a key beyond ASCII is found in a header by its UTF-8 bytes, and in a query', () => {
  const options = { consumers: { jack: { key: 'schlüssel' } } };
  const latin1 = Buffer.from('schlüssel').toString('latin1');
  assert.equal(attempt({ headers: { apikey: latin1 } }, {}, options).exchange.consumer?.username, 'jack');
  assert.equal(attempt({ target: '/?apikey=schl%C3%BCssel' }, {}, options).exchange.consumer?.username, 'jack');
});

test('hide_credentials takes the key out of header and query, and leaves the other parameters as they came', () => {
  const config = { hide_credentials: true };
  const { exchange } = attempt({ target: '/?a=%20&apikey=stale&b', headers: { apikey: 'auth-one' } }, config);
  assert.equal(exchange.headers.has('apikey'), false);
  assert.equal(exchange.upstream.query, 'a=%20&b');
  assert.equal(attempt({ target: '/?apikey=auth-one' }, config).exchange.upstream.query, '');
  assert.equal(attempt({ target: '/?apikey=auth-one' }).exchange.upstream.query, undefined);
});

test('a wrong key does not reach the upstream through anonymous access (apisix#13468)', () => {
  const config = { hide_credentials: true, anonymous_consumer: 'guest' };
  const options = { consumers: { guest: undefined } };
  for (const init of [{ headers: { apikey: 'wrong' } }, { target: '/?apikey=wrong&a=1' }]) {
    const { reply, exchange } = attempt(init, config, options);
    assert.equal(reply, undefined);
    assert.equal(exchange.consumer?.username, 'guest');
    assert.equal(exchange.headers.has('apikey'), false);
    assert.doesNotMatch(exchange.upstream.query ?? exchange.query, /wrong/);
  }
});

test('an anonymous consumer that does not exist is 401 and logged', () => {
  const { reply, logged } = attempt({}, { anonymous_consumer: 'nobody' });
  assert.deepEqual(reply?.body, { message: 'Invalid user authorization' });
  assert.deepEqual(logged, ['error anonymous consumer nobody does not exist']);
});

test('bearer_token takes the key from Authorization: Bearer', () => {
  const config = { bearer_token: true, realm: 'tools' };
  assert.equal(attempt({ headers: { Authorization: 'Bearer auth-one' } }, config).exchange.consumer?.username, 'jack');
  const { reply } = attempt({ headers: { Authorization: 'auth-one' } }, config);
  assert.deepEqual(reply?.body, { message: 'Invalid Bearer token format' });
  assert.deepEqual(reply.headers, { 'WWW-Authenticate': 'Bearer realm="tools"' });
});

test('neither index nor state holds the key', () => {
  const compiled = keyAuth.credential?.compile({ key: 'auth-one' });
  assert.match(compiled?.indexKey ?? '', /^[0-9a-f]{64}$/);
  assert.ok(compiled?.state instanceof Uint8Array);
  assert.ok(!Buffer.from(compiled.state).includes('auth-one'));
});

function keyAuthWith(key: string): void {
  compilePlugin(keyAuth, {}, { consumers: { jack: { key } } });
}

test('a key that has expired gets the answer of an unknown one; the reason is another', () => {
  const options = { ...jack, expired: ['jack'] };
  const expired = attempt({ headers: { apikey: 'auth-one' } }, {}, options).reply;
  const unknown = attempt({ headers: { apikey: 'auth-two' } }, {}, options).reply;
  assert.equal(expired?.reason, 'key-auth.expired');
  assert.deepEqual(unknown, { ...expired, reason: 'key-auth.unknown_key' });
});
