/**
 * Gives back what loading a large configuration needed for a moment: V8 keeps the pages of that garbage for later, which at 100,000
 * resources is a fifth of the process. Stops the thread for about a tenth of a second, so it runs before anything is served.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

type CollectGarbage = (options: { type: 'major'; execution: 'sync'; flavor: 'last-resort' }) => void;

/** Resources from which on it is worth the time. */
const worthwhile = 2000;

/** `loaded`: how many resources this thread has read. Node.js offers the collection to tests alone (`--expose-gc`), hence the flag. */
export function compactHeap(loaded: number): void {
  if (loaded < worthwhile) return;
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as CollectGarbage;
  setFlagsFromString('--no-expose-gc');
  collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
