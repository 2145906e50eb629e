/** How much of a history is kept, and what of it stands on the disk. What every store's history tells is in test/conformance/store.ts. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, test, type TestContext } from 'node:test';
import type { CheckablePlugin, PluginRegistry } from '../resources/plugin-check.ts';
import { encryptStore } from './encrypted-store.ts';
import { dayMs, defaultRetention, type Retention } from './history.ts';
import { openStore } from './open.ts';
import type { Operation, Store } from './store.ts';

const hooks = { onError: assert.fail, onWarning: assert.fail };
const put = (key: string, value: object | string): Operation => ({
  type: 'put',
  key,
  value: typeof value === 'string' ? value : JSON.stringify(value),
});

async function directory(t: TestContext): Promise<string> {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'gatewright-history-'));
  t.after(() => rm(dataDir, { recursive: true }));
  return dataDir;
}

for (const kind of ['memory', 'sqlite'] as const) {
  describe(`the bound of the history in ${kind}`, () => {
    const open = async (t: TestContext, bound: Partial<Retention>): Promise<Store> => {
      const history = { ...defaultRetention, ...bound };
      const store = await openStore(
        kind === 'memory' ? { kind, history } : { kind, history, dataDir: await directory(t) },
        hooks,
      );
      t.after(() => store.close());
      return store;
    };
    const revisions = async (store: Store): Promise<number[]> => {
      const found = (await store.history?.find({ limit: 1000 }))?.entries.map(({ revision }) => revision) ?? [];
      return [...new Set(found)];
    };

    test('is a number of changes: the oldest commits go, whole', async (t) => {
      const store = await open(t, { entries: 4 });
      await store.commit([put('routes/1', 'a'), put('routes/2', 'a'), put('routes/3', 'a')]);
      for (const value of 'bcd') await store.commit([put('routes/1', value)]);
      assert.deepEqual(await revisions(store), [4, 3, 2, 1], 'nothing is forgotten in the path of a write');
      await store.history?.prune();
      assert.deepEqual(await revisions(store), [4, 3, 2]);
      assert.deepEqual(await store.history?.since(0), { oldest: 1, newest: 4, values: undefined });
      assert.deepEqual((await store.history?.since(1))?.values, new Map([['routes/1', 'a']]));
    });

    test('is a size, but the newest commit stays whatever its size', async (t) => {
      const store = await open(t, { bytes: 1000 });
      await store.commit([put('routes/1', 'x'.repeat(2000))]);
      await store.commit([put('routes/1', 'small')]);
      await store.commit([put('routes/1', 'smaller')]);
      await store.history?.prune();
      assert.deepEqual(await revisions(store), [3]);
      await store.commit([put('routes/1', 'y'.repeat(2000))]);
      await store.commit([put('routes/1', 'small')]);
      await store.history?.prune();
      assert.deepEqual(await revisions(store), [5]);
    });

    test('is a number of days, also for the newest', async (t) => {
      t.mock.timers.enable({ apis: ['Date'], now: 1_800_000_000_000 });
      const store = await open(t, { days: 3 });
      await store.commit([put('routes/1', 'a')]);
      t.mock.timers.setTime(1_800_000_000_000 + 2 * dayMs);
      await store.commit([put('routes/1', 'b')]);
      t.mock.timers.setTime(1_800_000_000_000 + 3 * dayMs + 1);
      await store.history?.prune();
      assert.deepEqual(await revisions(store), [2]);
      t.mock.timers.setTime(1_800_000_000_000 + 6 * dayMs);
      await store.history?.prune();
      assert.deepEqual(await revisions(store), []);
      assert.deepEqual(await store.history?.since(2), { oldest: 2, newest: 2, values: new Map() });
      assert.equal((await store.history?.since(1))?.values, undefined);
    });

    test('0 entries keep no history', async (t) => {
      const store = await open(t, { entries: 0 });
      assert.ok((await store.commit([put('routes/1', 'a')])).ok);
      assert.equal(store.history, undefined);
    });
  });
}

describe('the history on the disk', () => {
  test('is forgotten in steps of a few hundred rows', async (t) => {
    const dataDir = await directory(t);
    const store = await openStore({ kind: 'sqlite', dataDir, history: { ...defaultRetention, entries: 10 } }, hooks);
    t.after(() => store.close());
    for (let i = 0; i < 450; i++) await store.commit([put(`routes/${String(i)}`, 'a')]);
    const total = async (): Promise<number | undefined> => (await store.history?.find({ limit: 1 }))?.total;
    const totals = [await total()];
    for (let i = 0; i < 4; i++) {
      await store.history?.prune();
      totals.push(await total());
    }
    assert.deepEqual(totals, [450, 250, 50, 10, 10]);
  });

  test('switched off it is erased, so that it has no gap when it is switched on again', async (t) => {
    const dataDir = await directory(t);
    const open = (entries: number): Promise<Store> =>
      openStore({ kind: 'sqlite', dataDir, history: { ...defaultRetention, entries } }, hooks);
    for (const [entries, value] of [
      [10, 'a'],
      [0, 'b'],
      [10, 'c'],
    ] as const) {
      const store = await open(entries);
      await store.commit([put('routes/1', value)]);
      await store.close();
    }
    const store = await open(10);
    t.after(() => store.close());
    assert.deepEqual(await store.history?.since(2), { oldest: 2, newest: 3, values: new Map([['routes/1', 'b']]) });
    assert.equal((await store.history?.since(1))?.values, undefined);
  });

  test('a database of schema version 1 gets one, and keeps what it holds', async (t) => {
    const dataDir = await directory(t);
    const first = await openStore({ kind: 'sqlite', dataDir }, hooks);
    await first.commit([put('routes/1', 'a')]);
    await first.close();
    const database = new DatabaseSync(path.join(dataDir, 'gatewright.db'));
    database.exec("DROP TABLE commits; DROP TABLE changes; UPDATE meta SET value = 1 WHERE name = 'schema_version'");
    database.close();
    for (const value of ['b', 'c']) {
      const store = await openStore({ kind: 'sqlite', dataDir }, hooks);
      await store.commit([put('routes/1', value)]);
      await store.close();
    }
    const store = await openStore({ kind: 'sqlite', dataDir }, hooks);
    t.after(() => store.close());
    const { total, entries } = (await store.history?.find({ limit: 10 })) ?? {};
    assert.equal(total, 2);
    assert.deepEqual(
      entries?.map(({ before, after }) => [before, after]),
      [
        ['b', 'c'],
        ['a', 'b'],
      ],
    );
  });
});

describe('an encrypted history', () => {
  const keyAuth: CheckablePlugin = {
    name: 'key-auth',
    priority: 1,
    type: 'auth',
    schema: {},
    consumerSchema: { encrypt_fields: ['key'] },
    compile: () => undefined,
  };
  const registry: PluginRegistry = {
    get: (name) => (name === keyAuth.name ? keyAuth : undefined),
    list: () => [keyAuth],
  };
  const [old, first] = ['fedcba9876543210', '0123456789abcdef'];
  const jack = (key: string): Operation =>
    put('consumers/jack', { username: 'jack', plugins: { 'key-auth': { key } } });
  const plain = (dataDir: string): Promise<Store> => openStore({ kind: 'sqlite', dataDir }, hooks);
  const sealed = async (dataDir: string, keyring: string[]): Promise<Store> =>
    encryptStore(await plain(dataDir), keyring, registry);
  /** `resealed`: the history stands on the disk as the keyring wants it. */
  const resealing = async (dataDir: string, keyring: string[]): Promise<{ store: Store; resealed: Promise<void> }> => {
    const below = await plain(dataDir);
    const { history } = below;
    assert.ok(history?.reseal);
    const reseal = history.reseal.bind(history);
    let resealed: Promise<void> = Promise.reject(new Error('nothing was sealed again'));
    resealed.catch(() => undefined);
    history.reseal = (...how) => (resealed = reseal(...how));
    return { store: encryptStore(below, keyring, registry), resealed };
  };
  const keysOf = async (store: Store): Promise<unknown[]> => {
    const { entries = [] } = (await store.history?.find({ limit: 100 })) ?? {};
    return entries.map(({ before, after }) =>
      [before, after].map((text) => /"key":"(.*?)"/.exec(text ?? '')?.[1] ?? null),
    );
  };
  /** The values of the table as they stand in the file of a closed store. */
  const onDisk = (dataDir: string): { texts: string; mark: unknown } => {
    const database = new DatabaseSync(path.join(dataDir, 'gatewright.db'), { readOnly: true });
    try {
      const rows = database.prepare('SELECT before FROM changes').all();
      const mark = database.prepare("SELECT value FROM meta WHERE name = 'history_sealed'").get()?.['value'];
      return { texts: rows.map((row) => String(row['before'])).join('\n'), mark };
    } finally {
      database.close();
    }
  };

  test('holds no secret in plain text, and tells it to who has the keyring', async (t) => {
    const dataDir = await directory(t);
    const store = await sealed(dataDir, [first]);
    for (const key of ['secret-one', 'secret-two']) await store.commit([jack(key)]);
    await store.commit([{ type: 'delete', key: 'consumers/jack' }]);
    assert.deepEqual(await keysOf(store), [
      ['secret-two', null],
      ['secret-one', 'secret-two'],
      [null, 'secret-one'],
    ]);
    assert.match((await store.history?.since(1))?.values?.get('consumers/jack') ?? '', /"secret-one"/);
    await store.close();
    assert.doesNotMatch(onDisk(dataDir).texts, /secret-(one|two)/);
  });

  test('what was recorded before there was a keyring, or by an older key, is encrypted by the first', async (t) => {
    const dataDir = await directory(t);
    const unsealed = await plain(dataDir);
    for (const key of ['secret-one', 'secret-two', 'secret-three']) await unsealed.commit([jack(key)]);
    await unsealed.close();
    assert.match(onDisk(dataDir).texts, /secret-one[^]*secret-two/);
    const marks = new Set<unknown>();
    for (const keyring of [[old], [first, old]]) {
      const { store, resealed } = await resealing(dataDir, keyring);
      // The value that is replaced was stored in plain text, and does not get into the history so.
      await store.commit([jack(`secret-of-${String(keyring[0])}`)]);
      await resealed;
      await store.close();
      const { texts, mark } = onDisk(dataDir);
      assert.doesNotMatch(texts, /secret-/);
      marks.add(mark);
    }
    assert.equal(marks.size, 2);
    // The older key is needed no more for the history.
    const store = await sealed(dataDir, [first]);
    t.after(() => store.close());
    assert.deepEqual(
      (await keysOf(store)).map((pair) => (pair as unknown[])[0]),
      [`secret-of-${old}`, 'secret-three', 'secret-two', 'secret-one', null],
    );
    assert.deepEqual([...((await store.history?.since(0))?.unopened ?? [])], []);
  });

  test('what is replaced gets into it encrypted, also where it was stored in plain text', async (t) => {
    const below = await openStore({ kind: 'memory' }, hooks);
    t.after(() => below.close());
    const hex = 'ab'.repeat(32);
    await below.commit([jack('secret-one'), put('consumers/jill', { plugins: { 'key-auth': { key: hex } } })]);
    const store = encryptStore(below, [first], registry);
    await store.commit([jack('secret-two'), { type: 'delete', key: 'consumers/jill' }]);
    await store.commit([jack('secret-three')]);
    const kept = (await below.history?.find({ limit: 100 }))?.entries.map(({ before }) => before).join('\n') ?? '';
    assert.doesNotMatch(kept, /secret-|(ab){32}/);
    const values = (await store.history?.since(1))?.values;
    assert.match(values?.get('consumers/jack') ?? '', /"secret-one"/);
    assert.ok(values?.get('consumers/jill')?.includes(hex));
  });

  test('what no key opens is said to be so, and is not taken for a secret in plain text', async (t) => {
    const dataDir = await directory(t);
    const store = await sealed(dataDir, [old]);
    await store.commit([jack('secret-one')]);
    await store.commit([jack('secret-two')]);
    await store.close();
    const { store: other, resealed } = await resealing(dataDir, [first]);
    await other.commit([jack('secret-three')]);
    await resealed;
    await other.commit([jack('secret-four')]);
    for (const revision of [1, 2])
      assert.deepEqual([...((await other.history?.since(revision))?.unopened ?? [])], ['consumers/jack']);
    assert.deepEqual([...((await other.history?.since(3))?.unopened ?? [])], []);
    await other.close();
  });
});
