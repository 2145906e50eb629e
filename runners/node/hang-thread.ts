/** The thread of hang-watch.ts: a loop that has not turned for the time of a call, and half of it again, hangs. */
import { writeSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';

const { shared, timeoutMs } = workerData as { readonly shared: Int32Array; readonly timeoutMs: number };
/** Looked at twice in the time of a call; one look too many may be that the whole process slept. */
const looks = 3;
const names: string[] = [];
let seen = -1;
let missed = 0;

parentPort?.on('message', (name: string) => names.push(name));
setInterval(() => {
  const turns = Atomics.load(shared, 0);
  missed = turns === seen ? missed + 1 : 0;
  seen = turns;
  if (missed < looks) return;
  const name = names[Atomics.load(shared, 1)] ?? '?';
  // Synchronous, past the thread that hangs; process.exit would end this thread alone.
  writeSync(
    2,
    `gatewright-runner[${process.pid}] error: plugin ${name}, the last that began: it blocks for more than ${timeoutMs} ms, this process ends\n`,
  );
  process.kill(process.pid, 'SIGKILL');
}, timeoutMs / 2);
