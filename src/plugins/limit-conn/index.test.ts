import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { createLocalCounters } from '../../plugin/counters/counters.ts';
import { compilePlugin, testConsumer, TestExchange, type TestExchangeInit } from '../../plugin/testing/index.ts';
import type { HarnessOptions } from '../../plugin/testing/index.ts';
import { limitConn } from './index.ts';

const base = { conn: 2, burst: 0, default_conn_delay: 0.1, key: 'remote_addr' };

function limiter(config: object = {}, options: HarnessOptions = {}) {
  const { state } = compilePlugin(limitConn, { ...base, ...config }, options);
  const enter = (init: TestExchangeInit = {}) => {
    const exchange = new TestExchange(init);
    const reply = limitConn.access?.(state, exchange);
    return { exchange, reply, leave: () => limitConn.log?.(state, exchange) };
  };
  return { state, enter };
}

test('so many are under way at once, and each that ends makes room for one', () => {
  const { enter } = limiter();
  const first = enter();
  assert.equal(first.reply, undefined);
  assert.equal(enter().reply, undefined);
  assert.deepEqual(enter().reply, { status: 503, reason: 'limit-conn.exceeded' });
  first.leave();
  assert.equal(enter().reply, undefined);
  assert.notEqual(enter().reply, undefined);
});

test('a refused request gives back nothing that it did not have', () => {
  const { enter } = limiter({ conn: 1 });
  enter();
  enter().leave();
  enter().leave();
  assert.notEqual(enter().reply, undefined);
});

test('clients and consumers are counted apart', () => {
  const { enter } = limiter({ conn: 1, key: 'consumer_name' });
  const as = (username: string) => enter({ consumer: testConsumer(username) }).reply;
  assert.equal(as('jack'), undefined);
  assert.equal(as('rose'), undefined);
  assert.notEqual(as('jack'), undefined);
});

test('a consumer’s limit holds on all routes, a route’s on that route', () => {
  const counters = createLocalCounters();
  const at = (scope: string) => limiter({ conn: 1 }, { counters, scope }).enter().reply;
  assert.equal(at('consumer#jack'), undefined);
  assert.notEqual(at('consumer#jack'), undefined);
  assert.equal(at('route#1'), undefined);
});

test('one too many within the burst waits before it passes', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => {
    mock.timers.reset();
  });
  const { enter } = limiter({ conn: 1, burst: 2, only_use_default_delay: true });
  assert.equal(enter().reply, undefined);
  const order: number[] = [];
  const second = Promise.resolve(enter().reply).then(() => order.push(2));
  const third = Promise.resolve(enter().reply).then(() => order.push(3));
  assert.deepEqual(enter().reply, { status: 503, reason: 'limit-conn.exceeded' });
  mock.timers.tick(99);
  await Promise.resolve();
  assert.deepEqual(order, []);
  mock.timers.tick(1);
  await second;
  assert.deepEqual(order, [2], 'the third waits twice as long');
  mock.timers.tick(100);
  await third;
});

test('a client that goes away while it waits gives its place back', () => {
  const { enter } = limiter({ conn: 1, burst: 1 });
  enter();
  const waiting = enter();
  assert.ok(waiting.reply instanceof Promise);
  assert.notEqual(enter().reply, undefined);
  waiting.leave();
  assert.ok(enter().reply instanceof Promise);
});

test('the wait follows how long requests take, unless told not to', () => {
  const times = { start: 0, upstreamStart: 0, upstreamEnd: 300, end: 400 };
  const learning = limiter();
  learning.enter({ times }).leave();
  assert.equal(learning.state.delayMs, 200);
  learning.enter({ times: { start: 0, end: 400 } }).leave();
  assert.equal(learning.state.delayMs, 300);
  const fixed = limiter({ only_use_default_delay: true });
  fixed.enter({ times }).leave();
  assert.equal(fixed.state.delayMs, 100);
});

test('a refusal has the configured status and message', () => {
  const { enter } = limiter({ conn: 1, rejected_code: 429, rejected_msg: 'busy' });
  enter();
  assert.deepEqual(enter().reply, { status: 429, reason: 'limit-conn.exceeded', body: { error_msg: 'busy' } });
});

test('limits that make no sense are refused when they are written', () => {
  for (const config of [{ conn: 0 }, { burst: -1 }, { default_conn_delay: 0 }, { key: '' }, { policy: 'redis' }])
    assert.throws(() => compilePlugin(limitConn, { ...base, ...config }), Error, JSON.stringify(config));
});
