/** Optimistic concurrency (RFC 9110 §13.1.1): a write that names the version it replaces. APISIX has none. */
import type { Entry } from '../store/store.ts';
import { AdminError } from './admin-error.ts';
import { entityTag } from './answer.ts';

/** The header's value; undefined where the client does not care. */
export type IfMatch = string | undefined;

/** `*` matches any existing resource; a tag is a modifiedIndex, with or without quotes. Throws AdminError 412. */
export function requireMatch(ifMatch: IfMatch, key: string, entry: Entry | undefined): void {
  if (ifMatch === undefined) return;
  const tags = ifMatch.split(',').map((tag) => tag.trim());
  if (entry && tags.some((tag) => tag === '*' || tag === entityTag(entry) || tag === String(entry.modifiedIndex)))
    return;
  const now = entry ? `its modifiedIndex is ${String(entry.modifiedIndex)}` : 'it does not exist';
  throw new AdminError(412, `[${key}] is not what If-Match names: ${now}`);
}

/** The same for what concerns the whole store: a tag is its revision. */
export function requireRevision(ifMatch: IfMatch, revision: number): void {
  if (ifMatch === undefined) return;
  const tags = ifMatch.split(',').map((tag) => tag.trim());
  if (tags.some((tag) => tag === '*' || tag === `"${String(revision)}"` || tag === String(revision))) return;
  throw new AdminError(412, `the store is not at the revision that If-Match names: it is at ${String(revision)}`);
}
