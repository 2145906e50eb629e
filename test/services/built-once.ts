/**
 * Programs that tests build from source, kept for every later run: in the user's cache folder, which `npm ci` leaves alone
 * (XDG Base Directory Specification), not in node_modules. Invariant: a folder that is there is whole.
 */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';

type Environment = Readonly<Record<string, string | undefined>>;

/** Relative paths are to be ignored, says the specification. */
export function cacheRoot(environment: Environment = process.env): string {
  const set = environment['XDG_CACHE_HOME'] ?? '';
  return path.join(path.isAbsolute(set) ? set : path.join(homedir(), '.cache'), 'gatewright-tests');
}

/**
 * The folder of that name, which `build` has filled now or before. `name`: all that the result depends on, such as `opa-1.9.0`;
 * machine and platform are added. Throws what `build` throws, and keeps nothing then.
 */
export function builtOnce(name: string, build: (folder: string) => void, root: string = cacheRoot()): string {
  const folder = path.join(root, `${name}-${process.platform}-${process.arch}`);
  if (existsSync(folder)) return folder;
  mkdirSync(root, { recursive: true });
  const fresh = mkdtempSync(`${folder}.`);
  try {
    build(fresh);
    renameSync(fresh, folder);
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true });
    // Another process was faster.
    if (!existsSync(folder)) throw error;
  }
  return folder;
}
