import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { GatewayError } from '../../errors/gateway-error.ts';
import type { AuthenticatedConsumer, Exchange } from '../exchange.ts';
import type { Reply } from '../plugin.ts';
import { testConsumer } from '../testing/harness.ts';
import { TestExchange } from '../testing/exchange.ts';
import { TestMetrics } from '../testing/metrics.ts';
import { createTimers } from '../timers.ts';
import { createLocalVerdicts, type VerdictCache } from '../verdict-cache/verdict-cache.ts';
import { field } from '../verdict-cache/verdict-key.ts';
import { Authorizer, type Asked } from './authorizer.ts';
import { AuthorizerError, type Verdict } from './verdict.ts';

interface KitOptions {
  readonly verdicts?: VerdictCache;
  readonly scope?: string;
  readonly plugin?: string;
  readonly config?: unknown;
  readonly cacheMs?: number;
  readonly answer?: () => Promise<Asked>;
}

const passing = (): Promise<Asked> => Promise.resolve({ verdict: { passes: true }, ttlMs: 60_000 });
const refusal = (): Promise<Asked> => Promise.resolve({ verdict: { passes: false }, ttlMs: 60_000 });

function kit(options: KitOptions = {}) {
  const { plugin = 'custom-auth', config = {}, cacheMs = 10_000, scope = 'route#1', answer = passing } = options;
  const metrics = new TestMetrics();
  const logged: string[] = [];
  const note = (message: string, fields: object = {}): void => void logged.push(`${message} ${JSON.stringify(fields)}`);
  const log = { error: note, warn: note, info: note };
  const deps = { scope, metrics, log, timers: createTimers(log), verdicts: options.verdicts ?? createLocalVerdicts() };
  const authorizer = new Authorizer({ plugin, config, cacheMs, timeoutMs: 1000 }, deps);
  const seen = { asked: 0, verdicts: [] as Verdict[] };
  return {
    authorizer,
    logged,
    seen,
    /** undefined: the request passes. */
    async judge(exchange: Exchange, inputs = ''): Promise<Reply | undefined> {
      const result = await authorizer.judge(exchange, {
        inputs: () => field(inputs),
        ask: () => {
          seen.asked++;
          return answer();
        },
        apply: (verdict) => {
          seen.verdicts.push(verdict);
          return verdict.passes ? undefined : { status: 401, reason: 'refused' };
        },
      });
      return result ?? undefined;
    },
    counted: (result: string) =>
      metrics.value('verdict_cache_lookups_total', `{plugin="${plugin}",scope="${scope}",result="${result}"}`) ?? 0,
    failed: () =>
      metrics.value('authorizer_calls_total', `{plugin="${plugin}",scope="${scope}",outcome="failed"}`) ?? 0,
  };
}

const on = (id: string, serviceId?: string): TestExchange => new TestExchange({ route: { id, serviceId } });
const by = (consumer: AuthenticatedConsumer): TestExchange => new TestExchange({ route: { id: '1' }, consumer });

test('a verdict that is kept answers for the authoriser: a pass and a refusal', async () => {
  for (const [answer, status] of [
    [passing, undefined],
    [refusal, 401],
  ] as const) {
    const one = kit({ answer });
    for (let i = 0; i < 3; i++) assert.equal((await one.judge(on('1')))?.status, status);
    assert.deepEqual([one.seen.asked, one.counted('miss'), one.counted('hit')], [1, 1, 2]);
  }
});

test('nothing is kept where nothing is to be: each request asks, even those that come at once', async () => {
  const one = kit({ cacheMs: 0 });
  await Promise.all([on('1'), on('1'), on('1')].map((exchange) => one.judge(exchange)));
  assert.equal(one.seen.asked, 3);
});

