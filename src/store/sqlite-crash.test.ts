import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { openSqliteStore } from './sqlite.ts';

const ROUNDS = 12;
const MAX_LINES = 60;

const hooks = {
  onError: (message: string) => assert.fail(message),
  onWarning: (message: string) => assert.fail(message),
};

describe('kill -9 of the process that writes', () => {
  let dataDir: string;
  const acknowledged = new Set<number>();
  before(async () => {
    dataDir = await mkdtemp(path.join(tmpdir(), 'gatewright-crash-'));
  });
  after(() => rm(dataDir, { recursive: true }));

  for (let round = 1; round <= ROUNDS; round += 1) {
    // The first two while the database is made and while it is opened, the others in the middle of commits.
    const lines = round <= 2 ? 1 : 2 + Math.floor(Math.random() * MAX_LINES);
    test(`round ${round}: every acknowledged commit is there, whole, and at most one other`, async (t) => {
      t.diagnostic(`killed after ${lines} lines`);
      const numbers = await writeUntilKilled(dataDir, lines);
      if (round > 2) assert.ok(numbers.length > 0, 'the writer made no commit');
      for (const number of numbers) acknowledged.add(number);

      // The lock died with its owner: a database that is still locked would be refused here at once.
      const store = openSqliteStore({ dataDir, busyTimeoutMs: 0 }, hooks);
      try {
        const { revision, entries } = await store.list('routes/');
        const stored = entries.map((entry) => Number(entry.key.slice('routes/'.length))).sort((a, b) => a - b);
        for (const number of acknowledged) assert.ok(stored.includes(number), `acknowledged ${number} is lost`);
        assert.deepEqual(
          stored,
          Array.from({ length: revision }, (_, index) => index + 1),
        );
        for (const entry of entries) assert.equal(entry.key, `routes/${entry.modifiedIndex}`);
        const last = await store.get('services/last');
        assert.equal(Number(last?.value ?? 0), revision);
        assert.equal(last?.modifiedIndex ?? 0, revision);
        // At most the one commit of each round whose acknowledgement did not get out.
        assert.ok(revision - acknowledged.size <= round, `${revision} commits, ${acknowledged.size} acknowledged`);
      } finally {
        await store.close();
      }
    });
  }
});

/** Starts the writer, kills it when it has printed `lines` lines, and returns the numbers it printed until it was dead. */
async function writeUntilKilled(dataDir: string, lines: number): Promise<number[]> {
  const child = spawn(process.execPath, [path.join(import.meta.dirname, 'crash-writer.fixture.ts'), dataDir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  const printed: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    printed.push(line);
    if (printed.length === lines) child.kill('SIGKILL');
  }
  const [, signal] = (await exited) as [number | null, string | null];
  assert.equal(signal, 'SIGKILL');
  return printed.slice(1).map(Number);
}
