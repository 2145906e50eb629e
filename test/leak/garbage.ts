/** The garbage collector, for tests that weigh what stays: Node.js offers it behind a flag alone. */
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as (options: object) => void;

/** Bytes that this thread's heap holds once nothing is left to collect, not even what V8 keeps to find again. */
export async function heldBytes(): Promise<number> {
  for (let round = 0; round < 3; round++) {
    // What waits for a turn of the event loop holds what it will use.
    await setImmediate();
    collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  }
  return process.memoryUsage().heapUsed;
}
