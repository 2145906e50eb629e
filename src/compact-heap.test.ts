import assert from 'node:assert/strict';
import { test } from 'node:test';
import { getHeapStatistics } from 'node:v8';
import { compactHeap } from './compact-heap.ts';

/** Fills the heap with a list of which every tenth item stays. */
function fill(): object[] {
  return Array.from({ length: 1_000_000 }, (_, i) => ({ text: `item ${i}` })).filter((_, i) => i % 10 === 0);
}

test('the heap shrinks to what is in use; a small configuration is not worth the time', () => {
  const kept = fill();
  const before = getHeapStatistics().total_heap_size;
  compactHeap(10);
  assert.ok(getHeapStatistics().total_heap_size >= before);
  compactHeap(100_000);
  const { total_heap_size: total, used_heap_size: used } = getHeapStatistics();
  assert.ok(total < before / 2, `${total} of ${before}`);
  assert.ok(total < used * 1.5, `${total} for ${used}`);
  assert.equal(kept.length, 100_000);
});
