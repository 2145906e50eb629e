/** What only the SQLite store can get wrong: its file. The behaviour of every store is in test/conformance/store.ts. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmod,
  chown,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { storeErrorFrom } from './sqlite-error.ts';
import { openDatabase, SCHEMA_VERSION } from './sqlite-file.ts';
import { openSqliteStore } from './sqlite.ts';
import type { Store } from './store.ts';

const hooks = {
  onError: (message: string) => assert.fail(message),
  onWarning: (message: string) => assert.fail(message),
};

const writer = path.join(import.meta.dirname, 'crash-writer.fixture.ts');

describe('the file of the sqlite store', () => {
  let parent: string;
  let dataDir: string;
  let file: string;
  beforeEach(async () => {
    parent = await mkdtemp(path.join(tmpdir(), 'gatewright-sqlite-'));
    dataDir = path.join(parent, 'deep', 'data');
    file = path.join(dataDir, 'gatewright.db');
  });
  afterEach(() => rm(parent, { recursive: true }));

  const openStore = (): Store => openSqliteStore({ dataDir, busyTimeoutMs: 0 }, hooks);

  /** Fills a database with `count` entries and closes it. */
  const fill = async (count: number): Promise<void> => {
    const store = openStore();
    const value = 'x'.repeat(500);
    await store.commit(Array.from({ length: count }, (_, i) => ({ type: 'put', key: `routes/${i}`, value })));
    await store.close();
  };

  /** The open is refused with `message`, and the files are as they were. */
  const assertRefused = async (message: RegExp): Promise<void> => {
    const before = await contents(dataDir);
    assert.throws(openStore, (error: Error) => {
      assert.equal(error.name, 'StoreError');
      assert.match(error.message, message);
      assert.ok(error.message.includes(file), error.message);
      return true;
    });
    assert.deepEqual(await contents(dataDir), before);
  };

  test('is made with its directories, for the owner only', async () => {
    const store = openStore();
    await store.commit([{ type: 'put', key: 'routes/1', value: '{}' }]);
    assert.equal((await stat(dataDir)).mode & 0o777, 0o700);
    const names = await readdir(dataDir);
    assert.deepEqual(names.toSorted(), ['gatewright.db', 'gatewright.db-wal']);
    for (const name of names) assert.equal((await stat(path.join(dataDir, name))).mode & 0o777, 0o600);
    await store.close();
    assert.deepEqual(await readdir(dataDir), ['gatewright.db']);
  });

  test('loses the rights that a copy gave to others', async () => {
    await fill(1);
    await chmod(file, 0o644);
    await openStore().close();
    assert.equal((await stat(file)).mode & 0o777, 0o600);
  });

  test('is written through to the disk at each commit: WAL, synchronous=FULL', () => {
    const { database } = openDatabase(dataDir, 0);
    assert.deepEqual({ ...database.prepare('PRAGMA journal_mode').get() }, { journal_mode: 'wal' });
    assert.deepEqual({ ...database.prepare('PRAGMA synchronous').get() }, { synchronous: 2 });
    database.close();
  });

  test('is refused to a second process', async () => {
    const store = openStore();
    const other = spawnSync(process.execPath, [writer, dataDir], {
      encoding: 'utf8',
      timeout: 10_000,
    });
    assert.equal(other.status, 1);
    assert.match(other.stderr, /gatewright\.db is in use by another process/);
    assert.equal(other.stdout, 'opening\n');
    assert.ok((await store.commit([{ type: 'put', key: 'routes/1', value: '{}' }])).ok);
    await store.close();
    // That the lock goes with an owner that was killed: each round of sqlite-crash.test.ts begins with it.
  });

  test('is refused a second time in one process, and the first goes on', async () => {
    const store = openStore();
    assert.throws(openStore, /in use by another process/);
    assert.ok((await store.commit([{ type: 'put', key: 'routes/1', value: '{}' }])).ok);
    assert.throws(openStore, /in use by another process/);
    await store.close();
  });

  test('is refused with a garbage header', async () => {
    await fill(10);
    await overwrite(file, 0, Buffer.alloc(100, 'garbage '));
    await assertRefused(/damaged.*Restore it from a backup, or move it away/);
  });

  test('is refused when it is empty: it once held a database', async () => {
    await fill(10);
    await truncate(file, 0);
    await assertRefused(/damaged \(the file is empty\)/);
  });

  test('is refused when its end is missing', async () => {
    await fill(1000);
    const { size } = await stat(file);
    await truncate(file, Math.floor(size / 2 / 4096) * 4096 + 100);
    await assertRefused(/damaged/);
  });

  test('is refused when a page in its middle is overwritten', async () => {
    await fill(1000);
    const { size } = await stat(file);
    await overwrite(file, Math.floor(size / 2 / 4096) * 4096, Buffer.alloc(4096, 0xa5));
    await assertRefused(/damaged/);
  });

  test('is refused when its index disagrees with its table', async () => {
    await fill(10);
    const database = new DatabaseSync(file);
    database.enableDefensive(false);
    database.exec("PRAGMA writable_schema = ON; UPDATE sqlite_schema SET rootpage = 2 WHERE name = 'entries'");
    database.close();
    await assertRefused(/damaged/);
  });

  test('is refused when it is a database of something else', async () => {
    await mkdir(dataDir, { recursive: true });
    const database = new DatabaseSync(file);
    database.exec('CREATE TABLE guests (name TEXT)');
    database.close();
    await chmod(file, 0o600);
    assert.throws(openStore, /damaged \(it is not a database of the gateway\)/);
  });

  test('is refused when a later version wrote it', async () => {
    await fill(1);
    const database = new DatabaseSync(file);
    database.exec(`UPDATE meta SET value = ${SCHEMA_VERSION + 1} WHERE name = 'schema_version'`);
    database.close();
    await assertRefused(/was written by a later version of the gateway \(schema 3; this one knows 2\)/);
  });

  test('is not made anew beside the log of one that is missing', async () => {
    const store = openStore();
    await store.commit([{ type: 'put', key: 'routes/1', value: '{}' }]);
    const log = await readFile(`${file}-wal`);
    await store.close();
    await rename(file, `${file}.away`);
    await writeFile(`${file}-wal`, log);
    await assertRefused(/is missing, but .*-wal, which holds its latest changes, is there/);
  });

  test('leaves nothing half-written when a write fails, and the store goes on', () => {
    const fixture = path.join(import.meta.dirname, 'ioerror-writer.fixture.ts');
    const child = spawnSync('sh', ['-c', 'ulimit -f 600 && exec "$0" "$@"', process.execPath, fixture, dataDir], {
      encoding: 'utf8',
    });
    assert.equal(child.status, 0, child.stderr);
    const { commits, revision, entries, name, message } = JSON.parse(child.stdout);
    assert.equal(name, 'StoreError');
    assert.match(message, /gatewright\.db could not be read or written \(disk I\/O error\); nothing was changed/);
    assert.ok(commits > 0);
    assert.deepEqual({ revision, entries }, { revision: commits, entries: 2 * commits });
  });

  test('a full disk is named as such', async () => {
    await fill(10);
    const database = new DatabaseSync(file);
    database.exec('PRAGMA max_page_count = 1');
    assert.throws(
      () => database.exec(`INSERT INTO entries VALUES ('routes/x', '${'x'.repeat(100_000)}', 1, 1)`),
      (error) => {
        assert.match(storeErrorFrom(error, file).message, /gatewright\.db could not grow: the disk is full/);
        return true;
      },
    );
    database.close();
  });

  test('is refused when it cannot be written', async () => {
    await fill(1);
    await chmod(file, 0o400);
    // Root may write anything, so root asks as somebody else, once the source tree is read: that may be root's alone.
    const nobody = 65_534;
    for (const entry of process.getuid?.() === 0 ? [parent, path.dirname(dataDir), dataDir, file] : [])
      await chown(entry, nobody, nobody);
    const program = `
      const { openStore } = await import('${new URL('./open.ts', import.meta.url).href}');
      if (process.getuid() === 0) { process.setgroups([]); process.setgid(${nobody}); process.setuid(${nobody}); }
      await openStore({ kind: 'sqlite', dataDir: process.argv[1] }, {});`;
    const child = spawnSync(process.execPath, ['--input-type=module', '-e', program, dataDir], {
      encoding: 'utf8',
      timeout: 10_000,
    });
    assert.equal(child.status, 1, child.stderr);
    assert.match(child.stderr, /StoreError: .*gatewright\.db is read-only; nothing was changed/);
  });

  test('is refused when its directory cannot be made', async () => {
    await writeFile(path.join(parent, 'deep'), 'a file');
    assert.throws(openStore, { name: 'StoreError', message: /ENOTDIR|EEXIST/ });
  });
});

async function overwrite(file: string, position: number, bytes: Buffer): Promise<void> {
  const handle = await open(file, 'r+');
  await handle.write(bytes, 0, bytes.length, position);
  await handle.close();
}

async function contents(directory: string): Promise<Map<string, string>> {
  const names = (await readdir(directory)).toSorted();
  return new Map(
    await Promise.all(
      names.map(async (name) => [name, (await readFile(path.join(directory, name))).toString('base64')] as const),
    ),
  );
}
