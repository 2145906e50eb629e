/**
 * Ends the process when a plugin keeps its event loop busy for longer than a call may take: nothing in the loop itself could. A thread
 * looks on through shared memory; the supervisor starts another process.
 *
 *   shared: [0] grows while the loop turns   [1] index of the name of the plugin that began last
 */
import { Worker } from 'node:worker_threads';

const entry = new URL(import.meta.url.endsWith('.ts') ? './hang-thread.ts' : './hang-thread.js', import.meta.url);

export class HangWatch {
  readonly #shared = new Int32Array(new SharedArrayBuffer(8));
  readonly #names = new Map<string, number>();
  readonly #thread: Worker;

  constructor(timeoutMs: number) {
    this.#thread = new Worker(entry, { workerData: { shared: this.#shared, timeoutMs }, execArgv: [] });
    this.#thread.unref();
    setInterval(() => Atomics.add(this.#shared, 0, 1), timeoutMs / 4).unref();
  }

  /** A plugin begins. */
  plugin(name: string): void {
    let index = this.#names.get(name);
    if (index === undefined) {
      index = this.#names.size;
      this.#names.set(name, index);
      this.#thread.postMessage(name);
    }
    this.#shared[1] = index;
  }
}
