import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTimers } from './timers.ts';

test('timers end with their owner, none starts after, and what they throw is logged', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  const logged: string[] = [];
  const note = (message: string): void => void logged.push(message);
  const timers = createTimers({ error: note, warn: note, info: note });
  let ticks = 0;
  timers.setInterval(() => {
    ticks++;
  }, 10);
  const cancel = timers.setTimeout(() => void (ticks += 100), 5);
  timers.setTimeout(() => Promise.reject(new Error('no')), 5);
  cancel();
  t.mock.timers.tick(10);
  await Promise.resolve();
  assert.equal(ticks, 1);
  timers.dispose();
  timers.setTimeout(() => void (ticks += 100), 1);
  t.mock.timers.tick(100);
  assert.equal(ticks, 1);
  assert.deepEqual(logged, ['plugin failed']);
});
