/**
 * Rows in memory: by key, and in order of key once somebody lists them.
 * Invariant: the order is thrown away whenever a key comes or goes, and made again by the next `list`.
 */
import type { Rows } from './apply-commit.ts';
import type { Entry, Page } from './store.ts';

export class EntryTable implements Rows {
  readonly #entries = new Map<string, Entry>();
  #sortedKeys: string[] | undefined;

  get(key: string): Entry | undefined {
    return this.#entries.get(key);
  }

  put(entry: Entry): void {
    if (!this.#entries.has(entry.key)) this.#sortedKeys = undefined;
    this.#entries.set(entry.key, entry);
  }

  delete(key: string): void {
    if (this.#entries.delete(key)) this.#sortedKeys = undefined;
  }

  keys(): Iterable<string> {
    return this.#entries.keys();
  }

  /** A new array, ordered by key. */
  list(prefix: string, { after, limit }: Page = { after: '', limit: Infinity }): Entry[] {
    this.#sortedKeys ??= [...this.#entries.keys()].sort();
    const entries: Entry[] = [];
    const start = firstNotBelow(this.#sortedKeys, after > prefix ? after : prefix);
    for (let index = start; index < this.#sortedKeys.length && entries.length < limit; index += 1) {
      const key = this.#sortedKeys[index];
      if (key?.startsWith(prefix) !== true) break;
      if (key <= after) continue;
      const entry = this.#entries.get(key);
      if (entry !== undefined) entries.push(entry);
    }
    return entries;
  }
}

/** Binary search: the index of the first key ≥ `bound`. */
function firstNotBelow(sortedKeys: readonly string[], bound: string): number {
  let low = 0;
  let high = sortedKeys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sortedKeys[middle] ?? '') < bound) low = middle + 1;
    else high = middle;
  }
  return low;
}
