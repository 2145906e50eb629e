/** What SQLite reports (sqlite.org/rescode.html) → a StoreError that names the file and says what the operator can do. */
import { StoreError, StoreInUse } from './store.ts';

/** `file`: the database. Errors that are not SQLite's keep their message. The original error is the `cause`. */
export function storeErrorFrom(error: unknown, file: string): StoreError {
  if (error instanceof StoreError) return error;
  const code = primaryCode(error);
  const Kind = code === 5 || code === 6 ? StoreInUse : StoreError;
  return new Kind(describe(error, file), { cause: error });
}

/** What to say of a database that SQLite, or our own checks, cannot read as one. */
export function damaged(file: string, finding: string): string {
  return (
    `${file} is damaged (${finding}) and was left untouched. Restore it from a backup, ` +
    `or move it away together with ${file}-wal to start with no resources`
  );
}

export function readOnly(file: string): string {
  return `${file} is read-only; nothing was changed. Make the file and its directory writable for the user that runs the gateway`;
}

function describe(error: unknown, file: string): string {
  const { errstr = '' } = error as { errstr?: string };
  switch (primaryCode(error)) {
    case 5: // SQLITE_BUSY
    case 6: // SQLITE_LOCKED
      return `${file} is in use by another process: one data directory serves one gateway. Stop the other one, or give this one a data directory of its own`;
    case 8: // SQLITE_READONLY
      return readOnly(file);
    case 10: // SQLITE_IOERR
      return `${file} could not be read or written (${errstr}); nothing was changed. Check the disk`;
    case 11: // SQLITE_CORRUPT
    case 26: // SQLITE_NOTADB
      return damaged(file, errstr);
    case 13: // SQLITE_FULL
      return `${file} could not grow: the disk is full; nothing was changed. Free some space and repeat the change`;
    case 3: // SQLITE_PERM
    case 14: // SQLITE_CANTOPEN
      return `${file} could not be opened (${errstr}). Check that the user that runs the gateway owns it and its directory`;
    default:
      return `${file}: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** The low byte of SQLite's code is the primary one; the rest says which step failed. */
function primaryCode(error: unknown): number | undefined {
  const { errcode } = error as { errcode?: number };
  return errcode === undefined ? undefined : errcode & 0xff;
}
