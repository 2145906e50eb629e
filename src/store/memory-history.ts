/** The history of a store in memory: as long as the process lives. */
import type { Replaced } from './apply-commit.ts';
import { dayMs, isAtOrUnder, type Retention } from './history.ts';
import type { Entry, HistoryEntry, HistoryQuery, HistoryState, Origin, StoreHistory } from './store.ts';

interface Commit extends Omit<Origin, 'keep'> {
  readonly revision: number;
  readonly time: number;
  readonly changes: readonly { readonly key: string; readonly before: string | undefined }[];
  readonly bytes: number;
}

export class MemoryHistory implements StoreHistory {
  readonly #retention: Retention;
  readonly #current: (key: string) => Entry | undefined;
  readonly #assertOpen: () => void;
  /** In order of revision. */
  #commits: Commit[] = [];
  #newest = 0;
  #entries = 0;
  #bytes = 0;

  /** `current`: what is stored under a key now. `assertOpen` throws once the store is closed. */
  constructor(retention: Retention, current: (key: string) => Entry | undefined, assertOpen: () => void) {
    this.#assertOpen = assertOpen;
    this.#retention = retention;
    this.#current = current;
  }

  record(revision: number, { who, address, action, keep }: Origin, replaced: readonly Replaced[]): void {
    let bytes = 0;
    const changes = replaced.map(({ key, before }) => {
      const value = before === undefined || keep === undefined ? before?.value : keep(key, before.value);
      bytes += value?.length ?? 0;
      return { key, before: value };
    });
    this.#commits.push({ revision, time: Date.now(), who, address, action, changes, bytes });
    this.#newest = revision;
    this.#entries += changes.length;
    this.#bytes += bytes;
  }

  async find(query: HistoryQuery): Promise<{ total: number; entries: HistoryEntry[] }> {
    const { revision, key: wanted, who, since = -Infinity, until = Infinity, limit, offset = 0 } = query;
    this.#assertOpen();
    const after = new Map<string, string | undefined>();
    const found: HistoryEntry[] = [];
    for (const commit of this.#commits.toReversed()) {
      const { changes, bytes: _bytes, ...about } = commit;
      const fits =
        (revision === undefined || commit.revision === revision) &&
        (who === undefined || commit.who === who) &&
        commit.time >= since &&
        commit.time < until;
      for (const { key, before } of changes.toSorted((a, b) => (a.key < b.key ? -1 : 1))) {
        const value = after.has(key) ? after.get(key) : this.#current(key)?.value;
        after.set(key, before);
        if (fits && (wanted === undefined || isAtOrUnder(key, wanted)))
          found.push({ ...about, key, before, after: value });
      }
    }
    return { total: found.length, entries: found.slice(offset, offset + limit) };
  }

  async since(revision: number): Promise<HistoryState> {
    this.#assertOpen();
    const oldest = (this.#commits[0]?.revision ?? this.#newest + 1) - 1;
    const newest = this.#newest;
    if (revision < oldest || revision > newest) return { oldest, newest, values: undefined };
    const values = new Map<string, string | undefined>();
    for (const commit of this.#commits) {
      if (commit.revision <= revision) continue;
      for (const { key, before } of commit.changes) if (!values.has(key)) values.set(key, before);
    }
    return { oldest, newest, values };
  }

  async prune(): Promise<void> {
    const { entries, bytes, days } = this.#retention;
    const oldestTime = Date.now() - days * dayMs;
    let gone = 0;
    for (const commit of this.#commits) {
      const last = gone === this.#commits.length - 1;
      const tooMuch = !last && (this.#entries > entries || this.#bytes > bytes);
      if (!tooMuch && commit.time >= oldestTime) break;
      this.#entries -= commit.changes.length;
      this.#bytes -= commit.bytes;
      gone += 1;
    }
    if (gone > 0) this.#commits = this.#commits.slice(gone);
  }
}
