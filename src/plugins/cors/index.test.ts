import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compilePlugin, TestExchange, type TestExchangeInit } from '../../plugin/testing/index.ts';
import { cors } from './index.ts';

/** Runs both phases; the answer's CORS headers by name. */
function answer(config: object, init: TestExchangeInit = {}, metadata?: Record<string, unknown>) {
  const { state } = compilePlugin(cors, config, metadata === undefined ? {} : { metadata });
  const exchange = new TestExchange(init);
  const reply = cors.rewrite?.(state, exchange);
  assert.ok(!(reply instanceof Promise));
  exchange.headers.remove('Origin');
  cors.headerFilter?.(state, exchange);
  return { status: reply?.status, headers: Object.fromEntries(exchange.response.headers.entries()) };
}

const from = (origin: string): TestExchangeInit => ({ headers: { Origin: origin } });

test('by default everything is open, without credentials, as APISIX answers', () => {
  assert.deepEqual(answer({}, from('https://a.example')).headers, {
    'Access-Control-Allow-Origin': '*',
    'Access-Control-Allow-Methods': '*',
    'Access-Control-Max-Age': '5',
    'Access-Control-Expose-Headers': '*',
    'Access-Control-Allow-Headers': '*',
  });
});

test('a preflight ends with 200 before anything else, other methods pass', () => {
  assert.equal(answer({}, { ...from('https://a.example'), method: 'OPTIONS' }).status, 200);
  assert.equal(answer({}, { method: 'POST' }).status, undefined);
});

test('of several origins the one that asks is named, and an unknown one gets no header but Vary', () => {
  const config = { allow_origins: 'https://a.example,https://b.example:8443' };
  const { headers } = answer(config, from('https://b.example:8443'));
  assert.equal(headers['Access-Control-Allow-Origin'], 'https://b.example:8443');
  assert.equal(headers['Vary'], 'Origin');
  for (const origin of [
    'https://b.example',
    'https://evil.example',
    'null',
    'https://a.example,https://b.example:8443',
  ])
    assert.deepEqual(answer(config, from(origin)).headers, { Vary: 'Origin' });
  assert.deepEqual(answer(config).headers, { Vary: 'Origin' });
});

test('a single origin is not handed to other origins', () => {
  assert.deepEqual(answer({ allow_origins: 'https://a.example' }, from('https://b.example')).headers, {
    Vary: 'Origin',
  });
});

test('`**` names the origin and the headers that ask, with credentials', () => {
  const config = {
    allow_origins: '**',
    allow_methods: '**',
    allow_headers: '**',
    expose_headers: 'X-Id',
    allow_credential: true,
  };
  const init = { headers: { Origin: 'https://a.example', 'Access-Control-Request-Headers': 'x-one,x-two' } };
  assert.deepEqual(answer(config, init).headers, {
    Vary: 'Origin',
    'Access-Control-Allow-Origin': 'https://a.example',
    'Access-Control-Allow-Methods': 'GET,POST,PUT,DELETE,PATCH,HEAD,OPTIONS,CONNECT,TRACE',
    'Access-Control-Max-Age': '5',
    'Access-Control-Expose-Headers': 'X-Id',
    'Access-Control-Allow-Headers': 'x-one,x-two',
    'Access-Control-Allow-Credentials': 'true',
  });
  const plain = answer(config).headers;
  assert.equal(plain['Access-Control-Allow-Origin'], '*');
  assert.equal(plain['Access-Control-Allow-Headers'], undefined);
});

test('patterns stand in place of the list', () => {
  const config = {
    allow_origins: 'https://a.example',
    allow_origins_by_regex: ['^https://.*\\.test\\.com$', 'b\\.org$'],
  };
  assert.equal(answer(config, from('https://x.test.com')).headers['Access-Control-Allow-Origin'], 'https://x.test.com');
  assert.deepEqual(answer(config, from('https://a.example')).headers, { Vary: 'Origin' });
  assert.deepEqual(answer(config, from('https://x.test.com.evil.example')).headers, { Vary: 'Origin' });
});

test('metadata adds origins by name, as they are now', () => {
  const config = { allow_origins: 'https://a.example', allow_origins_by_metadata: ['EXTRA', 'toString'] };
  const metadata = { allow_origins: { EXTRA: 'https://m.example' } };
  const read = (origin: string) => answer(config, from(origin), metadata).headers['Access-Control-Allow-Origin'];
  assert.equal(read('https://m.example'), 'https://m.example');
  assert.equal(read('https://a.example'), 'https://a.example');
  assert.equal(read('https://x.example'), undefined);
  assert.deepEqual(answer(config, from('https://m.example')).headers, { Vary: 'Origin' });
});

test('timings are allowed apart', () => {
  const config = { allow_origins: 'https://a.example', timing_allow_origins: 'https://b.example' };
  assert.deepEqual(answer(config, from('https://b.example')).headers, {
    Vary: 'Origin',
    'Timing-Allow-Origin': 'https://b.example',
  });
});

test('credentials exclude the wildcard everywhere', () => {
  const closed = { allow_origins: 'https://a.example', allow_methods: 'GET', allow_headers: 'x', expose_headers: 'x' };
  compilePlugin(cors, { ...closed, allow_credential: true });
  for (const field of Object.keys(closed)) {
    assert.throws(
      () => compilePlugin(cors, { ...closed, allow_credential: true, [field]: '*' }),
      /you can not set '\*' for other option when 'allow_credential' is true/,
    );
  }
});

test('malformed origins and patterns are refused when they are written', () => {
  assert.throws(() => compilePlugin(cors, { allow_origins: 'a.example' }));
  assert.throws(() => compilePlugin(cors, { allow_origins: 'https://a.example,' }));
  assert.throws(() => compilePlugin(cors, { allow_origins_by_regex: ['('] }), /invalid regular expression/);
});
