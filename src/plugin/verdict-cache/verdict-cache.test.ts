import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { createVerdictMemory, SharedFailure, tableSize, VerdictCache, VerdictControl } from './verdict-cache.ts';
import { field, fields } from './verdict-key.ts';
import { createVerdictTable, maxTextBytes, VerdictTable } from './verdict-table.ts';

const small = { places: 64, textBytes: 262_144 };
const answering =
  (text: string, ttlMs = 1000) =>
  (): Promise<{ text: string; ttlMs: number }> =>
    Promise.resolve({ text, ttlMs });
const never = (): Promise<never> => Promise.reject(new Error('asked'));

function caches(count: number): { memory: SharedArrayBuffer; clock: { now: number }; all: VerdictCache[] } {
  const memory = createVerdictTable(small);
  const clock = { now: 1000 };
  const all = Array.from({ length: count }, (_, i) => new VerdictCache(memory, i + 1, () => clock.now));
  return { memory, clock, all };
}

test('a verdict is found by every worker until it expires, and never after', async () => {
  const { clock, all } = caches(2);
  const [a, b] = all as [VerdictCache, VerdictCache];
  assert.deepEqual(await a.fetch('k', 100, answering('yes', 500)), { text: 'yes', asked: true, shared: true });
  assert.equal(b.fetch('k', 100, never), 'yes');
  clock.now = 1499;
  assert.equal(b.fetch('k', 100, never), 'yes');
  assert.equal(a.peek('k')?.expiry, 1500);
  clock.now = 1500;
  assert.equal(a.peek('k'), undefined);
  await assert.rejects(async () => b.fetch('k', 100, never), /asked/);
});

test('a thousand at once in two workers make one call', async () => {
  const { all } = caches(2);
  let calls = 0;
  const gate = Promise.withResolvers<undefined>();
  const ask = async (): Promise<{ text: string; ttlMs: number }> => {
    calls++;
    await gate.promise;
    return { text: 'yes', ttlMs: 1000 };
  };
  const results = Array.from({ length: 1000 }, (_, i) => all[i % 2]!.fetch('k', 60_000, ask));
  gate.resolve(undefined);
  const texts = (await Promise.all(results.map(async (result) => result))).map((result) =>
    typeof result === 'string' ? result : result.text,
  );
  assert.deepEqual(new Set(texts), new Set(['yes']));
  assert.equal(calls, 1);
});

test('those who waited share a failure, whoever comes later asks anew', async () => {
  const { all } = caches(2);
  const gate = Promise.withResolvers<never>();
  const first = all[0]!.fetch('k', 60_000, () => gate.promise) as Promise<unknown>;
  const same = all[0]!.fetch('k', 60_000, never) as Promise<unknown>;
  const other = all[1]!.fetch('k', 60_000, never) as Promise<unknown>;
  const refused = [
    assert.rejects(first, /broken/),
    assert.rejects(same, /broken/),
    assert.rejects(other, (error) => error instanceof SharedFailure),
  ];
  gate.reject(new Error('broken'));
  await Promise.all(refused);
  assert.deepEqual(await all[1]!.fetch('k', 100, answering('yes')), { text: 'yes', asked: true, shared: true });
});

test('an answer for one request alone is kept from those who waited: each asks for itself', async () => {
  const { all } = caches(2);
  let calls = 0;
  const ask = (): Promise<{ text: string; ttlMs: number }> => Promise.resolve({ text: String(++calls), ttlMs: 0 });
  const results = (await Promise.all([0, 0, 1].map(async (worker) => all[worker]!.fetch('k', 60_000, ask)))) as {
    text: string;
  }[];
  assert.deepEqual(results.map(({ text }) => text).sort(), ['1', '2', '3']);
  assert.equal(all[0]!.peek('k'), undefined);
});

