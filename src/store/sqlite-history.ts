/**
 * The history of the embedded store: two tables beside `entries`, written in the transaction of each commit.
 * Invariant: the commits kept are the newest ones without a gap, so that whatever changed since the oldest is known.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { setTimeout } from 'node:timers/promises';
import type { Replaced, Rows } from './apply-commit.ts';
import { dayMs, type Retention } from './history.ts';
import type { HistoryEntry, HistoryQuery, HistoryState, Origin, StoreHistory } from './store.ts';

/** Rows of one transaction in the background, but for a commit that has more: a write waits no longer for them than for itself. */
const STEP_ROWS = 200;

/** Between two steps of what is sealed again. */
const RESEAL_PAUSE_MS = 20;

/** In `meta`: the mark that the history was sealed for. */
const SEALED = 'history_sealed';

export class SqliteHistory implements StoreHistory {
  readonly #database: DatabaseSync;
  readonly #rows: Rows;
  readonly #retention: Retention;
  readonly #attempt: <T>(action: () => T) => T;
  readonly #onError: (message: string) => void;
  readonly #addCommit: StatementSync;
  readonly #addChange: StatementSync;
  readonly #nextChange: StatementSync;
  /** Of the tables; kept along, for counting reads them whole. */
  #entries: number;
  #bytes: number;

