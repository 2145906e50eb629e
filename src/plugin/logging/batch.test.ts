import assert from 'node:assert/strict';
import { mock, test, type TestContext } from 'node:test';
import { Batch, type BatchOptions } from './batch.ts';

function useTimers(t: TestContext): (milliseconds: number) => void {
  mock.timers.enable({ apis: ['setTimeout'] });
  let now = 1000;
  const clock = mock.method(performance, 'now', () => now);
  t.after(() => {
    mock.timers.reset();
    clock.mock.restore();
  });
  return (milliseconds) => {
    now += milliseconds;
    mock.timers.tick(milliseconds);
  };
}

function collect(options: Partial<BatchOptions> = {}) {
  const sent: (readonly string[])[] = [];
  const errors: boolean[] = [];
  let dropped = 0;
  const batch = new Batch({
    maxSize: 3,
    inactiveMs: 5000,
    durationMs: 12_000,
    maxRetries: 0,
    retryDelayMs: 1000,
    maxPending: 10,
    maxPendingBytes: 1000,
    send: async (lines) => void sent.push(lines),
    onError: (_, willRetry) => void errors.push(willRetry),
    onDrop: (lines) => (dropped += lines),
    ...options,
  });
  return { batch, sent, errors, dropped: () => dropped };
}

const settled = async (): Promise<void> => {
  for (let i = 0; i < 10; i++) await Promise.resolve();
};

test('a full batch goes at once', (t) => {
  useTimers(t);
  const { batch, sent } = collect();
  for (const line of ['a', 'b', 'c', 'd']) batch.push(line);
  assert.deepEqual(sent, [['a', 'b', 'c']]);
});

test('a batch goes when nothing came for a while', (t) => {
  const tick = useTimers(t);
  const { batch, sent } = collect();
  batch.push('a');
  tick(4000);
  batch.push('b');
  tick(4999);
  assert.deepEqual(sent, []);
  tick(1);
  assert.deepEqual(sent, [['a', 'b']]);
});

test('a batch goes when it is old, however often lines come', (t) => {
  const tick = useTimers(t);
  const { batch, sent } = collect({ maxSize: 100 });
  for (let i = 0; i < 12; i++) {
    batch.push(String(i));
    tick(1000);
  }
  assert.equal(sent.length, 1);
});

test('what failed is sent again after a pause, and given up after the last retry', async (t) => {
  const tick = useTimers(t);
  let attempts = 0;
  const { batch, errors, dropped } = collect({
    maxSize: 2,
    maxRetries: 2,
    send: () => {
      attempts++;
      return Promise.reject(new Error('no'));
    },
  });
  batch.push('a');
  batch.push('b');
  await settled();
  assert.equal(attempts, 1);
  tick(999);
  await settled();
  assert.equal(attempts, 1);
  tick(1);
  await settled();
  assert.equal(attempts, 2);
  tick(1000);
  await settled();
  assert.equal(attempts, 3);
  assert.deepEqual(errors, [true, true, false]);
  assert.equal(dropped(), 2);
});

test('what does not fit is dropped and counted, by number and by bytes', async (t) => {
  useTimers(t);
  const never = collect({ maxSize: 1, send: () => new Promise(() => undefined) });
  for (let i = 0; i < 15; i++) assert.equal(never.batch.push('x'), i < 10);
  assert.equal(never.dropped(), 5);
  const bytes = collect({ maxPendingBytes: 10, maxSize: 1 });
  assert.equal(bytes.batch.push('12345678901'), false);
  assert.equal(bytes.batch.push('1234567890'), true);
  assert.equal(bytes.batch.push('1'), false);
  await settled();
  assert.equal(bytes.batch.push('1'), true, 'there is room again');
});

test('a slow receiver gets four batches at once, and the next when one is done', async (t) => {
  useTimers(t);
  const open: (() => void)[] = [];
  const { batch } = collect({ maxSize: 1, send: () => new Promise((resolve) => open.push(resolve)) });
  for (let i = 0; i < 6; i++) batch.push('x');
  assert.equal(open.length, 4);
  open[0]?.();
  await settled();
  assert.equal(open.length, 5);
});

test('closing sends what waits, does not pause before retries, and resolves when all is done', async (t) => {
  useTimers(t);
  let attempts = 0;
  const { batch, dropped } = collect({
    maxRetries: 3,
    send: () => (++attempts < 3 ? Promise.reject(new Error('no')) : Promise.resolve()),
  });
  batch.push('a');
  await batch.close();
  assert.equal(attempts, 3);
  assert.equal(dropped(), 0);
  await collect().batch.close();
});

test('closing wakes what pauses before a retry', async (t) => {
  useTimers(t);
  let attempts = 0;
  const { batch } = collect({
    maxSize: 1,
    maxRetries: 1,
    send: () => (++attempts < 2 ? Promise.reject(new Error('no')) : Promise.resolve()),
  });
  batch.push('a');
  await settled();
  assert.equal(attempts, 1);
  await batch.close();
  assert.equal(attempts, 2);
});
