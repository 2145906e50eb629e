import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compilePlugin, TestExchange, type TestExchangeInit } from '../../plugin/testing/index.ts';
import { requestId } from './index.ts';

function run(config: object, init: TestExchangeInit = {}): TestExchange {
  const { state } = compilePlugin(requestId, config);
  const exchange = new TestExchange(init);
  void requestId.rewrite?.(state, exchange);
  requestId.headerFilter?.(state, exchange);
  return exchange;
}

test('a request without an id gets a UUID, upstream and in the response', () => {
  for (const headers of [{}, { 'X-Request-Id': '' }]) {
    const exchange = run({}, { headers });
    const id = exchange.headers.get('x-request-id');
    assert.match(id ?? '', /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.equal(exchange.response.headers.get('X-Request-Id'), id);
  }
});

test("the client's own id is kept, the first of several", () => {
  const exchange = run({}, { headers: { 'X-Request-Id': ['mine', 'other'] } });
  assert.equal(exchange.headers.get('X-Request-Id'), 'mine');
  assert.equal(exchange.response.headers.get('X-Request-Id'), 'mine');
});

test("the upstream's own id is kept in the response", () => {
  const exchange = run({}, { response: { headers: { 'X-Request-Id': 'theirs' } } });
  assert.deepEqual(exchange.response.headers.getAll('X-Request-Id'), ['theirs']);
});

test('include_in_response: false keeps the id from the client', () => {
  const exchange = run({ include_in_response: false, header_name: 'X-Req-Identifier' });
  assert.equal(exchange.headers.has('X-Req-Identifier'), true);
  assert.equal(exchange.response.headers.has('X-Req-Identifier'), false);
});

test('a global and a route configuration keep their ids apart', () => {
  const exchange = new TestExchange();
  const states = ['Global-Request-ID', 'Route-Request-ID'].map(
    (header_name) => compilePlugin(requestId, { header_name }).state,
  );
  for (const state of states) void requestId.rewrite?.(state, exchange);
  for (const state of states) requestId.headerFilter?.(state, exchange);
  const ids = ['Global-Request-ID', 'Route-Request-ID'].map((name) => exchange.response.headers.get(name));
  assert.equal(new Set(ids).size, 2);
  assert.equal(ids.includes(undefined), false);
});

test('each algorithm has its form, and no two ids are alike', () => {
  const forms: [object, RegExp][] = [
    [{ algorithm: 'nanoid' }, /^[A-Za-z0-9_-]{21}$/],
    [{ algorithm: 'range_id' }, /^[A-Za-z0-9]{16}$/],
    [{ algorithm: 'range_id', range_id: { length: 40, char_set: 'abcdefgh' } }, /^[a-h]{40}$/],
    [{ algorithm: 'ksuid' }, /^[0-9A-Za-z]{27}$/],
  ];
  for (const [config, form] of forms) {
    const { state } = compilePlugin(requestId, config);
    const ids = Array.from({ length: 200 }, () => state.generate());
    for (const id of ids) assert.match(id, form);
    assert.equal(new Set(ids).size, ids.length);
  }
});

test('a ksuid begins with the seconds since its epoch', (context) => {
  // The example of APISIX's documentation: 325ghCANEKjw6Jsfejg5p6QrLYB, timestamp 356715963, 2025-09-01T08:39:23Z.
  context.mock.timers.enable({ apis: ['Date'], now: Date.UTC(2025, 8, 1, 8, 39, 23) });
  const { state } = compilePlugin(requestId, { algorithm: 'ksuid' });
  assert.equal(state.generate().slice(0, 4), '325g');
});

test('a header name that is no token and a short set are refused', () => {
  assert.throws(() => compilePlugin(requestId, { header_name: 'X Id' }));
  assert.throws(() => compilePlugin(requestId, { range_id: { length: 5 } }));
  assert.throws(() => compilePlugin(requestId, { algorithm: 'snowflake' }));
});
