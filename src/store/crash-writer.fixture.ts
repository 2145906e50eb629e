/**
 * The process that the crash test kills: commits numbered entries for ever and prints each number once its commit is
 * acknowledged. Argument: the data directory. Each commit holds two keys, so that a torn one would show.
 */
import { writeSync } from 'node:fs';
import { openSqliteStore } from './sqlite.ts';

const dataDir = process.argv[2] ?? '';
const report = (message: string): void => void writeSync(2, `${message}\n`);

writeSync(1, 'opening\n');
const store = openSqliteStore({ dataDir, busyTimeoutMs: 0 }, { onError: report, onWarning: report });
const last = await store.get('services/last');
let number = last === undefined ? 0 : Number(last.value);
for (;;) {
  number += 1;
  // Of the size of a real route, so that the log outgrows a page and is checkpointed now and then.
  const value = JSON.stringify({ id: String(number), padding: 'x'.repeat(number % 3000) });
  await store.commit([
    { type: 'put', key: `routes/${String(number)}`, value },
    { type: 'put', key: 'services/last', value: String(number) },
  ]);
  writeSync(1, `${String(number)}\n`);
}
