import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ResourcePool, WorkerSignals } from './shared-resources.ts';

test('a resource is opened by the first, shared, and closed with the last', () => {
  const pool = new ResourcePool();
  const events: string[] = [];
  const acquire = (key: string) =>
    pool.acquire(key, () => {
      events.push(`open ${key}`);
      return { value: { key }, close: () => void events.push(`close ${key}`) };
    });
  const first = acquire('a');
  const second = acquire('a');
  acquire('b').release();
  assert.equal(first.value, second.value);
  first.release();
  first.release();
  assert.deepEqual(events, ['open a', 'open b', 'close b']);
  second.release();
  assert.deepEqual(events, ['open a', 'open b', 'close b', 'close a']);
  assert.equal(pool.size, 0);
  acquire('a').release();
  assert.equal(events.filter((event) => event === 'open a').length, 2);
});

test('what cannot be opened is not kept', () => {
  const pool = new ResourcePool();
  assert.throws(() =>
    pool.acquire('a', () => {
      throw new Error('no');
    }),
  );
  assert.equal(pool.acquire('a', () => ({ value: 1, close: () => undefined })).value, 1);
});

test('one subscriber that fails does not keep the others from being told', async () => {
  const signals = new WorkerSignals();
  const told: string[] = [];
  signals.onReopen(() => {
    throw new Error('first');
  });
  const end = signals.onReopen(() => void told.push('second'));
  signals.reopen((error) => void told.push(String(error)));
  end();
  signals.onStop(() => Promise.reject(new Error('x')));
  signals.onStop(async () => void told.push('stopped'));
  await signals.stop();
  signals.reopen(() => undefined);
  assert.deepEqual(told, ['Error: first', 'second', 'stopped']);
});
