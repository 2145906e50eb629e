import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { PluginRegistry } from '../resources/plugin-check.ts';
import { encryptStore } from './encrypted-store.ts';
import { createFieldCipher } from './field-cipher.ts';
import { MemoryStore } from './memory.ts';
import type { ChangeSet, Store } from './store.ts';

const keyring = ['0123456789abcdef', 'fedcba9876543210'];
const compile = (): undefined => undefined;
const plugins = new Map(
  [
    {
      name: 'basic-auth',
      priority: 1,
      type: 'auth' as const,
      schema: {},
      consumerSchema: { encrypt_fields: ['password'] },
      compile,
    },
    { name: 'logger', priority: 2, schema: { encrypt_fields: ['auth.token', 'keys'] }, compile },
    { name: 'plain', priority: 3, schema: {}, compile },
  ].map((plugin) => [plugin.name, plugin]),
);
const registry: PluginRegistry = { get: (name) => plugins.get(name), list: () => plugins.values() };

function open(t: TestContext): { below: MemoryStore; store: Store } {
  const below = new MemoryStore({ onError: assert.fail, onWarning: assert.fail });
  t.after(() => below.close());
  return { below, store: encryptStore(below, keyring, registry) };
}

const write = (store: Store, key: string, value: object): Promise<unknown> =>
  store.commit([{ type: 'put', key, value: JSON.stringify(value) }]);
const read = async (store: Store, key: string): Promise<unknown> =>
  JSON.parse((await store.get(key))?.value ?? 'null') as unknown;

test("writes what APISIX's documentation shows for its example (plugin-develop, encrypted storage fields)", () => {
  assert.equal(createFieldCipher(['qeddd145sfvddff3']).encrypt('bar'), '+kOEVUuRc5rC5ZwvvAMLwg==');
  assert.equal(createFieldCipher(['edd1c9f0985e76a2']).decrypt('77+NmbYqNfN+oLm0aX5akg=='), 'bar');
});

test('a key that was first stays readable behind a newer one', () => {
  const old = createFieldCipher(['fedcba9876543210']).encrypt('pässword');
  assert.equal(createFieldCipher(keyring).decrypt(old), 'pässword');
  assert.notEqual(createFieldCipher(keyring).encrypt('pässword'), old);
});

test('what no key opens is taken for plain text', () => {
  const cipher = createFieldCipher(keyring);
  const foreign = createFieldCipher(['another-key-16by']).encrypt('secret');
  for (const text of ['', 'hello', 'not base64!', 'b7a0b4c2d1e84f0fa3f0c9d2e6a1b5c8'.repeat(2), foreign, 'YWJj'])
    assert.equal(cipher.decrypt(text), text);
});

test('only the named fields are encrypted below, and nobody above sees it', async (t) => {
  const { below, store } = open(t);
  const seen: ChangeSet[] = [];
  store.watch((changes) => void seen.push(changes));
  const consumer = { username: 'jack', plugins: { 'basic-auth': { username: 'j', password: 'hunter2' } } };
  const route = {
    uri: '/',
    plugins: { logger: { auth: { token: 'tok-1', user: 'u' }, keys: ['k-1', 'k-2'] }, plain: { password: 'open' } },
  };
  await write(store, 'consumers/jack', consumer);
  await write(store, 'consumers/jack/credentials/c', { plugins: consumer.plugins });
  await write(store, 'routes/1', route);
  const text = (await below.list('')).entries.map((entry) => entry.value).join('\n');
  for (const secret of ['hunter2', 'tok-1', 'k-1', 'k-2']) assert.ok(!text.includes(secret), secret);
  for (const open of ['"jack"', '"j"', '"u"', '"open"']) assert.ok(text.includes(open), open);
  assert.deepEqual(await read(store, 'consumers/jack'), consumer);
  assert.deepEqual(await read(store, 'routes/1'), route);
  assert.deepEqual(JSON.parse((await store.list('consumers/jack/')).entries[0]?.value ?? ''), {
    plugins: consumer.plugins,
  });
  assert.deepEqual(JSON.parse(seen.at(-1)?.changes[0]?.entry?.value ?? ''), route);
});

test('of certificates, PEM keys are encrypted and references stay', async (t) => {
  const { below, store } = open(t);
  const ssl = {
    cert: '-----BEGIN CERTIFICATE-----',
    key: '-----BEGIN PRIVATE KEY-----\nx',
    keys: ['$secret://vault/1/a/b'],
  };
  await write(store, 'ssls/1', ssl);
  const stored = (await read(below, 'ssls/1')) as typeof ssl;
  assert.equal(stored.cert, ssl.cert);
  assert.doesNotMatch(stored.key, /PRIVATE/);
  assert.deepEqual(stored.keys, ssl.keys);
  assert.deepEqual(await read(store, 'ssls/1'), ssl);
});

test('what was stored before there was a keyring is read as it is, and encrypted when it is next written', async (t) => {
  const { below, store } = open(t);
  const consumer = { username: 'jack', plugins: { 'basic-auth': { username: 'j', password: 'plain' } } };
  await write(below, 'consumers/jack', consumer);
  await below.commit([{ type: 'put', key: 'consumers/broken', value: 'no "basic-auth" JSON' }]);
  assert.deepEqual(await read(store, 'consumers/jack'), consumer);
  assert.equal((await store.get('consumers/broken'))?.value, 'no "basic-auth" JSON');
  await write(store, 'consumers/jack', consumer);
  assert.doesNotMatch((await below.get('consumers/jack'))?.value ?? '', /"plain"/);
});
