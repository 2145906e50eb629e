import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLocalCounters } from '../../plugin/counters/counters.ts';
import { compilePlugin, testConsumer, TestExchange, type TestExchangeInit } from '../../plugin/testing/index.ts';
import type { HarnessOptions } from '../../plugin/testing/index.ts';
import { limitCount } from './index.ts';

/** A gateway with a clock of its own, in ms. */
function limiter(config: object, options: HarnessOptions = {}) {
  const clock = { now: 1_000_000 };
  const counters = options.counters ?? createLocalCounters(() => clock.now);
  const { state } = compilePlugin(limitCount, config, { ...options, counters });
  const request = (init: TestExchangeInit = {}) => {
    const exchange = new TestExchange(init);
    const reply = limitCount.access?.(state, exchange);
    assert.ok(!(reply instanceof Promise), 'local counting does not wait');
    limitCount.headerFilter?.(state, exchange);
    return { status: reply?.status, reply, headers: Object.fromEntries(exchange.response.headers.entries()) };
  };
  return { clock, request, counters };
}

const quota = (limit: number, remaining: number, reset: number) => ({
  'X-RateLimit-Limit': String(limit),
  'X-RateLimit-Remaining': String(remaining),
  'X-RateLimit-Reset': String(reset),
});

test('so many pass in a window, the next is refused, and a new window begins with its first request', () => {
  const { clock, request } = limiter({ count: 2, time_window: 60 });
  assert.deepEqual(request(), { status: undefined, reply: undefined, headers: quota(2, 1, 60) });
  clock.now += 500;
  assert.deepEqual(request().headers, quota(2, 0, 60));
  clock.now += 58_600;
  const refused = request();
  assert.deepEqual(refused.reply, { status: 503, reason: 'limit-count.exceeded' });
  assert.deepEqual(refused.headers, quota(2, 0, 1));
  clock.now += 900;
  assert.deepEqual(request().headers, quota(2, 1, 60));
});

test('a refusal has the configured status and message', () => {
  const { request } = limiter({ count: 1, time_window: 1, rejected_code: 429, rejected_msg: 'too many' });
  request();
  const { reply } = request();
  assert.equal(reply?.status, 429);
  assert.deepEqual(reply.body, { error_msg: 'too many' });
});

test('what is counted by is counted apart', () => {
  const { request } = limiter({ count: 1, time_window: 60, key: 'http_x_user' });
  const user = (name: string): TestExchangeInit => ({ headers: { 'X-User': name } });
  assert.equal(request(user('a')).status, undefined);
  assert.equal(request(user('b')).status, undefined);
  assert.equal(request(user('a')).status, 503);
  assert.equal(request({ remoteAddress: '192.0.2.1' }).status, undefined, 'the address stands in');
  assert.equal(request({ remoteAddress: '192.0.2.2' }).status, undefined);
  assert.equal(request({ remoteAddress: '192.0.2.1' }).status, 503);
});

test('forged forwarding headers make no new client', () => {
  const { request } = limiter({ count: 1, time_window: 60 });
  request({ remoteAddress: '192.0.2.1' });
  const headers = { 'X-Forwarded-For': '198.51.100.9', 'X-Real-IP': '198.51.100.9' };
  assert.equal(request({ remoteAddress: '192.0.2.1', headers }).status, 503);
});

test('a combination and a constant are keys too', () => {
  const both = limiter({ count: 1, time_window: 60, key_type: 'var_combination', key: '$consumer_name $remote_addr' });
  const jack = { consumer: testConsumer('jack') };
  assert.equal(both.request(jack).status, undefined);
  assert.equal(both.request({ ...jack, remoteAddress: '192.0.2.1' }).status, undefined);
  assert.equal(both.request(jack).status, 503);
  const constant = limiter({ count: 1, time_window: 60, key_type: 'constant', key: 'all' });
  constant.request({ remoteAddress: '192.0.2.1' });
  assert.equal(constant.request({ remoteAddress: '192.0.2.2' }).status, 503);
});

test('places count apart, but for those of one group', () => {
  const { counters } = limiter({ count: 1, time_window: 60 });
  const at = (scope: string, group?: string) =>
    limiter({ count: 1, time_window: 60, ...(group === undefined ? {} : { group }) }, { scope, counters });
  assert.equal(at('route#1').request().status, undefined);
  assert.equal(at('route#2').request().status, undefined);
  assert.equal(at('route#1').request().status, 503, 'compiled again, counted on');
  assert.equal(at('route#1', 'g').request().status, undefined);
  assert.equal(at('route#2', 'g').request().status, 503);
});

