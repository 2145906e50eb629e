/**
 * Where the Admin API of the gateway that uses a data directory listens: `admin.json` in that directory, from the moment it
 * listens until it stops. The command line finds the gateway by it, whatever its settings are, and takes no other for it.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { PluginLog } from '../plugin/plugin.ts';

/** Where the resources are of the gateway that is announced: others may use the directory for something else. */
export type AnnouncedStore = 'sqlite' | 'memory';

function fileOf(dataDir: string, store: AnnouncedStore): string {
  return join(dataDir, store === 'sqlite' ? 'admin.json' : 'admin-memory.json');
}

/**
 * `ip`: as in the settings; `address`: of the server that listens. Returns a function that takes it away again. A directory
 * that cannot be written is told of, and no reason not to start.
 */
export function announceAdmin(
  dataDir: string,
  store: AnnouncedStore,
  ip: string,
  address: AddressInfo | string | null,
  log: PluginLog,
): () => void {
  if (address === null || typeof address === 'string') return () => undefined;
  const file = fileOf(dataDir, store);
  const draft = `${file}.${String(process.pid)}`;
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    writeFileSync(draft, `${JSON.stringify({ pid: process.pid, url: urlOf(ip, address.port) })}\n`, { mode: 0o600 });
    renameSync(draft, file);
  } catch (error) {
    log.warn('the command line will not find this gateway', { reason: String(error) });
  }
  return () => {
    rmSync(file, { force: true });
  };
}

/** What a predecessor that was killed has left; call it once the store is ours. */
export function forgetAdmin(dataDir: string, store: AnnouncedStore): void {
  rmSync(fileOf(dataDir, store), { force: true });
}

/** `http://127.0.0.1:9180`; undefined: no gateway says so. */
export function findAdmin(dataDir: string, store: AnnouncedStore): string | undefined {
  try {
    const { url, pid } = JSON.parse(readFileSync(fileOf(dataDir, store), 'utf8')) as { url?: unknown; pid?: unknown };
    // Of SQLite, its lock says whether the gateway lives; of memory nothing else does.
    if (store === 'memory') process.kill(Number(pid), 0);
    return typeof url === 'string' ? url : undefined;
  } catch {
    return undefined;
  }
}

/** What listens everywhere is reached over loopback. */
function urlOf(ip: string, port: number): string {
  const host = ip === '0.0.0.0' ? '127.0.0.1' : ip === '::' ? '[::1]' : ip.includes(':') ? `[${ip}]` : ip;
  return `http://${host}:${String(port)}`;
}
