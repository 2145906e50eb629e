/**
 * What every store must do, whatever it stands on: one suite, which store.test.ts registers for each implementation.
 * A test that is about what a store cannot do is not registered for it, so that none counts as skipped.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import {
  StoreError,
  type ChangeSet,
  type HistoryEntry,
  type HistoryQuery,
  type Operation,
  type Store,
  type StoreHooks,
} from '../../src/store/store.ts';

export interface OpenedStore {
  readonly store: Store;
  /** Makes the operations one change of the store's content, the way its users do. Default: `store.commit`. */
  change?(operations: readonly Operation[]): Promise<void>;
  /** Closes the store and opens the same content again. */
  reopen?(): Promise<Store>;
  /** Called after the test; the store is closed already. */
  dispose?(): Promise<void>;
}

export interface StoreFixture {
  /** Others write the content: `commit` refuses. */
  readonly readOnly?: true;
  /** The content outlives the store: `open` gives `reopen`. */
  readonly durable?: true;
  /** 100,000 entries cannot be brought in within a test's time. */
  readonly slowToFill?: true;
  /** Opens a store of its own, without entries. */
  open(hooks: StoreHooks): Promise<OpenedStore>;
}

interface Subject {
  readonly store: Store;
  readonly errors: string[];
  change(...operations: readonly Operation[]): Promise<void>;
  reopen: (() => Promise<Store>) | undefined;
}

const LIST_SIZE = 100_000;
const LIST_LIMIT_MS = 1000;

