/** A thread that asks for many keys at once with others; `verdict-cache.test.ts` starts several. */
import { parentPort, workerData } from 'node:worker_threads';
import { VerdictCache } from './verdict-cache.ts';

const { memory, crowded, number, gate } = workerData as Record<'memory' | 'crowded' | 'gate', SharedArrayBuffer> & {
  number: number;
};
const cache = new VerdictCache(memory, number);
// Keeps the thread alive while it only waits for others.
const alive = setInterval(() => undefined, 1000);
parentPort?.postMessage('ready');
Atomics.wait(new Int32Array(gate), 0, 0);

let asked = 0;
let wrong = 0;
const pending: Promise<void>[] = [];
for (let round = 0; round < 5; round++) {
  for (let key = 0; key < 200; key++) {
    const name = `key ${String(key)}`;
    const result = cache.fetch(name, 60_000, async () => {
      asked++;
      await new Promise((resolve) => setImmediate(resolve));
      return { text: `verdict of ${name}`, ttlMs: 3_600_000 };
    });
    const check = (text: string): void => {
      if (text !== `verdict of ${name}`) wrong++;
    };
    if (typeof result === 'string') check(result);
    else
      pending.push(
        result.then(({ text }) => {
          check(text);
        }),
      );
  }
  await Promise.all(pending);
}
// In a ring that goes round, with texts of many lengths.
const busy = new VerdictCache(crowded, number);
for (let i = 0; i < 20_000; i++) {
  const name = `short ${String((i * 7) % 300)}`;
  const text = `${name} ${'x'.repeat((i * 31) % 900)}`;
  const result = busy.fetch(name, 60_000, () => Promise.resolve({ text, ttlMs: 1 + (i % 3) }));
  const seen = typeof result === 'string' ? result : (await result).text;
  if (!seen.startsWith(`${name} x`) && seen !== `${name} `) wrong++;
}
clearInterval(alive);
parentPort?.postMessage({ asked, wrong });
