import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { createValueCache } from './value-cache.ts';

test('whoever asks for a value that is being made waits for that one; a failure is not kept', async () => {
  const cache = createValueCache<number>();
  let made = 0;
  const make = async (): Promise<number> => {
    await Promise.resolve();
    return ++made;
  };
  assert.deepEqual(await Promise.all([cache.load('a', make), cache.load('a', make), cache.load('b', make)]), [1, 1, 2]);
  assert.equal(await cache.load('a', make), 1);
  await assert.rejects(
    cache.load('c', () => Promise.reject(new Error('no'))),
    /no/,
  );
  assert.equal(await cache.load('c', make), 3);
});

test('the least recently used goes first', () => {
  const cache = createValueCache<number>({ max: 2 });
  cache.set('a', 1);
  cache.set('b', 2);
  cache.get('a');
  cache.set('c', 3);
  assert.deepEqual([cache.get('a'), cache.get('b'), cache.get('c'), cache.size], [1, undefined, 3, 2]);
});

test('a value has its time, and one that is never made is given up', async (t) => {
  const cache = createValueCache<number>({ ttlMs: 1 });
  cache.set('a', 1);
  const until = performance.now() + 1;
  while (performance.now() <= until);
  assert.equal(cache.get('a'), undefined);

  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => {
    mock.timers.reset();
  });
  const waiting = cache.load('b', () => new Promise(() => undefined));
  mock.timers.tick(10_000);
  await assert.rejects(waiting, /was not there within 10000 ms/);
  assert.equal(await cache.load('b', () => 5), 5);
});
