/** The Redis policies of the limit plugins, on real Redis servers: exact among gateways, bounded waits, refused when Redis is away. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { AnyPlugin, Reply } from '../../src/plugin/plugin.ts';
import { compilePlugin, ResourcePool, TestExchange, type TestExchangeInit } from '../../src/plugin/testing/index.ts';
import { limitConn } from '../../src/plugins/limit-conn/index.ts';
import { limitCount } from '../../src/plugins/limit-count/index.ts';
import { limitReq } from '../../src/plugins/limit-req/index.ts';
import { skipUnless } from '../services/requirements.ts';
import { startRedis, startRedisCluster, type TestRedis } from '../services/redis.ts';

/** One gateway's instance of a plugin, with a connection of its own. */
function instance(plugin: AnyPlugin, config: object, pool = new ResourcePool()) {
  const { state, logged } = compilePlugin(plugin, config, { shared: pool });
  return {
    pool,
    logged,
    async request(init: TestExchangeInit = {}) {
      const exchange = new TestExchange(init);
      const result = plugin.access?.(state, exchange);
      assert.ok(result instanceof Promise, 'counting in Redis waits');
      const reply = (await result) as Reply | undefined;
      plugin.headerFilter?.(state, exchange);
      return { reply, headers: exchange.response.headers, leave: () => plugin.log?.(state, exchange) };
    },
    [Symbol.dispose]() {
      plugin.dispose?.(state);
    },
  };
}

/** Asks until a request passes; false when none did in 10 seconds. */
async function passes(gateway: ReturnType<typeof instance>): Promise<boolean> {
  const deadline = Date.now() + 10_000;
  while (Date.now() < deadline) {
    if ((await gateway.request()).reply === undefined) return true;
    await new Promise(setImmediate);
  }
  return false;
}

const skip = skipUnless('redis-server');

for (const kind of ['redis', 'redis-cluster'] as const) {
  describe(`policy ${kind}`, { skip }, () => {
    let redis: TestRedis;
    let policy: object;
    before(async () => {
      redis = await (kind === 'redis' ? startRedis() : startRedisCluster());
      policy =
        kind === 'redis'
          ? { policy: kind, redis_host: '127.0.0.1', redis_port: redis.ports[0] }
          : {
              policy: kind,
              redis_cluster_nodes: redis.ports.map((port) => `127.0.0.1:${port}`),
              redis_cluster_name: 'test',
            };
    });
    after(() => redis[Symbol.asyncDispose]());

    it('limit-count lets exactly `count` pass, among gateways', async () => {
      for (const window_type of ['fixed', 'sliding']) {
        const config = { count: 25, time_window: 600, window_type, ...policy };
        using first = instance(limitCount, config);
        using second = instance(limitCount, config);
        const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => (i % 2 ? first : second).request()));
        assert.equal(answers.filter(({ reply }) => reply === undefined).length, 25, window_type);
        const remaining = answers
          .filter(({ reply }) => reply === undefined)
          .map(({ headers }) => headers.get('x-ratelimit-remaining'));
        assert.equal(new Set(remaining).size, 25, window_type);
        assert.equal(answers.find(({ reply }) => reply !== undefined)?.reply?.reason, 'limit-count.exceeded');
      }
    });

    it('limit-count counts keys apart and forgets them with their window', async () => {
      using gateway = instance(limitCount, { count: 1, time_window: 1, ...policy });
      const client = (i: number): TestExchangeInit => ({ remoteAddress: `192.0.2.${String(i)}` });
      for (let i = 0; i < 20; i++) assert.equal((await gateway.request(client(i))).reply, undefined);
      const deadline = Date.now() + 5000;
      let passed = false;
      while (!passed && Date.now() < deadline) passed = (await gateway.request(client(1))).reply === undefined;
      assert.ok(passed, 'the window never ended');
    });

    it('limit-req keeps to the rate', async () => {
      using gateway = instance(limitReq, { rate: 0.001, burst: 3, nodelay: true, key: 'remote_addr', ...policy });
      const answers = await Promise.all(Array.from({ length: 10 }, () => gateway.request()));
      assert.equal(answers.filter(({ reply }) => reply === undefined).length, 4);
    });

    it('limit-conn counts what is under way among gateways, and gives back', async () => {
      const config = { conn: 3, burst: 0, default_conn_delay: 0.1, key: 'remote_addr', ...policy };
      using first = instance(limitConn, config);
      using second = instance(limitConn, config);
      const answers = await Promise.all(Array.from({ length: 10 }, (_, i) => (i % 2 ? first : second).request()));
      const entered = answers.filter(({ reply }) => reply === undefined);
      assert.equal(entered.length, 3);
      for (const { leave } of answers) leave();
      // Commands of one connection are done in order, those of two are not: ask the one that left last.
      const deadline = Date.now() + 5000;
      let free = 0;
      while (free < 3 && Date.now() < deadline) free += (await first.request()).reply === undefined ? 1 : 0;
      assert.equal(free, 3);
    });

    it('configurations of one worker share a connection, which closes with the last', async () => {
      const pool = new ResourcePool();
      const one = instance(limitCount, { count: 9, time_window: 60, ...policy }, pool);
      const two = instance(limitReq, { rate: 9, burst: 9, key: 'remote_addr', ...policy }, pool);
      await one.request();
      await two.request();
      assert.equal(pool.size, 1);
      one[Symbol.dispose]();
      await two.request();
      two[Symbol.dispose]();
      assert.equal(pool.size, 0);
    });
  });
}

