/**
 * The admin key where the settings give none: made once, kept in `<dataDir>/admin.key`, mode 0600. There is no default key.
 * Runs in the control plane at start. The caller prints a key that was just made, once, and no other.
 */
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { ConfigError } from '../errors/gateway-error.ts';

const keyPattern = /^[0-9a-f]{32}$/;

/** 32 hex digits (128 random bits). Creates the data directory (0700) where there is none. Throws ConfigError on a damaged or foreign file. */
export function ensureAdminKey(dataDir: string): { key: string; created: boolean } {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const file = join(dataDir, 'admin.key');
  const existing = readKey(file);
  if (existing !== undefined) return { key: existing, created: false };
  const key = randomBytes(16).toString('hex');
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
  const descriptor = openSync(draft, 'wx', 0o600);
  try {
    writeSync(descriptor, `${key}\n`);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  try {
    // A link, not a rename: of two gateways that start at once on one directory, the first one's key stands.
    linkSync(draft, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    const first = readKey(file);
    if (first !== undefined) return { key: first, created: false };
    throw error;
  } finally {
    unlinkSync(draft);
  }
  return { key, created: true };
}

function readKey(file: string): string | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(file, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new ConfigError(`${file}: cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'unknown'}`, {
      cause: error,
    });
  }
  try {
    const key = readFileSync(descriptor, 'utf8').trim();
    if (!keyPattern.test(key)) {
      throw new ConfigError(
        `${file}: does not hold a key of 32 hex digits: delete it, and a new key is made at the next start`,
      );
    }
    // Copied or restored with wider rights: nobody but the owner has business with it.
    if ((fstatSync(descriptor).mode & 0o077) !== 0) chmodSync(file, 0o600);
    return key;
  } finally {
    closeSync(descriptor);
  }
}
