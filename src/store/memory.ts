/**
 * The store that forgets: resources live as long as the process. For tests, trials and `config_provider: memory`.
 * Read and written by the control plane only, never on the request path.
 */
import { applyCommit } from './apply-commit.ts';
import { EntryTable } from './entry-table.ts';
import { defaultRetention, pruneEveryMs, unknownOrigin, type Retention } from './history.ts';
import { MemoryHistory } from './memory-history.ts';
import {
  StoreError,
  type ChangeSet,
  type CommitResult,
  type Entry,
  type Operation,
  type Origin,
  type Page,
  type Precondition,
  type Store,
  type StoreHooks,
} from './store.ts';
import { Watchers } from './watchers.ts';

export class MemoryStore implements Store {
  readonly writable = true;
  readonly history: MemoryHistory | undefined;
  readonly #pruning: NodeJS.Timeout | undefined;
  readonly #table = new EntryTable();
  readonly #watchers: Watchers;
  #revision = 0;
  #closed = false;

  constructor(hooks: StoreHooks, retention: Retention = defaultRetention) {
    this.#watchers = new Watchers(hooks);
    if (retention.entries === 0) return;
    const history = new MemoryHistory(
      retention,
      (key) => this.#table.get(key),
      () => {
        this.#assertOpen();
      },
    );
    this.history = history;
    this.#pruning = setInterval(() => void history.prune(), pruneEveryMs).unref();
  }

  async get(key: string): Promise<Entry | undefined> {
    this.#assertOpen();
    return this.#table.get(key);
  }

  async list(prefix: string, page?: Page): Promise<{ revision: number; entries: Entry[] }> {
    this.#assertOpen();
    return { revision: this.#revision, entries: this.#table.list(prefix, page) };
  }

  async commit(
    operations: readonly Operation[],
    preconditions: readonly Precondition[] = [],
    origin: Origin = unknownOrigin,
  ): Promise<CommitResult> {
    this.#assertOpen();
    const { result, changeSet, replaced } = applyCommit(this.#table, this.#revision, operations, preconditions);
    if (changeSet !== undefined) {
      this.#revision = changeSet.revision;
      this.history?.record(changeSet.revision, origin, replaced);
      this.#watchers.publish(changeSet);
    }
    return result;
  }

  watch(listener: (change: ChangeSet) => void): () => void {
    this.#assertOpen();
    return this.#watchers.add(listener, this.#revision);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#pruning);
    this.#watchers.clear();
  }

  #assertOpen(): void {
    if (this.#closed) throw new StoreError('the store is closed');
  }
}