  /** `attempt`: runs what reads or writes, and turns SQLite's errors into StoreError. Throws SQLite's errors. */
  constructor(
    database: DatabaseSync,
    rows: Rows,
    retention: Retention,
    attempt: <T>(action: () => T) => T,
    onError: (message: string) => void,
  ) {
    this.#onError = onError;
    this.#database = database;
    this.#rows = rows;
    this.#retention = retention;
    this.#attempt = attempt;
    this.#addCommit = database.prepare('INSERT INTO commits VALUES (?, ?, ?, ?, ?)');
    this.#addChange = database.prepare('INSERT INTO changes VALUES (?, ?, ?)');
    this.#nextChange = database.prepare(
      'SELECT before FROM changes WHERE key = ? AND revision > ? ORDER BY revision LIMIT 1',
    );
    const sums = database
      .prepare('SELECT count(*) AS entries, total(octet_length(before)) AS bytes FROM changes')
      .get();
    this.#entries = sums?.['entries'] as number;
    this.#bytes = sums?.['bytes'] as number;
  }

  /** Inside the transaction of the commit. Returns what to call once it is committed. */
  record(revision: number, { who, address, action, keep }: Origin, replaced: readonly Replaced[]): () => void {
    let bytes = 0;
    this.#addCommit.run(revision, Date.now(), who, address ?? null, action);
    for (const { key, before } of replaced) {
      const value = before === undefined || keep === undefined ? before?.value : keep(key, before.value);
      this.#addChange.run(revision, key, value ?? null);
      if (value !== undefined) bytes += Buffer.byteLength(value);
    }
    return () => {
      this.#entries += replaced.length;
      this.#bytes += bytes;
    };
  }

  async find(query: HistoryQuery): Promise<{ total: number; entries: HistoryEntry[] }> {
    const { where, values } = conditions(query);
    return this.#attempt(() => {
      const from = `FROM changes JOIN commits USING (revision) ${where}`;
      const total = this.#database.prepare(`SELECT count(*) AS total ${from}`).get(...values)?.['total'] as number;
      const rows = this.#database
        .prepare(
          `SELECT revision, time, who, address, action, key, before ${from} ORDER BY revision DESC, key LIMIT ? OFFSET ?`,
        )
        .all(...values, query.limit, query.offset ?? 0) as unknown as ChangeRow[];
      return { total, entries: rows.map((row) => this.#entryOf(row)) };
    });
  }

  async since(revision: number): Promise<HistoryState> {
    return this.#attempt(() => {
      const newest = this.#database.prepare("SELECT value FROM meta WHERE name = 'revision'").get()?.[
        'value'
      ] as number;
      const first = this.#database.prepare('SELECT min(revision) AS first FROM commits').get()?.['first'];
      const oldest = typeof first === 'number' ? first - 1 : newest;
      if (revision < oldest || revision > newest) return { oldest, newest, values: undefined };
      // SQLite takes `before` from the row that min() found (lang_select.html, bare columns).
      const rows = this.#database
        .prepare('SELECT key, before, min(revision) FROM changes WHERE revision > ? GROUP BY key')
        .all(revision) as unknown as { key: string; before: string | null }[];
      return { oldest, newest, values: new Map(rows.map(({ key, before }) => [key, before ?? undefined])) };
    });
  }

  /** A step of it; what remains is left to the next call. */
  async prune(): Promise<void> {
    this.#attempt(() => {
      const oldestTime = Date.now() - this.#retention.days * dayMs;
      const ends = this.#database.prepare('SELECT min(time) AS oldest, max(revision) AS newest FROM commits').get();
      if (!this.overfull && Number(ends?.['oldest'] ?? oldestTime) >= oldestTime) return;
      const commits = this.#database
        .prepare(
          'SELECT revision, time, count(*) AS entries, total(octet_length(before)) AS bytes ' +
            'FROM commits JOIN changes USING (revision) GROUP BY revision ORDER BY revision LIMIT ?',
        )
        .all(STEP_ROWS) as unknown as { revision: number; time: number; entries: number; bytes: number }[];
      let [entries, bytes, last] = [0, 0, 0];
      for (const commit of commits) {
        const { entries: maxEntries, bytes: maxBytes } = this.#retention;
        const tooMuch = this.#entries - entries > maxEntries || this.#bytes - bytes > maxBytes;
        if (commit.time >= oldestTime && (!tooMuch || commit.revision === ends?.['newest'])) break;
        if (entries > 0 && entries + commit.entries > STEP_ROWS) break;
        entries += commit.entries;
        bytes += commit.bytes;
        last = commit.revision;
      }
      if (last === 0) return;
      this.#transaction(() => {
        this.#database.prepare('DELETE FROM changes WHERE revision <= ?').run(last);
        this.#database.prepare('DELETE FROM commits WHERE revision <= ?').run(last);
      });
      this.#entries -= entries;
      this.#bytes -= bytes;
    });
  }

  async reseal(keep: (key: string, value: string) => string, mark: number): Promise<void> {
    try {
      const known = this.#attempt(() =>
        this.#database.prepare(`SELECT value FROM meta WHERE name = '${SEALED}'`).get(),
      );
      if (known?.['value'] === mark) return;
      for (let last: number | undefined = 0; last !== undefined;) {
        await setTimeout(RESEAL_PAUSE_MS, undefined, { ref: false });
        if (!this.#database.isOpen) return;
        const from: number = last;
        last = this.#attempt(() => this.#resealStep(keep, from, mark));
      }
    } catch (error) {
      this.#onError(`the history could not be encrypted by the first key of the keyring: ${String(error)}`);
    }
  }

  /** Returns the last row that was done; undefined: all are. */
  #resealStep(keep: (key: string, value: string) => string, from: number, mark: number): number | undefined {
    const rows = this.#database
      .prepare('SELECT rowid, key, before FROM changes WHERE rowid > ? AND before IS NOT NULL ORDER BY rowid LIMIT ?')
      .all(from, STEP_ROWS) as unknown as { rowid: number; key: string; before: string }[];
    this.#transaction(() => {
      const update = this.#database.prepare('UPDATE changes SET before = ? WHERE rowid = ?');
      for (const { rowid, key, before } of rows) {
        const kept = keep(key, before);
        if (kept !== before) update.run(kept, rowid);
      }
      if (rows.length === 0)
        this.#database
          .prepare(`INSERT INTO meta VALUES ('${SEALED}', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`)
          .run(mark);
    });
    return rows.at(-1)?.rowid;
  }

  /** Is there anything to forget by number or size? By age, only `prune` finds out. */
  get overfull(): boolean {
    return this.#entries > this.#retention.entries || this.#bytes > this.#retention.bytes;
  }

  #entryOf({ revision, time, who, address, action, key, before }: ChangeRow): HistoryEntry {
    const next = this.#nextChange.get(key, revision) as { before: string | null } | undefined;
    const after = next === undefined ? this.#rows.get(key)?.value : (next.before ?? undefined);
    return { revision, time, who, address: address ?? undefined, action, key, before: before ?? undefined, after };
  }

  #transaction(action: () => void): void {
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      action();
      this.#database.exec('COMMIT');
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      throw error;
    }
  }
}

/** What `find` selects; the STRICT tables hold the types. */
interface ChangeRow {
  readonly revision: number;
  readonly time: number;
  readonly who: string;
  readonly address: string | null;
  readonly action: string;
  readonly key: string;
  readonly before: string | null;
}

function conditions({ revision, key, who, since, until }: HistoryQuery): {
  where: string;
  values: (string | number)[];
} {
  const terms: string[] = [];
  const values: (string | number)[] = [];
  const add = (term: string, ...given: (string | number)[]): void => {
    terms.push(term);
    values.push(...given);
  };
  if (revision !== undefined) add('revision = ?', revision);
  // `0` is the character after `/`.
  if (key !== undefined) add('(key = ? OR (key >= ? AND key < ?))', key, `${key}/`, `${key}0`);
  if (who !== undefined) add('who = ?', who);
  if (since !== undefined) add('time >= ?', since);
  if (until !== undefined) add('time < ?', until);
  return { where: terms.length === 0 ? '' : `WHERE ${terms.join(' AND ')}`, values };
}
