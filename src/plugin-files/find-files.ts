/** The files of the settings' `plugin_dirs` that are plugins, by their names alone. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const suffixes = ['.ts', '.mts', '.js', '.mjs'];

/** Absolute paths, sorted. Throws where a directory cannot be read. */
export function findPluginFiles(dirs: readonly string[]): string[] {
  return [...new Set(dirs.flatMap(filesIn))].sort();
}

function filesIn(dir: string): string[] {
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const { name } = entry;
    const path = join(dir, name);
    if (/^[._]/.test(name) || name === 'node_modules') return [];
    const suffix = suffixes.find((ending) => name.endsWith(ending));
    // A link to a file counts, as Kubernetes mounts them.
    if (suffix !== undefined) return /\.(?:test|spec|d)\.[^.]+$/.test(name) ? [] : [path];
    const index = suffixes.map((ending) => join(path, `index${ending}`)).find((file) => existsSync(file));
    return index === undefined ? [] : [index];
  });
}