export function storeConformance(name: string, fixture: StoreFixture): void {
  const writableTest = fixture.readOnly === true ? unregistered : register;
  const readOnlyTest = fixture.readOnly === true ? register : unregistered;
  const durableTest = fixture.durable === true ? register : unregistered;

  /** Runs `body` on a fresh store; closes it, and fails on an error nobody expected. */
  const withStore = async (body: (subject: Subject) => Promise<void>): Promise<void> => {
    const errors: string[] = [];
    const opened = await fixture.open({
      onError: (message) => errors.push(message),
      onWarning: (message) => assert.fail(message),
    });
    let current = opened.store;
    const change = async (...operations: readonly Operation[]): Promise<void> => {
      if (opened.change) await opened.change(operations);
      else assert.equal((await current.commit(operations)).ok, true);
    };
    const { reopen } = opened;
    try {
      await body({
        store: opened.store,
        errors,
        change,
        reopen: reopen && (async () => (current = await reopen())),
      });
    } finally {
      await current.close();
      await opened.dispose?.();
    }
    assert.deepEqual(errors.splice(0), []);
  };

  describe(`store ${name}`, () => {
    describe('reading', () => {
      test('a fresh store has no entries', () =>
        withStore(async ({ store }) => {
          assert.equal(await store.get('routes/1'), undefined);
          const { revision, entries } = await store.list('');
          assert.deepEqual(entries, []);
          assert.ok(Number.isSafeInteger(revision) && revision >= 0);
        }));

      test('an entry carries the revision that created it and the one that last changed it', () =>
        withStore(async ({ store, change }) => {
          await change(put('routes/1', 'a'));
          const created = (await store.list('')).revision;
          await change(put('routes/2', 'b'));
          await change(put('routes/1', 'c'));
          const { revision } = await store.list('');
          assert.deepEqual(await store.get('routes/1'), {
            key: 'routes/1',
            value: json('routes/1', 'c'),
            createdIndex: created,
            modifiedIndex: revision,
          });
        }));

      test('an entry that was deleted and put again is a new one', () =>
        withStore(async ({ store, change }) => {
          await change(put('routes/1', 'a'));
          await change(remove('routes/1'));
          assert.equal(await store.get('routes/1'), undefined);
          assert.deepEqual((await store.list('')).entries, []);
          await change(put('routes/1', 'a'));
          const entry = await store.get('routes/1');
          assert.equal(entry?.createdIndex, entry?.modifiedIndex);
          assert.equal(entry?.createdIndex, (await store.list('')).revision);
        }));

      test('list gives the entries under a prefix, ordered by key, and the revision they were read at', () =>
        withStore(async ({ store, change }) => {
          await change(put('upstreams/1', 'a'), put('routes/2', 'a'), put('routes/10', 'a'), put('routes/1', 'a'));
          await change(put('services/1', 'a'));
          const { revision, entries } = await store.list('routes/');
          assert.deepEqual(
            entries.map(({ key }) => key),
            ['routes/1', 'routes/10', 'routes/2'],
          );
          const last = await store.get('services/1');
          assert.equal(revision, last?.modifiedIndex);
          assert.deepEqual(entries[0], await store.get('routes/1'));
          assert.equal((await store.list('')).entries.length, 5);
          assert.deepEqual((await store.list('routes/3')).entries, []);
        }));

      test('list gives a page at a time: what comes after a key, at most so many', () =>
        withStore(async ({ store, change }) => {
          await change(...['a', 'b', 'c', 'd'].map((id) => put(`routes/${id}`, 'x')), put('services/1', 'x'));
          const page = async (after: string, limit: number): Promise<string[]> =>
            (await store.list('routes/', { after, limit })).entries.map(({ key }) => key);
          assert.deepEqual(await page('', 3), ['routes/a', 'routes/b', 'routes/c']);
          assert.deepEqual(await page('routes/c', 3), ['routes/d']);
          assert.deepEqual(await page('routes/bb', 1), ['routes/c']);
          assert.deepEqual(await page('routes/d', 3), []);
          assert.deepEqual((await store.list('', { after: 'routes/d', limit: 9 })).entries[0]?.key, 'services/1');
        }));

      test('a prefix means itself: no wildcard, no folding of case', () =>
        withStore(async ({ store, change }) => {
          await change(put('routes/a_1', 'x'), put('routes/ab1', 'x'), put('routes/A_1', 'x'), put('routes/a', 'x'));
          const { entries } = await store.list('routes/a_');
          assert.deepEqual(
            entries.map(({ key }) => key),
            ['routes/a_1'],
          );
          assert.deepEqual((await store.list('routes/%')).entries, []);
          assert.deepEqual((await store.list('routes/*')).entries, []);
        }));

      test('values come back as they were: text of any script, and a megabyte of it', () =>
        withStore(async ({ store, change }) => {
          const texts = ['grün 网关 🚪 \u0000 \u2028', 'x'.repeat(1 << 20), "'; DROP TABLE entries; --", ''];
          await change(...texts.map((text, index) => put(`routes/${index}`, text)));
          for (const [index, text] of texts.entries()) {
            assert.equal((await store.get(`routes/${index}`))?.value, json(`routes/${index}`, text));
          }
        }));

      (fixture.slowToFill === true ? unregistered : register)(
        '100,000 entries are listed in less than a second of CPU',
        () =>
          withStore(async ({ store, change }) => {
            const operations = Array.from({ length: LIST_SIZE }, (_, index) =>
              put(`routes/${(index * 7919) % LIST_SIZE}`, 'v'.repeat(200)),
            );
            await change(...operations);
            const start = process.cpuUsage();
            const { entries } = await store.list('routes/');
            const { user, system } = process.cpuUsage(start);
            const elapsedMs = (user + system) / 1000;
            assert.equal(entries.length, LIST_SIZE);
            assert.ok(elapsedMs < LIST_LIMIT_MS, `took ${elapsedMs} ms`);
          }),
      );
    });

    describe('commit', () => {
      writableTest('moves the revision by one, whatever the number of operations', () =>
        withStore(async ({ store }) => {
          const before = (await store.list('')).revision;
          const first = await store.commit([put('routes/1', 'a'), put('routes/2', 'b')]);
          const second = await store.commit([put('routes/3', 'c'), remove('routes/1')]);
          assert.ok(first.ok && second.ok);
          assert.equal(first.revision, before + 1);
          assert.equal(second.revision, before + 2);
          assert.equal((await store.list('')).revision, before + 2);
        }),
      );

      writableTest('answers with the entries it wrote, in the order of the puts', () =>
        withStore(async ({ store }) => {
          await store.commit([put('routes/1', 'a')]);
          const result = await store.commit([put('routes/2', 'b'), remove('routes/3'), put('routes/1', 'c')]);
          assert.ok(result.ok);
          assert.deepEqual(result.entries, [await store.get('routes/2'), await store.get('routes/1')]);
        }),
      );

      writableTest('a put of the same value is a change', () =>
        withStore(async ({ store }) => {
          await store.commit([put('routes/1', 'a')]);
          const result = await store.commit([put('routes/1', 'a')]);
          assert.ok(result.ok);
          assert.equal((await store.get('routes/1'))?.modifiedIndex, result.revision);
        }),
      );

      writableTest('a commit that changes nothing leaves the revision and tells no watcher', () =>
        withStore(async ({ store, change }) => {
          await change(put('routes/1', 'a'));
          const seen = record(store);
          const { revision } = await store.list('');
          assert.deepEqual(await store.commit([]), { ok: true, revision, entries: [] });
          assert.deepEqual(await store.commit([remove('routes/9')]), { ok: true, revision, entries: [] });
          await change(remove('routes/1'), remove('routes/9'));
          await seen.waitFor(revision + 1);
          assert.deepEqual(seen.changes, [
            { revision: revision + 1, changes: [{ key: 'routes/1', entry: undefined }] },
          ]);
        }),
      );

      writableTest('happens when every precondition holds', () =>
        withStore(async ({ store }) => {
          const created = await store.commit([put('routes/1', 'a')], [{ key: 'routes/1', modifiedIndex: 0 }]);
          assert.ok(created.ok);
          const changed = await store.commit(
            [put('routes/1', 'b'), put('routes/2', 'b')],
            [
              { key: 'routes/1', modifiedIndex: created.revision },
              { key: 'routes/2', modifiedIndex: 0 },
            ],
          );
          assert.ok(changed.ok);
          assert.equal((await store.get('routes/2'))?.modifiedIndex, changed.revision);
        }),
      );

      writableTest('changes nothing and tells nobody when one precondition does not hold, and names it', () =>
        withStore(async ({ store }) => {
          await store.commit([put('routes/1', 'a')]);
          const before = await store.list('');
          const seen = record(store);
          for (const failed of [
            { key: 'routes/1', modifiedIndex: 0 },
            { key: 'routes/1', modifiedIndex: before.revision + 1 },
            { key: 'routes/2', modifiedIndex: before.revision },
          ]) {
            const result = await store.commit(
              [put('routes/1', 'b'), put('routes/2', 'b'), remove('routes/1 ')],
              [{ key: 'routes/3', modifiedIndex: 0 }, failed],
            );
            assert.deepEqual(result, { ok: false, failed });
          }
          assert.deepEqual(await store.list(''), before);
          await store.commit([put('routes/9', 'c')]);
          await seen.waitFor(before.revision + 1);
          assert.equal(seen.changes.length, 1);
        }),
      );

      writableTest('refuses two operations on one key, and an empty key, and changes nothing', () =>
        withStore(async ({ store }) => {
          const before = await store.list('');
          for (const operations of [
            [put('routes/1', 'a'), put('routes/1', 'b')],
            [put('routes/1', 'a'), remove('routes/1')],
            [put('routes/1', 'a'), put('', 'b')],
          ]) {
            await assert.rejects(store.commit(operations), StoreError);
          }
          assert.deepEqual(await store.list(''), before);
          assert.ok((await store.commit([put('routes/1', 'a')])).ok);
        }),
      );

      writableTest('of two writers that both read the same revision, exactly one wins', () =>
        withStore(async ({ store }) => {
          await store.commit([put('routes/1', 'start')]);
          const won = { a: 0, b: 0 };
          const write = async (writer: 'a' | 'b'): Promise<boolean> => {
            const read = await store.get('routes/1');
            await setImmediate();
            const result = await store.commit(
              [put('routes/1', `${writer}${won[writer]}`)],
              [{ key: 'routes/1', modifiedIndex: read?.modifiedIndex ?? 0 }],
            );
            if (result.ok) won[writer] += 1;
            return result.ok;
          };
          for (let round = 1; round <= 20; round += 1) {
            const order = round % 2 === 0 ? (['a', 'b'] as const) : (['b', 'a'] as const);
            const results = await Promise.all(order.map((writer) => write(writer)));
            assert.deepEqual(results.toSorted(), [false, true], `round ${round}`);
          }
          assert.equal(won.a + won.b, 20);
        }),
      );

      writableTest('writers that retry lose no update', () =>
        withStore(async ({ store }) => {
          const increment = async (): Promise<void> => {
            for (;;) {
              const read = await store.get('routes/1');
              const count = read === undefined ? 0 : Number((JSON.parse(read.value) as { name: string }).name);
              await setImmediate();
              const result = await store.commit(
                [put('routes/1', String(count + 1))],
                [{ key: 'routes/1', modifiedIndex: read?.modifiedIndex ?? 0 }],
              );
              if (result.ok) return;
            }
          };
          await Promise.all(Array.from({ length: 10 }, increment));
          assert.equal((await store.get('routes/1'))?.value, json('routes/1', '10'));
        }),
      );

      readOnlyTest('refuses, and says that the store is read-only', () =>
        withStore(async ({ store }) => {
          assert.equal(store.writable, false);
          await assert.rejects(store.commit([put('routes/1', 'a')]), { name: 'StoreError', message: /read-only/ });
          assert.equal(await store.get('routes/1'), undefined);
        }),
      );
    });

    describe('watch', () => {
      test('tells every change after it began, once, in order of revision', () =>
        withStore(async ({ store, change }) => {
          await change(put('routes/1', 'before'));
          const { revision } = await store.list('');
          const seen = record(store);
          await change(put('routes/1', 'a'), put('routes/2', 'a'));
          const first = [await store.get('routes/1'), await store.get('routes/2')];
          await change(put('routes/2', 'b'));
          const second = await store.get('routes/2');
          await change(remove('routes/1'));
          await seen.waitFor(revision + 3);
          const [created, ...rest] = seen.changes;
          assert.equal(created?.revision, revision + 1);
          assert.deepEqual(
            created.changes.toSorted((a, b) => (a.key < b.key ? -1 : 1)),
            [
              { key: 'routes/1', entry: first[0] },
              { key: 'routes/2', entry: first[1] },
            ],
          );
          assert.deepEqual(rest, [
            { revision: revision + 2, changes: [{ key: 'routes/2', entry: second }] },
            { revision: revision + 3, changes: [{ key: 'routes/1', entry: undefined }] },
          ]);
        }));

      test('a listener that stopped is told no more; one function may watch twice', () =>
        withStore(async ({ store, change }) => {
          const revisions: number[] = [];
          const listener = ({ revision }: ChangeSet): void => void revisions.push(revision);
          const stop = store.watch(listener);
          store.watch(listener);
          const seen = record(store);
          await change(put('routes/1', 'a'));
          await seen.waitForCount(1);
          assert.equal(revisions.length, 2);
          stop();
          stop();
          await change(put('routes/1', 'b'));
          await seen.waitForCount(2);
          assert.equal(revisions.length, 3);
        }));

      test('a listener that throws is reported; the others are told, and it is told the next time', () =>
        withStore(async ({ store, change, errors }) => {
          let calls = 0;
          store.watch(() => {
            calls += 1;
            throw new Error('broken listener');
          });
          const seen = record(store);
          await change(put('routes/1', 'a'));
          await change(put('routes/1', 'b'));
          await seen.waitForCount(2);
          assert.equal(calls, 2);
          assert.equal(errors.length, 2);
          for (const message of errors.splice(0)) assert.match(message, /broken listener/);
        }));

      test('a listener that begins or stops another from inside its callback disturbs no order', () =>
        withStore(async ({ store, change }) => {
          const late: number[] = [];
          const stopped: number[] = [];
          const stopFirst = store.watch(({ revision }) => {
            stopFirst();
            stopSecond();
            store.watch((next) => late.push(next.revision));
            assert.ok(revision > 0);
          });
          const stopSecond = store.watch(({ revision }) => stopped.push(revision));
          const seen = record(store);
          await change(put('routes/1', 'a'));
          await change(put('routes/1', 'b'));
          await seen.waitForCount(2);
          assert.deepEqual(late, [seen.changes[1]?.revision]);
          assert.deepEqual(stopped, []);
        }));

      writableTest('a listener that commits from inside its callback: every listener sees both, in order', () =>
        withStore(async ({ store }) => {
          let nested: Promise<unknown> | undefined;
          store.watch(() => {
            nested ??= store.commit([put('routes/2', 'nested')]);
          });
          const seen = record(store);
          const outer = await store.commit([put('routes/1', 'outer')]);
          assert.ok(outer.ok);
          await seen.waitFor(outer.revision + 1);
          await nested;
          assert.deepEqual(
            seen.changes.map(({ revision }) => revision),
            [outer.revision, outer.revision + 1],
          );
        }),
      );
    });

    describe('history', () => {
      const jack = { who: 'jack', address: '192.0.2.1', action: 'PUT' };
      const jill = { who: 'jill', address: undefined, action: 'DELETE' };
      const find = async (store: Store, query: Partial<HistoryQuery> = {}): Promise<HistoryEntry[]> =>
        (await store.history?.find({ limit: 1000, ...query }))?.entries ?? [];

      readOnlyTest('is not kept where others write the content', () =>
        withStore(async ({ store }) => {
          assert.equal(store.history, undefined);
        }),
      );

      writableTest('tells who changed what, when, from what and to what; the newest first', () =>
        withStore(async ({ store }) => {
          const from = Date.now();
          await store.commit([put('routes/2', 'b'), put('routes/1', 'a')], [], jack);
          await store.commit([put('routes/1', 'c')], [], jill);
          await store.commit([remove('routes/1'), remove('routes/9')], [], jill);
          const entries = await find(store);
          for (const { time } of entries) assert.ok(time >= from && time <= Date.now());
          const [a, b, c] = [json('routes/1', 'a'), json('routes/2', 'b'), json('routes/1', 'c')];
          assert.deepEqual(
            entries.map(({ time: _time, ...entry }) => entry),
            [
              { revision: 3, ...jill, key: 'routes/1', before: c, after: undefined },
              { revision: 2, ...jill, key: 'routes/1', before: a, after: c },
              { revision: 1, ...jack, key: 'routes/1', before: undefined, after: a },
              { revision: 1, ...jack, key: 'routes/2', before: undefined, after: b },
            ],
          );
        }),
      );

      writableTest('holds nothing of a commit that did not happen or changed nothing', () =>
        withStore(async ({ store }) => {
          await store.commit([put('routes/1', 'a')], [{ key: 'routes/2', modifiedIndex: 7 }], jack);
          await store.commit([remove('routes/1')], [], jack);
          await assert.rejects(store.commit([put('routes/1', 'a'), put('', 'a')], [], jack));
          assert.deepEqual(await find(store), []);
        }),
      );

      writableTest('is found by revision, key, what stands under a key, who and time, page by page', () =>
        withStore(async ({ store }) => {
          const keys = ['consumers/j', 'consumers/j/credentials/c', 'consumers/j0', 'routes/1', 'routes/2'];
          for (const key of keys) await store.commit([put(key, 'a')], [], key.startsWith('routes') ? jack : jill);
          const found = async (query: Partial<HistoryQuery>): Promise<string[]> =>
            (await find(store, query)).map(({ key }) => key).toSorted();
          assert.deepEqual(await found({ revision: 4 }), ['routes/1']);
          assert.deepEqual(await found({ key: 'consumers/j' }), keys.slice(0, 2));
          assert.deepEqual(await found({ key: 'routes' }), keys.slice(3));
          assert.deepEqual(await found({ who: 'jill' }), keys.slice(0, 3));
          assert.deepEqual(await found({ who: 'jill', key: 'routes' }), []);
          assert.deepEqual(await found({ since: 0, until: Date.now() + 1000 }), keys);
          assert.deepEqual(await found({ since: Date.now() + 1000 }), []);
          assert.deepEqual(await found({ until: 1000 }), []);
          const page = await store.history?.find({ key: 'consumers', limit: 2, offset: 1 });
          assert.equal(page?.total, 3);
          assert.deepEqual(
            page.entries.map(({ key }) => key),
            ['consumers/j/credentials/c', 'consumers/j'],
          );
        }),
      );

      writableTest('knows every key that changed since a revision, and what it was', () =>
        withStore(async ({ store }) => {
          await store.commit([put('routes/1', 'a'), put('routes/2', 'b')]);
          await store.commit([put('routes/1', 'c'), put('routes/3', 'd')]);
          await store.commit([remove('routes/1')]);
          const since = async (revision: number): Promise<unknown> => {
            const state = await store.history?.since(revision);
            assert.deepEqual([state?.oldest, state?.newest], [0, 3]);
            return state?.values && Object.fromEntries(state.values);
          };
          assert.deepEqual(await since(0), { 'routes/1': undefined, 'routes/2': undefined, 'routes/3': undefined });
          assert.deepEqual(await since(1), { 'routes/1': json('routes/1', 'a'), 'routes/3': undefined });
          assert.deepEqual(await since(2), { 'routes/1': json('routes/1', 'c') });
          assert.deepEqual(await since(3), {});
          assert.equal(await since(4), undefined);
        }),
      );

      durableTest('is there after the store is opened again', () =>
        withStore(async ({ store, reopen }) => {
          assert.ok(reopen);
          await store.commit([put('routes/1', 'a')], [], jack);
          await store.commit([put('routes/1', 'b')], [], jill);
          const before = await find(store);
          assert.equal(before.length, 2);
          assert.deepEqual(await find(await reopen()), before);
        }),
      );

      writableTest('is refused once the store is closed', () =>
        withStore(async ({ store }) => {
          await store.close();
          await assert.rejects(find(store), StoreError);
          await assert.rejects(store.history?.since(0) ?? Promise.resolve(), StoreError);
        }),
      );
    });

    describe('closing', () => {
      test('a closed store tells no watcher and refuses everything but another close', () =>
        withStore(async ({ store, change }) => {
          await change(put('routes/1', 'a'));
          store.watch(() => assert.fail('told after close'));
          await store.close();
          await store.close();
          await assert.rejects(store.get('routes/1'), StoreError);
          await assert.rejects(store.list(''), StoreError);
          await assert.rejects(store.commit([put('routes/1', 'b')]), StoreError);
          assert.throws(() => store.watch(() => {}), StoreError);
        }));

      durableTest('what was stored is there after the store is opened again, and revisions go on from there', () =>
        withStore(async ({ store, reopen }) => {
          assert.ok(reopen);
          await store.commit([put('routes/1', 'a'), put('routes/2', 'b')]);
          await store.commit([put('routes/1', 'c')]);
          await store.commit([remove('routes/2')]);
          const before = await store.list('');
          const again = await reopen();
          assert.deepEqual(await again.list(''), before);
          const next = await again.commit([put('routes/3', 'd')]);
          assert.ok(next.ok);
          assert.equal(next.revision, before.revision + 1);
        }),
      );
    });
  });
}