test('whatever goes wrong while asking refuses with 503, is counted, and is not kept', async () => {
  for (const [error, reason] of [
    [new AuthorizerError('timeout', 'late'), 'custom-auth.timeout'],
    [new TypeError('the answer holds a secret'), 'custom-auth.failed'],
    ['no error at all', 'custom-auth.failed'],
  ] as const) {
    for (const cacheMs of [0, 10_000]) {
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- an authoriser's code may
      const one = kit({ cacheMs, answer: () => Promise.reject(error) });
      for (let i = 0; i < 2; i++) {
        const reply = await one.judge(on('1'));
        assert.deepEqual([reply?.status, reply?.reason], [503, reason]);
        assert.doesNotMatch(JSON.stringify(reply), /secret/);
      }
      assert.deepEqual([one.seen.asked, one.failed(), one.seen.verdicts.length], [2, 2, 0]);
    }
  }
  // What is wrong with the request itself is its own answer.
  const tooLarge = kit({ answer: () => Promise.reject(new GatewayError('REQUEST_BODY_TOO_LARGE')) });
  await assert.rejects(tooLarge.judge(on('1')), GatewayError);
});

test('those who wait for one call that fails are all refused', async () => {
  const gate = Promise.withResolvers<never>();
  const one = kit({ answer: () => gate.promise });
  const replies = Array.from({ length: 50 }, () => one.judge(on('1')));
  gate.reject(new AuthorizerError('unavailable', 'gone'));
  assert.deepEqual(new Set((await Promise.all(replies)).map((reply) => reply?.status)), new Set([503]));
  assert.equal(one.seen.asked, 1);
});

test('a verdict is kept as long as the authoriser says, and never longer than the configuration', async () => {
  const clock = { now: 0 };
  for (const [ttlMs, keptMs] of [
    [5000, 5000],
    [60_000, 10_000],
    [0, 0],
  ] as const) {
    const verdicts = createLocalVerdicts(() => clock.now);
    const one = kit({ verdicts, answer: () => Promise.resolve({ verdict: { passes: true }, ttlMs }) });
    await one.judge(on('1'));
    for (const [passedMs, asked] of [
      [keptMs - 1, keptMs === 0 ? 2 : 1],
      [1, keptMs === 0 ? 3 : 2],
    ] as const) {
      clock.now += passedMs;
      await one.judge(on('1'));
      assert.equal(one.seen.asked, asked, JSON.stringify([ttlMs, passedMs]));
    }
  }
});

test('a verdict holds for its plugin, place, configuration, route and service alone', async () => {
  const verdicts = createLocalVerdicts();
  const kept = kit({ verdicts });
  await kept.judge(on('1', 's'), 'x');
  assert.equal((await kept.judge(on('1', 's'), 'x'), kept.seen.asked), 1);
  for (const [options, exchange, inputs] of [
    [{ plugin: 'opa' }, on('1', 's'), 'x'],
    [{ scope: 'service#1' }, on('1', 's'), 'x'],
    [{ config: { version: '2' } }, on('1', 's'), 'x'],
    [{}, on('2', 's'), 'x'],
    [{}, on('1', 't'), 'x'],
    [{}, on('1'), 'x'],
    [{}, on('1', 's'), 'y'],
    [{}, new TestExchange(), 'x'],
  ] as const) {
    const other = kit({ verdicts, ...options });
    await other.judge(exchange, inputs);
    assert.equal(other.seen.asked, 1, JSON.stringify([options, inputs]));
  }
});

test('a verdict holds for the caller that it was made for, as he was then', async () => {
  const one = kit();
  const jack = testConsumer('jack', { credentialId: 'c1', groupId: 'g1' });
  const asks = async (exchange: TestExchange): Promise<boolean> => {
    const before = one.seen.asked;
    await one.judge(exchange);
    return one.seen.asked > before;
  };
  assert.equal(await asks(by(jack)), true);
  assert.equal(await asks(by(jack)), false);
  // What another worker, or a restart of the snapshot, makes of the same resource.
  assert.equal(await asks(by({ ...jack, resource: structuredClone(jack.resource) })), false);
  for (const other of [
    { ...jack, credentialId: 'c2' },
    { ...jack, credentialId: undefined },
    { ...jack, groupId: 'g2' },
    testConsumer('jill', { credentialId: 'c1', groupId: 'g1' }),
    { ...jack, resource: { ...jack.resource, labels: { team: 'b' } } },
  ])
    assert.equal(await asks(by(other)), true, JSON.stringify(other));
  assert.equal(await asks(on('1')), true);
});

