/**
 * Where resources are kept. Keys are APISIX's etcd layout without the prefix: `routes/1`, `consumers/jack/credentials/c1`.
 * Values are JSON text. A store orders all commits by one revision, which grows by one for each commit.
 */

export interface Entry {
  readonly key: string;
  /** JSON text of the resource. */
  readonly value: string;
  /** Revision of the commit that created the key, and of the one that last changed it. */
  readonly createdIndex: number;
  readonly modifiedIndex: number;
}

export type Operation =
  | { readonly type: 'put'; readonly key: string; readonly value: string }
  | { readonly type: 'delete'; readonly key: string };

/** The commit happens only if every key stands at this modifiedIndex (0: the key does not exist). */
export interface Precondition {
  readonly key: string;
  readonly modifiedIndex: number;
}

export type CommitResult =
  | {
      readonly ok: true;
      readonly revision: number;
      /** The entries written, in the order of the puts. */ readonly entries: readonly Entry[];
    }
  | { readonly ok: false; /** The precondition that did not hold. */ readonly failed: Precondition };

/** A key's new entry, or undefined where it was deleted. */
export interface Change {
  readonly key: string;
  readonly entry: Entry | undefined;
}

/** One commit. Watchers get every commit once, in order of revision. */
export interface ChangeSet {
  readonly revision: number;
  readonly changes: readonly Change[];
}

export interface Store {
  /** false: `commit` rejects (standalone YAML). */
  readonly writable: boolean;
  get(key: string): Promise<Entry | undefined>;
  /** Entries whose key starts with `prefix`, ordered by key, and the revision they were read at. */
  list(prefix: string): Promise<{ revision: number; entries: Entry[] }>;
  /**
   * Atomic and durable when the promise resolves. Throws StoreError when it cannot be stored, when a key is empty, or
   * when two operations name one key. Deleting a key that does not exist changes nothing; where nothing changes at all,
   * the revision stays and watchers are not called. A put of the value that is there already is a change.
   */
  commit(operations: readonly Operation[], preconditions?: readonly Precondition[]): Promise<CommitResult>;
  /**
   * Calls `listener` for every commit after `watch` returned, wherever it came from. Returns a function that stops it.
   * A listener that throws is reported to `hooks.onError` and stays; the others get the commit all the same.
   */
  watch(listener: (change: ChangeSet) => void): () => void;
  /** Stops the watchers and releases what the store holds; everything but `close` rejects afterwards. */
  close(): Promise<void>;
}

/** Where a store tells what no caller is waiting for. */
export interface StoreHooks {
  /** Something failed in the background: a watcher threw, a changed file is not usable. The store goes on. */
  onError(message: string): void;
  /** Something is not as the operator may believe: a section of the file that is not served. */
  onWarning(message: string): void;
}

/** The store itself failed: unreadable, corrupt, full. The message says what to do. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
}
