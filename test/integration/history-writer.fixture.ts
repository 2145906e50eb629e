/**
 * The process that the crash test of rollbacks kills: rolls 40 routes back and forth between two states for ever, and prints the
 * revision of each rollback once it is answered. Argument: the data directory.
 */
import { writeSync } from 'node:fs';
import { localSession } from '../../src/history/session.ts';
import { createRegistry } from '../../src/plugins/registry.ts';
import { openStore } from '../../src/store/open.ts';

const dataDir = process.argv[2] ?? '';
const report = (message: string): void => void writeSync(2, `${message}\n`);
const store = await openStore({ kind: 'sqlite', dataDir }, { onError: report, onWarning: report });
const session = await localSession(store, createRegistry(undefined), '0.0.0');

for (let to = 1; ; to = 3 - to) {
  const { status, body } = await session.call('POST', `/history/${String(to)}/rollback`);
  if (status !== 200) throw new Error(JSON.stringify(body));
  writeSync(1, `${String((body as { revision: number }).revision)}\n`);
}
