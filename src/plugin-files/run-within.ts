/** Runs somebody else's synchronous code with an end: an endless loop is broken off. The code still shares everything else. */
import { Script } from 'node:vm';

const slot = Symbol.for('gatewright.runWithin');
const call = new Script('globalThis[Symbol.for("gatewright.runWithin")]()');

/** What `task` returns or throws; throws an Error with code ERR_SCRIPT_EXECUTION_TIMEOUT after `limitMs`. Inside another, the outer limit counts. */
export function runWithin<T>(limitMs: number, task: () => T): T {
  const holder = globalThis as { [slot]?: (() => unknown) | undefined };
  if (holder[slot] !== undefined) return task();
  holder[slot] = task;
  try {
    return call.runInThisContext({ timeout: limitMs }) as T;
  } finally {
    holder[slot] = undefined;
  }
}
