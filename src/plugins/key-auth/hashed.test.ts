import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { createHashForm } from '../../plugin/password-hash.ts';
import type { Reply } from '../../plugin/plugin.ts';
import { compilePlugin, TestExchange } from '../../plugin/testing/index.ts';
import { keyAuth } from './index.ts';

const slowKey = 'gw1.f8Zk2mQ9';
const fastKey = 'd0a1b2c3d4e5f60718293a4b5c6d7e8f';
let consumers: Record<string, { key: string }> = {};
before(async () => {
  consumers = {
    slow: { key: await createHashForm('argon2id', slowKey, 'gw1') },
    fast: { key: await createHashForm('sha256', fastKey) },
    plain: { key: 'dotted.plain' },
  };
});

function gate(config: object = {}) {
  const { state } = compilePlugin(keyAuth, config, { consumers });
  return (apikey: string) => {
    const exchange = new TestExchange({ headers: { apikey } });
    return { exchange, outcome: keyAuth.rewrite?.(state, exchange) };
  };
}

test('a key is found by its prefix and verified once', async () => {
  const attempt = gate();
  const first = attempt(slowKey);
  assert.ok(first.outcome instanceof Promise);
  assert.equal(await first.outcome, undefined);
  assert.equal(first.exchange.consumer?.username, 'slow');
  assert.equal(attempt(slowKey).outcome, undefined, 'the second time without waiting');
});

test('a key stored as sha256 is looked up as a plain one', () => {
  const { outcome, exchange } = gate()(fastKey);
  assert.equal(outcome, undefined);
  assert.equal(exchange.consumer?.username, 'fast');
  assert.equal(gate()('dotted.plain').exchange.consumer?.username, 'plain');
});

test('near misses, other prefixes and the stored forms are refused', async () => {
  const attempt = gate();
  await attempt(slowKey).outcome;
  const wrong = [
    'gw1',
    'gw1.',
    'gw1.f8Zk2mQ',
    `${slowKey}x`,
    'gw1.F8Zk2mQ9',
    'gw2.f8Zk2mQ9',
    '.f8Zk2mQ9',
    'f8Zk2mQ9',
    'prefix:gw1',
  ];
  const forms = Object.values(consumers)
    .map(({ key }) => key)
    .filter((key) => key.startsWith('$'));
  const digest =
    forms
      .find((form) => form.includes('sha256'))
      ?.split('$')
      .at(-1) ?? '';
  for (const key of [...wrong, ...forms, digest, `${fastKey.slice(0, -1)}e`]) {
    const { outcome, exchange } = attempt(key);
    const reply = (await outcome) as Reply;
    assert.deepEqual([reply.status, reply.reason, exchange.consumer], [401, 'key-auth.unknown_key', undefined], key);
  }
});

test('two owners of a key, plain and as sha256, and of a prefix are one index key', async () => {
  const index = (key: string): string | undefined => keyAuth.credential?.compile({ key }).indexKey;
  assert.equal(index(fastKey), index(consumers['fast']?.key ?? ''));
  assert.equal(index(await createHashForm('scrypt', 'gw1.other', 'gw1')), index(consumers['slow']?.key ?? ''));
});

test('a slow form without a prefix is refused when it is written', async () => {
  const key = await createHashForm('scrypt', 'some-key');
  assert.throws(() => keyAuth.credential?.compile({ key }), /keyid=PREFIX/);
});

test('lockout counts all unknown keys of an address together, and a known prefix apart', async () => {
  const attempt = gate({ lockout: { failures: 3, window: 60, duration: 60 } });
  for (const key of ['guess-1', 'p1.guess', 'p2.guess']) await attempt(key).outcome;
  assert.equal((attempt('p3.guess').outcome as Reply).status, 429);
  assert.equal((attempt(fastKey).outcome as Reply).status, 429);
  assert.equal(await attempt(slowKey).outcome, undefined);
  for (const key of ['gw1.a', 'gw1.b', 'gw1.c']) await attempt(key).outcome;
  assert.equal((attempt(slowKey).outcome as Reply).reason, 'key-auth.locked_out');
});

test('the owner of one key cannot go on guessing by using it in between', () => {
  const attempt = gate({ lockout: { failures: 2, window: 60, duration: 60 } });
  void attempt('guess-1');
  assert.equal(attempt(fastKey).outcome, undefined);
  void attempt('guess-2');
  assert.equal((attempt('guess-3').outcome as Reply).status, 429);
});
