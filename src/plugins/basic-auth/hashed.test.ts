/** Passwords that are stored as slow hashes, and lockout. Apart from index.test.ts: a thread that met a hash hashes for nobody, too. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { createLocalCounters } from '../../plugin/counters/counters.ts';
import { createHashForm } from '../../plugin/password-hash.ts';
import type { Reply } from '../../plugin/plugin.ts';
import { compilePlugin, TestExchange } from '../../plugin/testing/index.ts';
import { basicAuth } from './index.ts';

const password = 'correct horse: battery';
let consumers: Record<string, { username: string; password: string }> = {};
before(async () => {
  consumers = {
    jack: { username: 'jack', password: await createHashForm('argon2id', password) },
    jill: { username: 'jill', password: 'plain' },
  };
});

function gate(config: object = {}) {
  const { state } = compilePlugin(basicAuth, config, { consumers, counters: createLocalCounters() });
  return (
    name: string,
    secret: string,
  ): { exchange: TestExchange; outcome: ReturnType<NonNullable<typeof basicAuth.rewrite>> } => {
    const token = Buffer.from(`${name}:${secret}`).toString('base64');
    const exchange = new TestExchange({ headers: { Authorization: `Basic ${token}` } });
    return { exchange, outcome: basicAuth.rewrite?.(state, exchange) };
  };
}

test('the right password is let in, the second time without waiting', async () => {
  const attempt = gate();
  const first = attempt('jack', password);
  assert.ok(first.outcome instanceof Promise);
  assert.equal(await first.outcome, undefined);
  assert.equal(first.exchange.consumer?.username, 'jack');
  const second = attempt('jack', password);
  assert.equal(second.outcome, undefined);
  assert.equal(second.exchange.consumer?.username, 'jack');
});

test('near misses, and the stored form itself, are refused', async () => {
  const attempt = gate();
  await attempt('jack', password).outcome;
  const form = consumers['jack']?.password ?? '';
  for (const wrong of ['', password.slice(1), password.slice(0, -1), `${password} `, password.toUpperCase(), form]) {
    const { outcome, exchange } = attempt('jack', wrong);
    const reply = (await outcome) as Reply;
    assert.deepEqual(
      [reply.status, reply.reason, exchange.consumer],
      [401, 'basic-auth.wrong_password', undefined],
      wrong,
    );
  }
});

test('an unknown user, and a wrong password of a plain one, cost a hash as well', async () => {
  const attempt = gate();
  for (const name of ['nobody', 'jill', 'jack']) {
    const { outcome } = attempt(name, `wrong for ${name}`);
    assert.ok(outcome instanceof Promise, name);
    assert.equal(((await outcome) as Reply).status, 401);
  }
  assert.equal(attempt('jill', 'plain').outcome, undefined);
});

test('a flood of wrong passwords is refused with 503, and known callers pass', async () => {
  const attempt = gate({ anonymous_consumer: 'jill' });
  await attempt('jack', password).outcome;
  const outcomes = Array.from({ length: 40 }, (_, i) => attempt('jack', `flood ${String(i)}`).outcome);
  const refused = outcomes.filter((outcome): outcome is Reply => !(outcome instanceof Promise));
  assert.equal(refused.length, 32, 'eight of one address');
  assert.deepEqual(refused[0], {
    status: 503,
    headers: { 'Retry-After': '1' },
    body: { message: 'Too many credentials to verify' },
    reason: 'basic-auth.busy',
  });
  assert.equal(attempt('jack', password).outcome, undefined);
  for (const outcome of outcomes) await outcome;
});

test('lockout refuses with 429 after its failures, also the right password, also where anonymous access is', async () => {
  const attempt = gate({ lockout: { failures: 2, window: 60, duration: 60 }, anonymous_consumer: 'jill' });
  for (const secret of ['one', 'two']) await attempt('jack', secret).outcome;
  assert.equal((attempt('jack', password).outcome as Reply).status, 429);
  assert.equal(attempt('jill', 'plain').outcome, undefined);
  for (const secret of ['one', 'two']) await attempt('ghost', secret).outcome;
  assert.equal((attempt('ghost', 'three').outcome as Reply).reason, 'basic-auth.locked_out', 'as for one that exists');
});

test('a malformed form and a fast hash are refused when they are written', () => {
  const write = (text: string) => () => basicAuth.credential?.compile({ username: 'u', password: text });
  assert.throws(write('$hash://scrypt$nonsense'), { name: 'ConfigError' });
  assert.throws(write(`$hash://sha256$${'a'.repeat(64)}`), /too fast/);
});
