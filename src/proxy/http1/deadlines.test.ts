import assert from 'node:assert/strict';
import { it, mock } from 'node:test';
import { createDeadlines } from './deadlines.ts';

it('ends an item once, never early, at most two intervals late', (t) => {
  mock.timers.enable({ apis: ['setInterval'] });
  let now = 1000;
  t.mock.method(performance, 'now', () => now);
  const deadlines = createDeadlines(100);
  const ended: number[] = [];
  const item = { deadline: 0, onDeadline: () => void ended.push(now) };
  deadlines.add(item);
  item.deadline = deadlines.after(250);
  const set = now;
  for (let i = 0; i < 10; i++) {
    now += 100;
    mock.timers.tick(100);
  }
  assert.equal(ended.length, 1);
  assert.ok((ended[0] ?? 0) >= set + 250 && (ended[0] ?? 0) <= set + 450);
  assert.equal(item.deadline, 0);
  deadlines.dispose();
  mock.timers.reset();
});

it('takes 0 as no deadline, and forgets what was deleted', (t) => {
  mock.timers.enable({ apis: ['setInterval'] });
  let now = 1000;
  t.mock.method(performance, 'now', () => now);
  const deadlines = createDeadlines(10);
  assert.equal(deadlines.after(0), 0);
  let ended = 0;
  const item = { deadline: deadlines.after(5), onDeadline: () => ended++ };
  deadlines.add(item);
  deadlines.delete(item);
  now += 1000;
  mock.timers.tick(1000);
  assert.equal(ended, 0);
  assert.equal(deadlines.size, 0);
  deadlines.dispose();
  mock.timers.reset();
});
