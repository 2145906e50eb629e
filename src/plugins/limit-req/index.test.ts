import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { createLocalCounters } from '../../plugin/counters/counters.ts';
import { compilePlugin, testConsumer, TestExchange, type TestExchangeInit } from '../../plugin/testing/index.ts';
import { limitReq } from './index.ts';

function limiter(config: object) {
  const clock = { now: 1_000_000 };
  const { state } = compilePlugin(
    limitReq,
    { key: 'remote_addr', ...config },
    { counters: createLocalCounters(() => clock.now) },
  );
  const request = (init: TestExchangeInit = {}) => limitReq.access?.(state, new TestExchange(init));
  return { clock, request };
}

/** Statuses of requests that arrive at once. */
function statuses(request: () => ReturnType<NonNullable<typeof limitReq.access>>, times: number) {
  return Array.from({ length: times }, () => {
    const reply = request();
    return reply instanceof Promise ? 'waits' : (reply?.status ?? 'passes');
  });
}

test('beyond rate and burst a request is refused', () => {
  const { clock, request } = limiter({ rate: 1, burst: 2, nodelay: true });
  assert.deepEqual(statuses(request, 5), ['passes', 'passes', 'passes', 503, 503]);
  clock.now += 1000;
  assert.deepEqual(statuses(request, 2), ['passes', 503]);
  clock.now += 60_000;
  assert.deepEqual(statuses(request, 4), ['passes', 'passes', 'passes', 503]);
});

test('without a burst requests come one at a time', () => {
  const { clock, request } = limiter({ rate: 10, burst: 0 });
  assert.deepEqual(statuses(request, 2), ['passes', 503]);
  clock.now += 99;
  assert.deepEqual(statuses(request, 1), [503]);
  clock.now += 1;
  assert.deepEqual(statuses(request, 2), ['passes', 503]);
});

test('a request within the burst waits for its turn', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => {
    mock.timers.reset();
  });
  const { request } = limiter({ rate: 2, burst: 2 });
  assert.equal(request(), undefined);
  const order: string[] = [];
  const first = Promise.resolve(request()).then(() => order.push('first'));
  const second = Promise.resolve(request()).then(() => order.push('second'));
  mock.timers.tick(499);
  await Promise.resolve();
  assert.deepEqual(order, []);
  mock.timers.tick(1);
  await first;
  assert.deepEqual(order, ['first']);
  mock.timers.tick(500);
  await second;
});

test('clients, consumers and whatever else is counted by are held apart', () => {
  const { request } = limiter({ rate: 1, burst: 0, key: '$consumer_name $remote_addr', key_type: 'var_combination' });
  const as = (username: string) => request({ consumer: testConsumer(username) });
  assert.equal(as('jack'), undefined);
  assert.equal(as('rose'), undefined);
  assert.deepEqual(as('jack'), { status: 503, reason: 'limit-req.exceeded' });
});

test('a refusal has the configured status and message', () => {
  const { request } = limiter({ rate: 1, burst: 0, rejected_code: 429, rejected_msg: 'slow down' });
  void request();
  assert.deepEqual(request(), { status: 429, reason: 'limit-req.exceeded', body: { error_msg: 'slow down' } });
});

test('a rate, a burst and a key are required', () => {
  for (const config of [{}, { rate: 0, burst: 1, key: 'a' }, { rate: 1, burst: -1, key: 'a' }, { rate: 1, burst: 0 }])
    assert.throws(() => compilePlugin(limitReq, config));
  assert.throws(() => compilePlugin(limitReq, { rate: 1, burst: 0, key: 'a', policy: 'redis' }));
});
