/** The thread of hang-watch.ts: the same odd number twice, a call's time apart, is a plugin that hangs. */
import { writeSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';

const { shared, timeoutMs } = workerData as { readonly shared: Int32Array; readonly timeoutMs: number };
const names: string[] = [];
let seen = 0;

parentPort?.on('message', (name: string) => names.push(name));
setInterval(() => {
  const section = Atomics.load(shared, 0);
  if (section % 2 === 0 || section !== seen) {
    seen = section;
    return;
  }
  // Synchronous, past the thread that hangs; its own exit would end this thread alone.
  writeSync(
    2,
    `gatewright-runner[${process.pid}] error: plugin ${names[shared[1] ?? 0] ?? '?'}: it blocks for more than ${timeoutMs} ms, this process ends\n`,
  );
  process.kill(process.pid, 'SIGKILL');
}, timeoutMs);
