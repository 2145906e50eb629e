/**
 * What every history has in common: how much is kept, and who made a commit that does not say so.
 * Only the value before each change is kept. The value after it is the one before the key's next change, or the one that is
 * stored now; so the oldest commits can be forgotten without a gap, and nothing is kept twice.
 */
import type { Origin } from './store.ts';

/** What is older is forgotten, a whole commit at a time; the newest commit stays whatever its size. */
export interface Retention {
  /** Changes of one key each; 0: no history. */
  readonly entries: number;
  readonly days: number;
  /** Of the kept values. */
  readonly bytes: number;
}

export const defaultRetention: Retention = { entries: 10_000, days: 90, bytes: 64 * 1024 * 1024 };

export const unknownOrigin: Origin = { who: 'unknown', address: undefined, action: 'commit' };

export const dayMs = 24 * 60 * 60 * 1000;

/** How often the store looks whether something is to be forgotten. */
export const pruneEveryMs = 10_000;

/** Does `key` name `wanted`, or something that stands under it? */
export function isAtOrUnder(key: string, wanted: string): boolean {
  return key === wanted || key.startsWith(`${wanted}/`);
}
