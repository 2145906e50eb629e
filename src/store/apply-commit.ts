/**
 * What a commit means, for every store that keeps its own rows: preconditions, then operations, then the change set.
 * Pure but for `rows`; whoever calls it makes the writes atomic, and keeps `replaced` as the history (history.ts).
 */
import {
  StoreError,
  type Change,
  type ChangeSet,
  type CommitResult,
  type Entry,
  type Operation,
  type Precondition,
} from './store.ts';

/** The rows of one store, by key. */
export interface Rows {
  get(key: string): Entry | undefined;
  put(entry: Entry): void;
  delete(key: string): void;
}

export interface AppliedCommit {
  readonly result: CommitResult;
  /** undefined: nothing changed, and the revision stays. */
  readonly changeSet: ChangeSet | undefined;
  /** The entry that each change of the change set took the place of. */
  readonly replaced: readonly Replaced[];
}

export interface Replaced {
  readonly key: string;
  readonly before: Entry | undefined;
}

/** `revision`: of the last commit. Throws StoreError before the first write, and whatever `rows` throws. */
export function applyCommit(
  rows: Rows,
  revision: number,
  operations: readonly Operation[],
  preconditions: readonly Precondition[],
): AppliedCommit {
  assertKeys(operations);
  const failed = preconditions.find(({ key, modifiedIndex }) => (rows.get(key)?.modifiedIndex ?? 0) !== modifiedIndex);
  if (failed !== undefined) return { result: { ok: false, failed }, changeSet: undefined, replaced: [] };

  const next = revision + 1;
  const entries: Entry[] = [];
  const changes: Change[] = [];
  const replaced: Replaced[] = [];
  for (const operation of operations) {
    const { key } = operation;
    const before = rows.get(key);
    if (operation.type === 'put') {
      const createdIndex = before?.createdIndex ?? next;
      const entry: Entry = { key, value: operation.value, createdIndex, modifiedIndex: next };
      rows.put(entry);
      entries.push(entry);
      changes.push({ key, entry });
      replaced.push({ key, before });
    } else if (before !== undefined) {
      rows.delete(key);
      changes.push({ key, entry: undefined });
      replaced.push({ key, before });
    }
  }
  if (changes.length === 0) return { result: { ok: true, revision, entries }, changeSet: undefined, replaced };
  return { result: { ok: true, revision: next, entries }, changeSet: { revision: next, changes }, replaced };
}

function assertKeys(operations: readonly Operation[]): void {
  const keys = new Set<string>();
  for (const { key } of operations) {
    if (key === '' || !key.isWellFormed()) throw new StoreError(`${JSON.stringify(key)} cannot be a key`);
    if (keys.has(key)) throw new StoreError(`one commit names the key ${key} twice`);
    keys.add(key);
  }
}
