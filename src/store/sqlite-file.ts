/**
 * Opens the embedded database: makes it when it is not there, locks it, and refuses it when it is not sound.
 * Invariant: an existing file is never emptied, replaced or repaired; a new one appears complete or not at all.
 *
 * The lock is SQLite's own (`locking_mode=EXCLUSIVE`, POSIX record locks): the kernel drops it with the process that
 * holds it. Such locks also go when the process closes *any* descriptor of the file, so nothing here opens an existing
 * database by `node:fs`; only `stat`, `chmod` and `link` touch it.
 */
import { randomUUID } from 'node:crypto';
import {
  accessSync,
  chmodSync,
  constants,
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  rmSync,
  statSync,
} from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { damaged, readOnly, storeErrorFrom } from './sqlite-error.ts';
import { StoreError } from './store.ts';

/** Of the tables below. A database that says more was written by a later version, and is refused. */
export const SCHEMA_VERSION = 2;

const DATABASE_NAME = 'gatewright.db';

// Since version 2. `before` is NULL where the key did not exist.
const HISTORY = `
  CREATE TABLE commits (
    revision INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    who TEXT NOT NULL,
    address TEXT,
    action TEXT NOT NULL
  ) STRICT;
  CREATE TABLE changes (
    revision INTEGER NOT NULL,
    key TEXT NOT NULL,
    before TEXT,
    PRIMARY KEY (revision, key)
  ) STRICT;
  CREATE INDEX changes_of_key ON changes (key, revision);
`;

// A row id table: values are up to some kilobytes, which would make the inner pages of a WITHOUT ROWID tree wide.
const SCHEMA = `
  CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
  CREATE TABLE entries (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    created_index INTEGER NOT NULL,
    modified_index INTEGER NOT NULL
  ) STRICT;
  ${HISTORY}
  INSERT INTO meta VALUES ('schema_version', ${String(SCHEMA_VERSION)}), ('revision', 0);
`;

export interface OpenedDatabase {
  readonly database: DatabaseSync;
  readonly file: string;
}

/**
 * `busyTimeoutMs`: how long to wait (blocking) for another process to let go of the file. The caller closes the
 * database. Throws StoreError.
 */
export function openDatabase(dataDir: string, busyTimeoutMs: number): OpenedDatabase {
  const file = path.join(dataDir, DATABASE_NAME);
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    if (!exists(file)) createDatabase(dataDir, file);
    const { size, mode } = statSync(file);
    if (size === 0) throw new StoreError(damaged(file, 'the file is empty'));
    if ((mode & 0o077) !== 0) withdrawRights(file);
    assertAccess(file);
    return { database: openExisting(file, busyTimeoutMs), file };
  } catch (error) {
    throw storeErrorFrom(error, file);
  }
}

/** SQLite would open it for reading, and then fail to lock it with an I/O error that says nothing. */
function assertAccess(file: string): void {
  try {
    accessSync(file, constants.R_OK | constants.W_OK);
  } catch (error) {
    throw new StoreError(readOnly(file), { cause: error });
  }
}

/** Restored or copied with wider rights: the file holds secrets. Not every file system, nor every owner, allows it. */
function withdrawRights(file: string): void {
  try {
    chmodSync(file, 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error;
  }
}

function openExisting(file: string, busyTimeoutMs: number): DatabaseSync {
  const database = new DatabaseSync(file, { timeout: busyTimeoutMs });
  try {
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
    // Takes the lock now, and finds out now whether the file can be written.
    database.exec('BEGIN IMMEDIATE; COMMIT;');
    assertSchema(database, file);
    const finding = Object.values(database.prepare('PRAGMA quick_check(1)').get() ?? {})[0];
    if (finding !== 'ok') throw new StoreError(damaged(file, String(finding)));
    upgrade(database);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function assertSchema(database: DatabaseSync, file: string): void {
  const tables = database.prepare("SELECT count(*) AS n FROM sqlite_schema WHERE name IN ('meta', 'entries')").get();
  if (tables?.['n'] !== 2) throw new StoreError(damaged(file, 'it is not a database of the gateway'));
  const version = database.prepare("SELECT value FROM meta WHERE name = 'schema_version'").get()?.['value'];
  if (typeof version !== 'number' || database.prepare("SELECT 1 FROM meta WHERE name = 'revision'").get() === undefined)
    throw new StoreError(damaged(file, 'its schema version or revision is missing'));
  if (version > SCHEMA_VERSION) {
    throw new StoreError(
      `${file} was written by a later version of the gateway (schema ${String(version)}; this one knows ` +
        `${String(SCHEMA_VERSION)}). Run that version, or restore a backup made before the upgrade`,
    );
  }
}

/** Of a sound database that an earlier version made; whole, or not at all. */
function upgrade(database: DatabaseSync): void {
  const { version } = database.prepare("SELECT value AS version FROM meta WHERE name = 'schema_version'").get() ?? {};
  if (version === SCHEMA_VERSION) return;
  const next = `UPDATE meta SET value = ${String(SCHEMA_VERSION)} WHERE name = 'schema_version'`;
  database.exec(`BEGIN; ${HISTORY} ${next}; COMMIT;`);
}

/** Made under another name, then linked: of two first starts one wins, and a crash leaves no half-made database. */
function createDatabase(dataDir: string, file: string): void {
  if (exists(`${file}-wal`)) {
    throw new StoreError(
      `${file} is missing, but ${file}-wal, which holds its latest changes, is there. Put the database back beside it, ` +
        `or move ${file}-wal away to start with no resources`,
    );
  }
  const draft = path.join(dataDir, `.${DATABASE_NAME}.${randomUUID()}`);
  try {
    closeSync(openSync(draft, 'wx', 0o600));
    const database = new DatabaseSync(draft);
    try {
      database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; BEGIN; ${SCHEMA} COMMIT;`);
    } finally {
      database.close();
    }
    linkSync(draft, file);
    syncDirectory(dataDir);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    for (const suffix of ['', '-wal', '-shm']) rmSync(draft + suffix, { force: true });
  }
}

function syncDirectory(directory: string): void {
  const descriptor = openSync(directory, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function exists(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false }) !== undefined;
}
