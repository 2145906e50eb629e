/**
 * Run under a limit of the file size (`ulimit -f`): commits until a commit fails, then shows that nothing of it was
 * stored and that the store still works. Prints JSON.
 */
import { openSqliteStore } from './sqlite.ts';
import type { Operation } from './store.ts';

const hooks = { onError: () => undefined, onWarning: () => undefined };
const store = openSqliteStore({ dataDir: process.argv[2] ?? '' }, hooks);
const big = (key: string): Operation => ({ type: 'put', key, value: 'x'.repeat(50_000) });
let commits = 0;
let failure: Error | undefined;
while (failure === undefined) {
  try {
    await store.commit([
      { type: 'put', key: `routes/${String(commits)}`, value: 'small' },
      big(`services/${String(commits)}`),
    ]);
    commits += 1;
  } catch (error) {
    failure = error as Error;
  }
}
const { revision, entries } = await store.list('');
process.stdout.write(
  JSON.stringify({
    commits,
    revision,
    entries: entries.length,
    name: failure.name,
    message: failure.message,
  }),
);
