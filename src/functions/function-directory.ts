/**
 * The function directory as it is now: which file is which version of a function, and a fingerprint of all files. Looked at again and
 * again while functions are in use, not watched: mounted volumes, whose files are links that are switched over, send no events.
 * Invariant: equal files give an equal fingerprint in every worker; a file that changed gives another.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, statSync, type BigIntStats } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { latestVersion, type FunctionReference } from '../plugin/functions.ts';

const extensions = ['.ts', '.mts', '.js', '.mjs', '.cjs'];
/** What functions are made of; what else lies there may change without a function being started anew. */
const sources = new Set([...extensions, '.cts', '.json', '.wasm']);
/** Between looks. */
const intervalMs = 500;
/** What lies deeper, or beyond this number, is not looked at. */
const maxDepth = 8;
const maxFiles = 5000;

export class FunctionDirectory {
  readonly #root: string;
  readonly #listeners = new Set<() => void>();
  #files: ReadonlySet<string> = new Set();
  #fingerprint = '';
  #timer: NodeJS.Timeout | undefined;
  #looking = false;

  constructor(root: string) {
    this.#root = path.resolve(root);
  }

  get fingerprint(): string {
    return this.#fingerprint;
  }

  /** Looks at once, and from then on. `changed`: something did. Returns what ends it. */
  follow(changed: () => void): () => void {
    if (this.#listeners.size === 0) {
      this.#take(lookSync(this.#root));
      this.#timer = setInterval(() => void this.#lookAgain(), intervalMs);
      this.#timer.unref();
    }
    this.#listeners.add(changed);
    return () => {
      this.#listeners.delete(changed);
      if (this.#listeners.size === 0) clearInterval(this.#timer);
    };
  }

  /** Absolute path of a version: `NAMESPACE/NAME.ts` for $LATEST, `NAMESPACE/NAME@QUALIFIER.ts` for the others. */
  find({ namespace, name, qualifier }: FunctionReference): string | undefined {
    const stem = path.join(namespace, qualifier === latestVersion ? name : `${name}@${qualifier}`);
    // A file that was put there just now is found at once.
    if (!this.#has(stem) && extensions.some((extension) => existsSync(path.join(this.#root, stem + extension))))
      this.#look(lookSync(this.#root));
    const found = extensions.find((extension) => this.#files.has(stem + extension));
    return found === undefined ? undefined : path.join(this.#root, stem + found);
  }

  #has(stem: string): boolean {
    return extensions.some((extension) => this.#files.has(stem + extension));
  }

  async #lookAgain(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      this.#look(await look(this.#root));
    } finally {
      this.#looking = false;
    }
  }

  #look(found: ReadonlyMap<string, string>): void {
    if (this.#take(found)) for (const changed of this.#listeners) changed();
  }

  #take(found: ReadonlyMap<string, string>): boolean {
    const hash = createHash('sha256');
    for (const name of [...found.keys()].sort()) hash.update(`${name}\0${found.get(name) ?? ''}\0`);
    const fingerprint = hash.digest('base64url');
    if (fingerprint === this.#fingerprint) return false;
    this.#fingerprint = fingerprint;
    this.#files = new Set(found.keys());
    return true;
  }
}

/** What changes when a file does. */
function stateOf({ size, mtimeNs, ino }: BigIntStats): string {
  return `${String(size)} ${String(mtimeNs)} ${String(ino)}`;
}

function isLookedAt(name: string): boolean {
  return !name.startsWith('.') && name !== 'node_modules';
}

/** Path below the root → its state. What cannot be read is not there. */
async function look(root: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const walk = async (below: string, depth: number): Promise<void> => {
    const names = await readdir(path.join(root, below)).catch(() => []);
    for (const name of names.filter(isLookedAt)) {
      if (found.size >= maxFiles) return;
      const file = path.join(below, name);
      const stats = await stat(path.join(root, file), { bigint: true }).catch(() => undefined);
      if (stats?.isDirectory() === true && depth < maxDepth) await walk(file, depth + 1);
      else if (stats?.isFile() === true && sources.has(path.extname(name))) found.set(file, stateOf(stats));
    }
  };
  await walk('', 0);
  return found;
}

/** The same, for the first request that needs a function. */
function lookSync(root: string): Map<string, string> {
  const found = new Map<string, string>();
  const walk = (below: string, depth: number): void => {
    for (const name of namesIn(path.join(root, below)).filter(isLookedAt)) {
      if (found.size >= maxFiles) return;
      const file = path.join(below, name);
      const stats = statSync(path.join(root, file), { bigint: true, throwIfNoEntry: false });
      if (stats?.isDirectory() === true && depth < maxDepth) walk(file, depth + 1);
      else if (stats?.isFile() === true && sources.has(path.extname(name))) found.set(file, stateOf(stats));
    }
  };
  walk('', 0);
  return found;
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
