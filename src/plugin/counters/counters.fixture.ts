/** A thread that hammers counters until told otherwise; `counters.test.ts` starts several. */
import { parentPort, workerData } from 'node:worker_threads';
import { openCounters, type CounterMemory } from './counters.ts';

const { memory, number, keys, rounds, limit, gate, mode } = workerData as {
  memory: CounterMemory;
  number: number;
  keys: string[];
  rounds: number;
  limit: number;
  gate: SharedArrayBuffer;
  mode: 'limit' | 'enter' | 'hold';
};
const counters = openCounters(memory, number, () => 1000);
const start = new Int32Array(gate);
parentPort?.postMessage('ready');
Atomics.wait(start, 0, 0);

let admitted = 0;
let most = 0;
const count = (numbers: Float64Array, at: number): number => {
  numbers[at] = 2000;
  const next = (numbers[at + 1] ?? 0) + 1;
  if (next > limit) return 0;
  numbers[at + 1] = next;
  return next;
};
for (let round = 0; round < rounds; round++) {
  for (const key of keys) {
    if (mode === 'limit') admitted += counters.update(key, count) > 0 ? 1 : 0;
    else {
      const under = counters.enter(key, mode === 'hold' ? 1_000_000 : 2);
      most = Math.max(most, under);
      if (under > 0) admitted++;
      if (under > 0 && mode === 'enter') counters.leave(key);
    }
  }
}
parentPort?.postMessage({ admitted, most });
