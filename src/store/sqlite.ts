/**
 * The embedded store, the default: one SQLite database in the data directory, by `node:sqlite`, in the control plane's
 * thread; never on the request path. Why it is set up so: docs/decisions/0002-embedded-store.md.
 * Invariant: when `commit` resolves, the change is on disk (WAL, synchronous=FULL) and every watcher was told; when it
 * rejects, nothing changed.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { applyCommit, type AppliedCommit, type Rows } from './apply-commit.ts';
import { defaultRetention, pruneEveryMs, unknownOrigin, type Retention } from './history.ts';
import { storeErrorFrom } from './sqlite-error.ts';
import { openDatabase } from './sqlite-file.ts';
import { SqliteHistory } from './sqlite-history.ts';
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

export interface SqliteOptions {
  /** Made (mode 0700) when it is not there. */
  readonly dataDir: string;
  /** How long `openSqliteStore` waits, blocking, for a predecessor that is still stopping. Default 2000. */
  readonly busyTimeoutMs?: number;
  readonly history?: Retention;
}

/** Throws StoreError when the database is in use, damaged, from a later version, or cannot be written. */
export function openSqliteStore(options: SqliteOptions, hooks: StoreHooks): Store {
  const { database, file } = openDatabase(options.dataDir, options.busyTimeoutMs ?? 2000);
  try {
    return new SqliteStore(database, file, options.history ?? defaultRetention, hooks);
  } catch (error) {
    database.close();
    throw storeErrorFrom(error, file);
  }
}

class SqliteStore implements Store {
  readonly writable = true;
  readonly history: SqliteHistory | undefined;
  readonly #database: DatabaseSync;
  readonly #file: string;
  readonly #watchers: Watchers;
  readonly #rows: SqliteRows;
  readonly #listEntries: StatementSync;
  readonly #readRevision: StatementSync;
  readonly #writeRevision: StatementSync;
  readonly #hooks: StoreHooks;
  #pruning: NodeJS.Timeout | undefined;

  constructor(database: DatabaseSync, file: string, retention: Retention, hooks: StoreHooks) {
    this.#database = database;
    this.#file = file;
    this.#watchers = new Watchers(hooks);
    this.#rows = new SqliteRows(database);
    this.#listEntries = database.prepare(`${SELECT_ENTRY} WHERE key >= ? AND key < ? ORDER BY key LIMIT ?`);
    // Rows as arrays: a third less time for a long list than objects whose keys SQLite names.
    this.#listEntries.setReturnArrays(true);
    this.#readRevision = database.prepare("SELECT value FROM meta WHERE name = 'revision'");
    this.#writeRevision = database.prepare("UPDATE meta SET value = ? WHERE name = 'revision'");
    this.#hooks = hooks;
    if (retention.entries === 0) {
      // Kept, it would end in a gap where it is switched on again.
      database.exec('BEGIN; DELETE FROM changes; DELETE FROM commits; COMMIT;');
      return;
    }
    this.history = new SqliteHistory(
      database,
      this.#rows,
      retention,
      (action) => this.#attempt(action),
      (message) => hooks.onError(message),
    );
    this.#pruneLater(this.history, pruneEveryMs);
  }

  async get(key: string): Promise<Entry | undefined> {
    return this.#attempt(() => this.#rows.get(key));
  }

  /** A negative limit is none (SQLite: LIMIT). */
  async list(prefix: string, { after, limit }: Page = { after: '', limit: -1 }) {
    return this.#attempt(() => ({
      revision: this.#revision(),
      entries: this.#listEntries
        // U+10FFFF is no character: nothing that starts with the prefix sorts behind it. With NUL a key's next begins.
        .all(after > prefix ? `${after}\0` : prefix, `${prefix}\u{10ffff}`, limit)
        .map((row) => entryOf(row as unknown as EntryRow)),
    }));
  }

  async commit(
    operations: readonly Operation[],
    preconditions: readonly Precondition[] = [],
    origin: Origin = unknownOrigin,
  ): Promise<CommitResult> {
    const { result, changeSet } = this.#attempt(() => this.#transaction(operations, preconditions, origin));
    if (changeSet !== undefined) this.#watchers.publish(changeSet);
    return result;
  }

  watch(listener: (change: ChangeSet) => void): () => void {
    return this.#watchers.add(
      listener,
      this.#attempt(() => this.#revision()),
    );
  }

  async close(): Promise<void> {
    this.#watchers.clear();
    clearTimeout(this.#pruning);
    if (this.#database.isOpen) this.#database.close();
  }

  #transaction(
    operations: readonly Operation[],
    preconditions: readonly Precondition[],
    origin: Origin,
  ): AppliedCommit {
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      const applied = applyCommit(this.#rows, this.#revision(), operations, preconditions);
      let recorded: (() => void) | undefined;
      if (applied.changeSet !== undefined) {
        const { revision } = applied.changeSet;
        this.#writeRevision.run(revision);
        recorded = this.history?.record(revision, origin, applied.replaced);
      }
      this.#database.exec('COMMIT');
      recorded?.();
      return applied;
    } catch (error) {
      // SQLite has rolled back by itself after some errors (full disk, I/O).
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      throw error;
    }
  }

  /** A small step at a time, so that no write waits long. */
  #pruneLater(history: SqliteHistory, afterMs: number): void {
    this.#pruning = setTimeout(() => {
      void history
        .prune()
        .catch((error: unknown) => {
          this.#hooks.onError(`the history could not be shortened: ${String(error)}`);
          return pruneEveryMs;
        })
        .then((failed) => {
          if (this.#database.isOpen) this.#pruneLater(history, failed ?? (history.overfull ? 50 : pruneEveryMs));
        });
    }, afterMs).unref();
  }

  #revision(): number {
    return this.#readRevision.get()?.['value'] as number;
  }

  #attempt<T>(action: () => T): T {
    if (!this.#database.isOpen) throw new StoreError('the store is closed');
    try {
      return action();
    } catch (error) {
      throw storeErrorFrom(error, this.#file);
    }
  }
}

/** What SELECT_ENTRY gives; the STRICT table holds the types. */
type EntryRow = readonly [key: string, value: string, createdIndex: number, modifiedIndex: number];
const SELECT_ENTRY = 'SELECT key, value, created_index, modified_index FROM entries';

class SqliteRows implements Rows {
  readonly #get: StatementSync;
  readonly #put: StatementSync;
  readonly #delete: StatementSync;

  constructor(database: DatabaseSync) {
    this.#get = database.prepare(`${SELECT_ENTRY} WHERE key = ?`);
    this.#get.setReturnArrays(true);
    this.#put = database.prepare(
      'INSERT INTO entries VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET ' +
        'value = excluded.value, created_index = excluded.created_index, modified_index = excluded.modified_index',
    );
    this.#delete = database.prepare('DELETE FROM entries WHERE key = ?');
  }

  get(key: string): Entry | undefined {
    const row = this.#get.get(key) as unknown as EntryRow | undefined;
    return row && entryOf(row);
  }

  put(entry: Entry): void {
    this.#put.run(entry.key, entry.value, entry.createdIndex, entry.modifiedIndex);
  }

  delete(key: string): void {
    this.#delete.run(key);
  }
}

function entryOf([key, value, createdIndex, modifiedIndex]: EntryRow): Entry {
  return { key, value, createdIndex, modifiedIndex };
}