test('the call of a worker that died is made by one that waited for it', async () => {
  const { memory, all } = caches(2);
  void all[0]!.fetch('k', 60_000, () => new Promise(() => undefined));
  const waiting = all[1]!.fetch('k', 60_000, answering('yes'));
  new VerdictControl(memory).releaseWorker(1);
  assert.deepEqual(await waiting, { text: 'yes', asked: true, shared: true });
});

test('the call of a worker that hangs is made again when its patience is over', async () => {
  const { clock, all } = caches(2);
  void all[0]!.fetch('k', 100, () => new Promise(() => undefined));
  clock.now += 1100;
  assert.deepEqual(await all[1]!.fetch('k', 100, answering('yes')), { text: 'yes', asked: true, shared: true });
});

test('purging a scope, or all, leaves nothing under the keys of before', () => {
  const { memory, all } = caches(1);
  const control = new VerdictControl(memory);
  const cache = all[0]!;
  const [one, two] = [cache.epoch('route#1'), cache.epoch('route#2')];
  control.purge('route#1');
  assert.notEqual(cache.epoch('route#1'), one);
  assert.equal(cache.epoch('route#2'), two);
  control.purge(undefined);
  assert.notEqual(cache.epoch('route#2'), two);
});

test('a full table loses what expires first, and counts it', async () => {
  const { memory, all } = caches(1);
  const cache = all[0]!;
  for (let i = 0; i < 1000; i++) await cache.fetch(`key ${String(i)}`, 100, answering(String(i), 1000 + i));
  assert.equal(new VerdictControl(memory).evictions, 1000 - 64);
  for (let i = 0; i < 1000; i++) {
    const found = cache.peek(`key ${String(i)}`);
    assert.ok(found === undefined || found.text === String(i));
  }
  assert.ok(cache.peek('key 999') !== undefined);
});

test('a text that the ring came round to is gone, never another’s', async () => {
  const memory = createVerdictTable({ places: 4096, textBytes: 65_536 });
  const cache = new VerdictCache(memory, 1, () => 1000);
  const text = (i: number): string => `${String(i)} ${'x'.repeat(997 - String(i).length)}é`;
  for (let i = 0; i < 1000; i++) await cache.fetch(`key ${String(i)}`, 100, answering(text(i)));
  let live = 0;
  for (let i = 0; i < 1000; i++) {
    const found = cache.peek(`key ${String(i)}`);
    if (found === undefined) continue;
    live++;
    assert.equal(found.text, text(i));
  }
  assert.ok(live >= 55 && live <= 64, String(live));
  // One that is missed is counted, once.
  const control = new VerdictControl(memory);
  assert.equal(control.evictions, 0);
  for (let i = 0; i < 2; i++) await cache.fetch('key 0', 100, answering(text(0)));
  assert.equal(control.evictions, 1);
});

test('a text that is too long is given to those who waited, and not kept', async () => {
  const { all } = caches(1);
  const text = 'x'.repeat(maxTextBytes + 1);
  const result = await all[0]!.fetch('k', 100, answering(text));
  assert.equal((result as { text: string }).text, text);
  assert.equal(all[0]!.peek('k'), undefined);
});

test('keys are compared by the whole digest: one bit makes another key', () => {
  const table = new VerdictTable(createVerdictTable(small), 1, () => 1000);
  const digest = Int32Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  assert.equal(table.claim(digest, 2000), 'claimed');
  assert.equal(table.settle(digest, table.flight, 2000, 'yes'), true);
  assert.equal(table.peek(digest), 'hit');
  for (let word = 0; word < 8; word++) {
    const other = Int32Array.from(digest);
    // A bit that does not choose the bucket, so that both would stand in one.
    other[word] = (other[word] ?? 0) ^ 0x4000_0000;
    assert.equal(table.peek(other), 'none', `word ${String(word)}`);
  }
});