describe('redis away', { skip }, () => {
  const config = (port: number, more: object = {}) => ({
    count: 5,
    time_window: 60,
    policy: 'redis',
    redis_host: '127.0.0.1',
    redis_port: port,
    redis_timeout: 200,
    ...more,
  });

  it('refuses with 500 and a log line, or lets through where degradation is allowed', async () => {
    const redis = await startRedis();
    const [port = 0] = redis.ports;
    await redis[Symbol.asyncDispose]();
    using closed = instance(limitCount, config(port));
    assert.deepEqual((await closed.request()).reply, {
      status: 500,
      body: { error_msg: 'failed to limit count' },
      reason: 'limit-count.failed',
    });
    assert.ok(closed.logged.includes('error failed to limit count'));
    using open = instance(limitCount, config(port, { allow_degradation: true }));
    assert.equal((await open.request()).reply, undefined);
    const conn = { conn: 1, burst: 0, default_conn_delay: 0.1, key: 'remote_addr' };
    await using late = await startRedis({ port });
    assert.ok(await passes(closed), `a Redis that came late was not found on port ${String(late.ports[0])}`);
    await late.kill();
    using places = instance(limitConn, { ...config(port), ...conn });
    assert.equal((await places.request()).reply?.status, 500);
    using rate = instance(limitReq, { ...config(port), rate: 1, burst: 1, key: 'remote_addr' });
    assert.equal((await rate.request()).reply?.status, 500);
  });

  it('waits no longer than redis_timeout for a Redis that hangs, and goes on when it answers again', async () => {
    await using redis = await startRedis();
    using gateway = instance(limitCount, config(redis.ports[0] ?? 0));
    assert.equal((await gateway.request()).reply, undefined);
    redis.pause();
    const started = performance.now();
    assert.equal((await gateway.request()).reply?.status, 500);
    assert.ok(performance.now() - started < 1500);
    redis.resume();
    assert.ok(await passes(gateway));
  });

  it('refuses at once while the connection is gone, and connects again by itself', async () => {
    await using redis = await startRedis();
    const [port = 0] = redis.ports;
    using gateway = instance(limitCount, config(port));
    await gateway.request();
    await redis.kill();
    assert.equal((await gateway.request()).reply?.status, 500);
    await using again = await startRedis({ port });
    assert.equal(again.ports.length, 1);
    assert.ok(await passes(gateway), 'scripts that the new Redis does not know are sent anew');
  });

  it('a wrong password refuses, and neither answer nor log holds it', async () => {
    await using redis = await startRedis({ options: ['--requirepass', 'right-password'] });
    const [port = 0] = redis.ports;
    using wrong = instance(limitCount, config(port, { redis_password: 'wrong-password' }));
    const { reply } = await wrong.request();
    assert.equal(reply?.status, 500);
    assert.doesNotMatch(JSON.stringify([reply, wrong.logged]), /-password/);
    using right = instance(limitCount, config(port, { redis_password: 'right-password' }));
    assert.equal((await right.request()).reply, undefined);
  });
});
