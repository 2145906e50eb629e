/**
 * Where the sockets of runners lie: a directory that only the gateway's user can enter, for whoever reaches such a socket speaks
 * to the runner as the gateway. In the data directory, or where its path is too long for a socket's address, in the
 * system's directory for temporary files.
 */
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { maxSocketPathBytes } from '../settings/runners.ts';

export interface SocketDirectory {
  /** A path that was not used before. */
  next(runner: string): string;
  /** Remembers which process listens there, for a gateway that starts after this one has died. */
  note(socket: string, pid: number): void;
  forget(socket: string): void;
  dispose(): void;
}

/** A name of 32, the process id, a number, `.sock`. */
const longestFileName = 32 + 24;

export function openSocketDirectory(dataDir: string): SocketDirectory {
  const preferred = path.join(dataDir, 'runners');
  const fits = Buffer.byteLength(preferred) + 1 + longestFileName <= maxSocketPathBytes;
  const directory = fits ? preferred : mkdtempSync(path.join(tmpdir(), 'gatewright-'));
  mkdirSync(directory, { recursive: true });
  // It may have been there, with other rights.
  chmodSync(directory, 0o700);
  if (fits) endLeftovers(directory);
  let number = 0;
  const noteOf = (socket: string): string => `${socket}.pid`;
  return {
    next: (runner) => path.join(directory, `${runner}-${String(process.pid)}-${String(++number)}.sock`),
    note: (socket, pid) => {
      writeFileSync(noteOf(socket), String(pid), { mode: 0o600 });
    },
    forget: (socket) => {
      rmSync(noteOf(socket), { force: true });
      rmSync(socket, { force: true });
    },
    dispose: () => {
      if (!fits) rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Runners of a gateway that was killed: ended, if they still are what they were, and their sockets removed. */
function endLeftovers(directory: string): void {
  for (const file of readdirSync(directory)) {
    const match = /^(.+-(\d+)-\d+\.sock)(\.pid)?$/.exec(file);
    if (match === null || isAlive(Number(match[2]))) continue;
    const full = path.join(directory, file);
    if (match[3] !== undefined) endRunner(Number(readFileSync(full, 'utf8')), path.join(directory, match[1] ?? ''));
    rmSync(full, { force: true });
  }
}

/** Process ids are used again: only one whose environment names this very socket is ours. Elsewhere than on Linux it stays. */
function endRunner(pid: number, socket: string): void {
  if (!Number.isInteger(pid) || pid <= 1) return;
  try {
    const environment = readFileSync(`/proc/${String(pid)}/environ`, 'utf8').split('\0');
    if (environment.includes(`APISIX_LISTEN_ADDRESS=unix:${socket}`)) process.kill(-pid, 'SIGKILL');
  } catch {
    // It is gone, or not ours to look at.
  }
}

function isAlive(pid: number): boolean {
  if (pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