test('a changed configuration counts anew', () => {
  const { counters, request } = limiter({ count: 1, time_window: 60 });
  request();
  assert.equal(limiter({ count: 1, time_window: 61 }, { counters }).request().status, undefined);
});

test('a sliding window lets through no second burst where two windows meet', () => {
  const { clock, request } = limiter({ count: 10, time_window: 10, window_type: 'sliding' });
  clock.now = 1_009_000;
  for (let i = 0; i < 10; i++) assert.equal(request().status, undefined);
  assert.equal(request().status, 503);
  clock.now = 1_010_000;
  assert.equal(request().status, 503, 'all ten still lie within ten seconds');
  clock.now = 1_015_000;
  assert.deepEqual(request().headers, quota(10, 4, 5), 'half of the last window still counts');
  for (let i = 0; i < 4; i++) assert.equal(request().status, undefined);
  assert.equal(request().status, 503);
  clock.now = 1_040_000;
  assert.deepEqual(request().headers, quota(10, 9, 10));
});

test('count and window may come from the request', () => {
  const { request } = limiter({ count: '$http_x_count', time_window: '${http_x_window ?? 30}', key: 'remote_addr' });
  const init = { headers: { 'X-Count': '2' } };
  assert.deepEqual(request(init).headers, quota(2, 1, 30));
  assert.deepEqual(request(init).headers, quota(2, 0, 30));
  assert.equal(request(init).status, 503);
  assert.equal(request().reply?.reason, 'limit-count.no_rule');
  assert.equal(request({ headers: { 'X-Count': 'many' } }).status, 500);
  const open = limiter({ count: '$http_x_count', time_window: 1, allow_degradation: true });
  assert.equal(open.request().status, undefined);
});

test('each rule that applies must let the request pass, under headers of its own', () => {
  const { request } = limiter({
    rules: [
      { count: 1, time_window: 10, key: '${http_x_user}' },
      { count: 2, time_window: 60, key: '$remote_addr', header_prefix: 'Client' },
    ],
  });
  assert.deepEqual(request({ headers: { 'X-User': 'a' } }).headers, {
    'X-1-RateLimit-Limit': '1',
    'X-1-RateLimit-Remaining': '0',
    'X-1-RateLimit-Reset': '10',
    'X-Client-RateLimit-Limit': '2',
    'X-Client-RateLimit-Remaining': '1',
    'X-Client-RateLimit-Reset': '60',
  });
  const refused = request({ headers: { 'X-User': 'a' } });
  assert.equal(refused.status, 503);
  assert.equal(refused.headers['X-Client-RateLimit-Limit'], undefined, 'the second rule was not asked');
  assert.equal(request().status, undefined);
  assert.equal(request().status, 503);
  const none = limiter({ rules: [{ count: 1, time_window: 1, key: '$http_x_none' }] });
  assert.equal(none.request().reply?.reason, 'limit-count.no_rule');
});

test('headers can be renamed by metadata, and left out', () => {
  const metadata = { limit_header: 'X-Limit', remaining_header: 'X-Left', reset_header: 'X-Reset' };
  const { request } = limiter({ count: 1, time_window: 5 }, { metadata });
  assert.deepEqual(request().headers, { 'X-Limit': '1', 'X-Left': '0', 'X-Reset': '5' });
  assert.deepEqual(limiter({ count: 1, time_window: 5, show_limit_quota_header: false }).request().headers, {});
});

test('a clock that was put back does not make a window longer', () => {
  const { clock, request } = limiter({ count: 1, time_window: 60 });
  request();
  clock.now -= 3_600_000;
  assert.deepEqual(request().headers, quota(1, 0, 60));
});

test('configurations that make no limit are refused when they are written', () => {
  const refused: object[] = [
    {},
    { count: 1 },
    { count: 0, time_window: 1 },
    { count: 1, time_window: 1, rules: [{ count: 1, time_window: 1, key: '$a' }] },
    { rules: [] },
    { count: 'many', time_window: 1 },
    { count: 1, time_window: 1, policy: 'redis' },
    { count: 1, time_window: 1, policy: 'redis-cluster', redis_cluster_nodes: ['127.0.0.1:7000'] },
    { count: 1, time_window: 1, rejected_code: 199 },
  ];
  for (const config of refused) assert.throws(() => compilePlugin(limitCount, config), Error, JSON.stringify(config));
  const rule = { count: 1, time_window: 1, key: '$remote_addr' };
  assert.throws(() => compilePlugin(limitCount, { rules: [rule, rule] }), /duplicate key '\$remote_addr' in rules/);
});