test('explain asks nobody, keeps nothing and counts nothing; it says until when a verdict is kept', async () => {
  const clock = { now: Date.parse('2026-11-21T12:00:00Z') };
  const verdicts = createLocalVerdicts(() => clock.now);
  for (const [answer, status] of [
    [passing, undefined],
    [refusal, 401],
  ] as const) {
    const one = kit({ answer, verdicts, config: { status } });
    const explained = async (): Promise<[number | undefined, string[]]> => {
      const exchange = new TestExchange({ route: { id: '1' }, dryRun: true });
      const reply = await one.judge(exchange);
      return [reply?.status, exchange.notes];
    };
    assert.deepEqual(await explained(), [503, []]);
    assert.deepEqual([one.seen.asked, one.counted('miss'), one.counted('hit')], [0, 0, 0]);
    await one.judge(on('1'));
    assert.deepEqual(await explained(), [
      status,
      ['custom-auth would not ask: this verdict is kept until 2026-11-21T12:00:10.000Z'],
    ]);
    assert.deepEqual([one.seen.asked, one.counted('miss'), one.counted('hit')], [1, 1, 0]);
  }
  const never = kit({ cacheMs: 0 });
  const reply = await never.judge(new TestExchange({ dryRun: true }));
  assert.deepEqual([reply?.reason, never.seen.asked], ['custom-auth.verdict_unknown', 0]);
});

test('the body is read where it is wanted and there is one; explain, which has none, cannot look for a verdict by it', async () => {
  const one = kit();
  const headers = { 'Content-Length': '4' };
  const read = async (wanted: boolean, init: object, unkeyed = false): Promise<unknown> => {
    const seen: (string | undefined)[] = [];
    const result = await one.authorizer.withBody(
      new TestExchange({ body: 'body', ...init }),
      { wanted, maxBytes: 10, unkeyed },
      (body) => void seen.push(body === undefined ? undefined : Buffer.from(body).toString()),
    );
    return seen.length === 0 ? result?.reason : seen[0];
  };
  assert.equal(await read(true, { headers }), 'body');
  assert.equal(await read(true, { headers: { 'Transfer-Encoding': 'chunked' } }), 'body');
  assert.equal(await read(false, { headers }), undefined);
  assert.equal(await read(true, {}), undefined);
  assert.equal(await read(true, { headers, dryRun: true }), 'custom-auth.verdict_unknown');
  assert.equal(await read(true, { headers, dryRun: true }, true), undefined);
});

test('an authoriser that is down is told at once, then once a minute with the number of requests', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => {
    mock.timers.reset();
  });
  let reason = 'unavailable';
  const one = kit({ cacheMs: 0, answer: () => Promise.reject(new AuthorizerError(reason, 'nobody there')) });
  const ask = async (times: number): Promise<void> => {
    for (let i = 0; i < times; i++) await one.judge(on('1'));
  };
  await ask(100);
  reason = 'timeout';
  await ask(1);
  const first = ['unavailable', 'timeout'].map((why) => `no verdict {"reason":"${why}","detail":"nobody there"}`);
  assert.deepEqual(one.logged, first);
  mock.timers.tick(59_999);
  assert.equal(one.logged.length, 2);
  mock.timers.tick(1);
  assert.deepEqual(one.logged.slice(2), ['no verdict {"reason":"unavailable","requests":99}']);
  reason = 'unavailable';
  await ask(5);
  mock.timers.tick(60_000);
  assert.deepEqual(one.logged.slice(3), ['no verdict {"reason":"unavailable","requests":5}']);
  mock.timers.tick(120_000);
  assert.equal(one.logged.length, 4);
  await ask(1);
  assert.equal(one.logged.at(-1), first[0]);
});
