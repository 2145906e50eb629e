import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import {
  createCounterMemory,
  createLocalCounters,
  openCounters,
  releaseWorker,
  type CounterMemory,
} from './counters.ts';
import { hashKey } from './key-hash.ts';

/** Runs `threads` threads at once over the same keys. */
async function hammer(
  memory: CounterMemory,
  threads: number,
  options: { keys: string[]; rounds: number; limit?: number; mode: 'limit' | 'enter' | 'hold' },
): Promise<{ admitted: number; most: number }[]> {
  const gate = new SharedArrayBuffer(4);
  const workers = Array.from(
    { length: threads },
    (_, i) =>
      new Worker(new URL('./counters.fixture.ts', import.meta.url), {
        workerData: { memory, number: i + 1, gate, ...options },
      }),
  );
  await Promise.all(workers.map((worker) => once(worker, 'message')));
  const results = workers.map((worker) => once(worker, 'message'));
  Atomics.store(new Int32Array(gate), 0, 1);
  Atomics.notify(new Int32Array(gate), 0);
  const found = (await Promise.all(results)).map(([result]) => result as { admitted: number; most: number });
  await Promise.all(workers.map((worker) => worker.terminate()));
  return found;
}

/** Adds one and keeps the record until `expiry`. */
const counting =
  (expiry: number) =>
  (numbers: Float64Array, at: number): number => {
    numbers[at] = expiry;
    return (numbers[at + 1] = (numbers[at + 1] ?? 0) + 1);
  };

test('threads that hammer one counter are admitted exactly as often as it allows', async () => {
  const results = await hammer(createCounterMemory(4), 4, {
    keys: ['one'],
    rounds: 50_000,
    limit: 150_000,
    mode: 'limit',
  });
  assert.equal(
    results.reduce((sum, { admitted }) => sum + admitted, 0),
    150_000,
  );
  assert.ok(results.filter(({ admitted }) => admitted > 0).length > 1, 'the threads did not run at the same time');
});

test('threads that hammer many counters of few buckets lose and make up nothing', async () => {
  const keys = Array.from({ length: 12 }, (_, i) => `key ${String(i)}`);
  const memory = createCounterMemory(3, { records: 16 });
  const results = await hammer(memory, 3, { keys, rounds: 20_000, limit: 50_000, mode: 'limit' });
  assert.equal(
    results.reduce((sum, { admitted }) => sum + admitted, 0),
    keys.length * 50_000,
  );
});

test('never are more under way than allowed, and all of them are given back', async () => {
  const memory = createCounterMemory(4);
  const results = await hammer(memory, 4, { keys: ['one'], rounds: 30_000, mode: 'enter' });
  for (const { most, admitted } of results) {
    assert.ok(most <= 2);
    assert.ok(admitted > 0);
  }
  assert.equal(openCounters(memory, 1).enter('one', 1), 1);
});

test('what a worker had under way is given back when it ends', async () => {
  const memory = createCounterMemory(2);
  await hammer(memory, 2, { keys: ['a', 'b'], rounds: 100, mode: 'hold' });
  const counters = openCounters(memory, 2, () => 2000);
  assert.equal(counters.enter('a', 1000), 201);
  releaseWorker(memory, 1);
  assert.equal(counters.enter('a', 1000), 102);
  assert.equal(counters.enter('b', 1000), 101);
  for (let i = 0; i < 102; i++) counters.leave('a');
  assert.equal(counters.enter('a', 1), 1);
});

test('a lock that died with its worker is opened', () => {
  const memory = createCounterMemory(2);
  const integers = new Int32Array(memory.records);
  // Every bucket, as no test knows which one a key goes to: head 64 bytes, bucket 64 + 128 + 16 × 32.
  for (let lock = 16; lock < integers.length; lock += 704 / 4) integers[lock] = 2;
  releaseWorker(memory, 2);
  assert.equal(openCounters(memory, 1).update('x', counting(Infinity)), 1);
});

test('a record is gone when its time has come', () => {
  let now = 1000;
  const counters = createLocalCounters(() => now);
  assert.equal(counters.update('k', counting(2000)), 1);
  assert.equal(counters.update('k', counting(2000)), 2);
  now = 1999;
  assert.equal(counters.update('k', counting(2000)), 3);
  now = 2000;
  assert.equal(counters.update('k', counting(3000)), 1);
});

test('in a full table expired records give way first, then the one that expires first', () => {
  let now = 1000;
  const counters = openCounters(createCounterMemory(1, { records: 16 }), 1, () => now);
  for (let i = 0; i < 16; i++) counters.update(`key ${String(i)}`, counting(2000 + i));
  now = 2000;
  assert.equal(counters.update('new', counting(9000)), 1);
  assert.equal(counters.evictions, 0);
  assert.equal(counters.update('newer', counting(9000)), 1);
  assert.equal(counters.evictions, 1);
  assert.equal(counters.update('key 1', counting(9000)), 1, 'the oldest gave way');
  for (const i of [3, 9, 15]) assert.equal(counters.update(`key ${String(i)}`, counting(9000)), 2);
  assert.equal(counters.update('new', counting(9000)), 2);
});

test('keys that differ in one character, or in where they end, are told apart', () => {
  const hash = { k0: 1, k1: 2, low: 0, high: 0 };
  const seen = new Set<string>();
  const base = 'limit-count:route#1:192.0.2.1';
  const keys = ['', '\0', '\0\0', '\0\0\0', base];
  for (let i = 0; i < base.length; i++) {
    keys.push(base.slice(0, i) + base.slice(i + 1));
    for (const character of ['x', '\0', '\u0100', '0'])
      if (character !== base[i]) keys.push(base.slice(0, i) + character + base.slice(i + 1));
  }
  for (const key of new Set(keys)) {
    hashKey(key, hash);
    seen.add(`${String(hash.low)} ${String(hash.high)}`);
  }
  assert.equal(seen.size, new Set(keys).size);
});

test('the hash depends on the secret', () => {
  const hash = { k0: 1, k1: 2, low: 0, high: 0 };
  hashKey('x', hash);
  const other = { k0: 1, k1: 3, low: 0, high: 0 };
  hashKey('x', other);
  assert.notEqual(hash.low, other.low);
  assert.notEqual(hash.high, other.high);
});

test('a hundred thousand live keys fit without one giving way before its time', () => {
  const counters = openCounters(createCounterMemory(1), 1, () => 1000);
  const change = counting(5000);
  for (let i = 0; i < 100_000; i++) counters.update(`consumer ${String(i)}`, change);
  assert.ok(counters.evictions <= 20, String(counters.evictions));
});
