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

/** Who makes a commit and by what, for the history. */
export interface Origin {
  /** Name of an admin key, or what stands for one; never the key. */
  readonly who: string;
  /** Of the client; undefined where there is none. */
  readonly address: string | undefined;
  /** The method of the Admin API, `rollback to 12`. */
  readonly action: string;
  /** How a value that is replaced or deleted is kept; default: as it is stored. */
  readonly keep?: (key: string, value: string) => string;
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

/** What one commit did to one key. */
export interface HistoryEntry {
  readonly revision: number;
  /** Milliseconds since the epoch, by the clock of the machine. */
  readonly time: number;
  readonly who: string;
  readonly address: string | undefined;
  readonly action: string;
  readonly key: string;
  /** The value until then and since then; undefined: there was none. */
  readonly before: string | undefined;
  readonly after: string | undefined;
}

/** Every condition holds for what is found. */
export interface HistoryQuery {
  readonly revision?: number | undefined;
  /** The key itself, and what stands under it: `consumers/jack` also finds its credentials, `routes` every route. */
  readonly key?: string | undefined;
  readonly who?: string | undefined;
  /** Milliseconds since the epoch; `until` is excluded. */
  readonly since?: number | undefined;
  readonly until?: number | undefined;
  readonly limit: number;
  readonly offset?: number | undefined;
}

/** The newest changes, within a bound (history.ts). Everything rejects once the store is closed. */
export interface StoreHistory {
  /** Newest revision first, in it by key. `total`: without `limit` and `offset`. */
  find(query: HistoryQuery): Promise<{ total: number; entries: HistoryEntry[] }>;
  /**
   * The keys that were changed after `revision`, with their values right after it (undefined: there was none). What is
   * older than `oldest`, or newer than `newest`, is not known: `values` is then undefined.
   */
  since(revision: number): Promise<HistoryState>;
  /**
   * Keeps each value as `keep` gives it, in the background and in small steps; unless that was done before for the same `mark`.
   * What is recorded meanwhile must be so already. Only where the history outlives the process. Resolves when it is done, or
   * when it failed, which `hooks.onError` is told, or when the store was closed: the next start begins again.
   */
  reseal?(keep: (key: string, value: string) => string, mark: number): Promise<void>;
  /** Forgets what is beyond the bound, in small steps; the store calls it in the background. */
  prune(): Promise<void>;
}

export interface HistoryState {
  readonly oldest: number;
  readonly newest: number;
  readonly values: ReadonlyMap<string, string | undefined> | undefined;
  /** Keys whose value holds a secret that no key of the keyring opens. */
  readonly unopened?: ReadonlySet<string>;
}

/** A piece of a list: at most `limit` entries whose keys come after `after` ('': from the beginning). */
export interface Page {
  readonly after: string;
  readonly limit: number;
}

export interface Store {
  /** false: `commit` rejects (standalone YAML). */
  readonly writable: boolean;
  /** undefined: the store keeps none. */
  readonly history: StoreHistory | undefined;
  get(key: string): Promise<Entry | undefined>;
  /** Entries whose key starts with `prefix`, ordered by key, and the revision they were read at. */
  list(prefix: string, page?: Page): Promise<{ revision: number; entries: Entry[] }>;
  /**
   * Atomic and durable when the promise resolves. Throws StoreError when it cannot be stored, when a key is empty, or
   * when two operations name one key. Deleting a key that does not exist changes nothing; where nothing changes at all,
   * the revision stays and watchers are not called. A put of the value that is there already is a change.
   * The history gets what changed in the same transaction, with `origin`.
   */
  commit(
    operations: readonly Operation[],
    preconditions?: readonly Precondition[],
    origin?: Origin,
  ): Promise<CommitResult>;
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

/** Another process has the store open. */
export class StoreInUse extends StoreError {}
