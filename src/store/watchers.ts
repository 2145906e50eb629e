/**
 * Delivers commits to the watchers of one store, after each commit and before its promise resolves.
 * Invariant: every watcher gets every commit made after it began to watch, once, in order of revision, also when a
 * listener throws or commits again from inside its callback.
 */
import type { ChangeSet, StoreHooks } from './store.ts';

interface Watcher {
  readonly listener: (change: ChangeSet) => void;
  /** Commits up to this revision were made before it began. */
  readonly since: number;
}

export class Watchers {
  readonly #hooks: StoreHooks;
  readonly #watchers = new Set<Watcher>();
  readonly #pending: ChangeSet[] = [];
  #delivering = false;

  constructor(hooks: StoreHooks) {
    this.#hooks = hooks;
  }

  /** `revision`: the store's at this moment. Returns a function that stops it, at once. */
  add(listener: (change: ChangeSet) => void, revision: number): () => void {
    const watcher: Watcher = { listener, since: revision };
    this.#watchers.add(watcher);
    return () => {
      this.#watchers.delete(watcher);
    };
  }

  /** Delivers before it returns; called by a listener, it leaves the commit to the delivery that is under way. */
  publish(changeSet: ChangeSet): void {
    this.#pending.push(changeSet);
    if (this.#delivering) return;
    this.#delivering = true;
    for (let next = this.#pending.shift(); next !== undefined; next = this.#pending.shift()) this.#deliver(next);
    this.#delivering = false;
  }

  clear(): void {
    this.#watchers.clear();
    this.#pending.length = 0;
  }

  #deliver(changeSet: ChangeSet): void {
    // A Set's iterator skips what a listener removes, and meets what one adds, which `since` then excludes.
    for (const watcher of this.#watchers) {
      if (watcher.since >= changeSet.revision) continue;
      try {
        watcher.listener(changeSet);
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        this.#hooks.onError(`a watcher of the store failed at revision ${changeSet.revision}: ${reason}`);
      }
    }
  }
}
