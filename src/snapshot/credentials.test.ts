import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { keyAuth } from '../plugins/key-auth/index.ts';
import { CredentialTable } from './credentials.ts';

const holder = (username: string, key: string) => ({ username, plugins: { 'key-auth': { key } } });
const indexKey = (key: string): string => keyAuth.credential?.compile({ key }).indexKey ?? '';

function kit() {
  const contested: string[] = [];
  const table = new CredentialTable(
    (name) => (name === 'key-auth' ? keyAuth : undefined),
    (plugin, usernames) => contested.push(`${plugin}: ${usernames.join(' ')}`),
  );
  const owner = (key: string) => table.indexOf('key-auth').find(indexKey(key))?.consumer.username;
  return { table, contested, owner };
}

test('a key that two consumers hold lets nobody in, whoever came last, until one of them lets go', async () => {
  for (const order of [
    ['ann', 'bob'],
    ['bob', 'ann'],
  ]) {
    const { table, contested, owner } = kit();
    for (const username of order) table.putConsumer(username, holder(username, 'same'));
    assert.equal(owner('same'), undefined);
    await setImmediate();
    assert.deepEqual(contested, ['key-auth: ann bob']);
    table.putConsumer('ann', holder('ann', 'another'));
    assert.deepEqual([owner('same'), owner('another')], ['bob', 'ann']);
    table.removeConsumer('bob');
    assert.equal(owner('same'), undefined);
  }
});

test('a key that one change hands over is its new owner’s, and nothing is reported', async () => {
  const { table, contested, owner } = kit();
  table.putConsumer('ann', holder('ann', 'same'));
  table.putConsumer('bob', holder('bob', 'same'));
  table.putConsumer('ann', holder('ann', 'another'));
  assert.equal(owner('same'), 'bob');
  await setImmediate();
  assert.deepEqual(contested, []);
});

test('a consumer that is written again with its key keeps it', () => {
  const { table, owner } = kit();
  for (let i = 0; i < 3; i++) table.putConsumer('ann', holder('ann', 'same'));
  table.putCredential('ann', 'c1', { plugins: { 'key-auth': { key: 'second' } } });
  table.putConsumer('ann', holder('ann', 'same'));
  assert.deepEqual([owner('same'), owner('second')], ['ann', 'ann']);
});

test('a credential with an unresolved reference is in no index', () => {
  const { table, owner } = kit();
  table.putConsumer('ann', holder('ann', '$env://NOT_SET'));
  assert.equal(owner('$env://NOT_SET'), undefined);
  assert.equal(table.indexOf('key-auth').find(indexKey('$env://NOT_SET')), undefined);
});

test('a credential is found until its time is over, and is known to have expired from then on', (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: 1_000_000 });
  const { table, owner } = kit();
  const expired = (key: string): boolean => table.indexOf('key-auth').expired(indexKey(key));
  table.putConsumer('ann', holder('ann', 'lasting'));
  table.putCredential('ann', 'c1', { plugins: { 'key-auth': { key: 'brief' } }, expires_at: 1010 });
  assert.deepEqual([owner('brief'), expired('brief')], ['ann', false]);
  t.mock.timers.setTime(1_009_999);
  assert.deepEqual([owner('brief'), expired('brief')], ['ann', false]);
  t.mock.timers.setTime(1_010_000);
  assert.deepEqual([owner('brief'), expired('brief')], [undefined, true]);
  assert.deepEqual([owner('lasting'), expired('lasting'), expired('nobody’s')], ['ann', false, false]);
  table.putConsumer('ann', { ...holder('ann', 'lasting'), desc: 'changed' });
  assert.equal(owner('brief'), undefined, 'a change of the consumer prolongs nothing');
  table.putCredential('ann', 'c1', { plugins: { 'key-auth': { key: 'brief' } } });
  assert.equal(owner('brief'), 'ann');
});