type Register = (title: string, body: () => Promise<void>) => void;

const register: Register = (title, body) => {
  void test(title, body);
};

const unregistered: Register = () => undefined;

/** The JSON text of a small resource, as a store of files would write it too. */
function json(key: string, name: string): string {
  return JSON.stringify({ id: key.slice(key.lastIndexOf('/') + 1), name });
}

function put(key: string, name: string): Operation {
  return { type: 'put', key, value: json(key, name) };
}

function remove(key: string): Operation {
  return { type: 'delete', key };
}

interface Recording {
  readonly changes: ChangeSet[];
  waitFor(revision: number): Promise<void>;
  waitForCount(count: number): Promise<void>;
}

/** A store may tell its watchers after `commit` resolved (etcd does); the test runner's timeout ends a wait in vain. */
function record(store: Store): Recording {
  const changes: ChangeSet[] = [];
  let wake: (() => void) | undefined;
  store.watch((change) => {
    changes.push(change);
    wake?.();
  });
  const until = async (done: () => boolean): Promise<void> => {
    while (!done()) await new Promise<void>((resolve) => (wake = resolve));
  };
  return {
    changes,
    waitFor: (revision) => until(() => (changes.at(-1)?.revision ?? 0) >= revision),
    waitForCount: (count) => until(() => changes.length >= count),
  };
}
