/** Reads a long list in pieces, so that neither the store nor the reader holds all of it at once. */
import type { Entry, Store } from './store.ts';

/** Each piece with the revision it was read at: later ones may be newer. Yields an empty piece where there is nothing. */
export async function* inPages(
  store: Store,
  prefix: string,
  limit: number,
): AsyncGenerator<{ readonly revision: number; readonly entries: readonly Entry[] }> {
  let after = '';
  for (;;) {
    const piece = await store.list(prefix, { after, limit });
    yield piece;
    const last = piece.entries.at(-1);
    if (last === undefined || piece.entries.length < limit) return;
    after = last.key;
  }
}
