import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compilePlugin, TestExchange, type TestExchangeInit } from '../../plugin/testing/index.ts';
import { faultInjection } from './index.ts';

async function attempt(config: object, init: TestExchangeInit = {}) {
  const { state } = compilePlugin(faultInjection, config);
  return (await faultInjection.rewrite?.(state, new TestExchange(init))) ?? undefined;
}

test('abort answers with status, body and headers, variables filled in', async () => {
  const abort = {
    http_status: 403,
    body: 'client addr: $remote_addr\n',
    headers: { 'X-Host': '${host}', 'X-Number': 7 },
  };
  assert.deepEqual(await attempt({ abort }), {
    status: 403,
    body: 'client addr: 127.0.0.1\n',
    headers: { 'X-Host': 'example.com', 'X-Number': '7' },
    reason: 'fault-injection.aborted',
  });
  assert.deepEqual(await attempt({ abort: { http_status: 500 } }), { status: 500, reason: 'fault-injection.aborted' });
});

test('vars: one of the expressions must hold, and all conditions of it', async () => {
  const vars = [
    [
      ['arg_name', '==', 'jack'],
      ['arg_age', '==', '18'],
    ],
    [['arg_name2', '==', 'allen']],
  ];
  const status = async (query: string): Promise<number | undefined> =>
    (await attempt({ abort: { http_status: 403, vars } }, { target: `/hello?${query}` }))?.status;
  assert.equal(await status('name=jack&age=18'), 403);
  assert.equal(await status('name2=allen'), 403);
  assert.equal(await status('name=jack'), undefined);
  assert.equal(await status(''), undefined);
});

test('percentage: 0 is nobody, 100 everybody, and in between as many', async (t) => {
  assert.equal(await attempt({ abort: { http_status: 403, percentage: 0 } }), undefined);
  assert.equal((await attempt({ abort: { http_status: 403, percentage: 100 } }))?.status, 403);
  const random = t.mock.method(Math, 'random', () => 0.29);
  assert.equal((await attempt({ abort: { http_status: 403, percentage: 30 } }))?.status, 403);
  random.mock.mockImplementation(() => 0.3);
  assert.equal(await attempt({ abort: { http_status: 403, percentage: 30 } }), undefined);
});

test('delay holds a request back before abort answers it, and nothing that only asks what would happen', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { state } = compilePlugin(faultInjection, { delay: { duration: 1.5 }, abort: { http_status: 503 } });
  let status: number | undefined;
  const answer = Promise.resolve(faultInjection.rewrite?.(state, new TestExchange())).then((reply) => {
    status = reply?.status;
  });
  t.mock.timers.tick(1499);
  await Promise.resolve();
  assert.equal(status, undefined);
  t.mock.timers.tick(1);
  await answer;
  assert.equal(status, 503);
  const dry = faultInjection.rewrite?.(state, new TestExchange({ dryRun: true }));
  assert.ok(!(dry instanceof Promise));
  assert.equal(dry?.status, 503);
});

test('neither abort nor delay, a status that is none, a bad expression: refused when written', () => {
  for (const config of [
    {},
    { abort: {} },
    { abort: { http_status: 100 } },
    { delay: {} },
    { delay: { duration: -1 } },
    { abort: { http_status: 200, vars: [[['a', 'nope', 'b']]] } },
    { abort: { http_status: 200, percentage: 101 } },
  ]) {
    assert.throws(() => compilePlugin(faultInjection, config), JSON.stringify(config));
  }
});