test('fields that run into each other make different keys', () => {
  const lists = [['a', 'bc'], ['ab', 'c'], ['abc'], ['abc', ''], ['', 'abc'], ['a', '1:b'], ['a1:b'], [], ['']];
  const texts = [...lists.map((list) => fields(list)), field(undefined), field(''), field('-')];
  assert.equal(new Set(texts).size, texts.length);
  // However lists of fields follow each other.
  const pairs = lists.flatMap((one) => lists.map((other) => fields(one) + fields(other)));
  assert.equal(new Set(pairs).size, pairs.length);
});

test('an answer that comes when its attempt is long given up is no verdict of the next attempt', () => {
  const clock = { now: 1000 };
  const table = new VerdictTable(createVerdictTable(small), 1, () => clock.now);
  const digest = Int32Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  assert.equal(table.claim(digest, 2000), 'claimed');
  const first = table.flight;
  clock.now = 2000;
  assert.equal(table.claim(digest, 3000), 'claimed');
  assert.equal(table.settle(digest, first, 9000, 'late'), false);
  table.end(digest, first, true);
  assert.equal(table.peek(digest), 'pending');
  assert.equal(table.settle(digest, table.flight, 9000, 'in time'), true);
  assert.deepEqual([table.peek(digest), table.text], ['hit', 'in time']);
});

test('a place in the ring that is reached again, after all positions, is another’s', () => {
  const memory = createVerdictTable(small);
  const table = new VerdictTable(memory, 1, () => 1000);
  const [one, other] = [Int32Array.of(1, 1, 1, 1, 1, 1, 1, 1), Int32Array.of(2, 2, 2, 2, 2, 2, 2, 2)];
  for (const digest of [one, other]) {
    // The third word of the head is the ring's position: back to where it was, as after 2³² units.
    new Int32Array(memory)[2] = 0;
    table.claim(digest, 2000);
    table.settle(digest, table.flight, 2000, `verdict ${String(digest[0])}`);
  }
  assert.equal(table.peek(one), 'none');
  assert.deepEqual([table.peek(other), table.text], ['hit', 'verdict 2']);
});

test('ten thousand verdicts fit into the default size, which is less than ten megabytes', async () => {
  const memory = createVerdictMemory(8 * 1_048_576);
  assert.ok(memory.byteLength <= 10_000_000, String(memory.byteLength));
  assert.equal(tableSize(8 * 1_048_576).places, 32_768);
  const cache = new VerdictCache(memory, 1);
  const text = JSON.stringify({ passes: true, consumer: 'jack', headers: [['X-Tenant', 'a'.repeat(100)]] });
  for (let i = 0; i < 10_000; i++) await cache.fetch(`key ${String(i)}`, 100, answering(text, 3_600_000));
  let found = 0;
  for (let i = 0; i < 10_000; i++) if (cache.peek(`key ${String(i)}`)?.text === text) found++;
  assert.ok(found >= 9_990, String(found));
});

test('threads that write and read the same keys never see another key’s verdict, and make one call a key', async () => {
  const memory = createVerdictTable({ places: 1024, textBytes: 65_536 });
  const crowded = createVerdictTable({ places: 256, textBytes: 65_536 });
  const gate = new SharedArrayBuffer(4);
  const workers = [1, 2, 3].map(
    (number) =>
      new Worker(new URL('./verdict-cache.fixture.ts', import.meta.url), {
        workerData: { memory, crowded, number, gate },
      }),
  );
  await Promise.all(workers.map((worker) => once(worker, 'message')));
  const results = workers.map((worker) => once(worker, 'message'));
  Atomics.store(new Int32Array(gate), 0, 1);
  Atomics.notify(new Int32Array(gate), 0);
  const found = (await Promise.all(results)).map(([result]) => result as { wrong: number; asked: number });
  await Promise.all(workers.map((worker) => worker.terminate()));
  assert.equal(
    found.reduce((sum, { wrong }) => sum + wrong, 0),
    0,
  );
  // Each asks for 200 keys that live for an hour, in a table that has room for them.
  assert.equal(
    found.reduce((sum, { asked }) => sum + asked, 0),
    200,
  );
});
