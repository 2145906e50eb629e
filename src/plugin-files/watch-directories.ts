/** Tells that something changed in a set of directories; what, the caller finds out by content. */
import { existsSync, readdirSync, watch, type FSWatcher } from 'node:fs';
import { dirname, join, sep } from 'node:path';

export interface DirectoryWatch {
  /** Watches these, and no others. */
  set(directories: ReadonlySet<string>): void;
  close(): void;
}

/** An editor writes in several steps: told once they are over. */
const quietMs = 100;

export function watchDirectories(onChange: () => void, onError: (error: unknown) => void): DirectoryWatch {
  const watchers = new Map<string, FSWatcher>();
  let timer: NodeJS.Timeout | undefined;
  const changed = (): void => {
    clearTimeout(timer);
    timer = setTimeout(onChange, quietMs);
  };
  const drop = (directory: string): void => {
    watchers.get(directory)?.close();
    watchers.delete(directory);
  };
  return {
    set(directories) {
      for (const directory of [...watchers.keys()]) if (!directories.has(directory)) drop(directory);
      for (const directory of directories) {
        if (watchers.has(directory) || !existsSync(directory)) continue;
        try {
          const watcher = watch(directory, changed);
          watcher.on('error', (error) => {
            drop(directory);
            onError(error);
          });
          watchers.set(directory, watcher);
        } catch (error) {
          onError(error);
        }
      }
    },
    close() {
      clearTimeout(timer);
      for (const directory of [...watchers.keys()]) drop(directory);
    },
  };
}

/** The plugin directories, the folders in them that may be or become plugins, and where `files` are. Never node_modules. */
export function directoriesOf(dirs: readonly string[], files: readonly string[]): Set<string> {
  const folders = dirs.flatMap((dir) =>
    (existsSync(dir) ? readdirSync(dir, { withFileTypes: true }) : [])
      .filter((entry) => entry.isDirectory() && !/^[._]/.test(entry.name))
      .map(({ name }) => join(dir, name)),
  );
  const all = [...dirs, ...folders, ...files.map(dirname)];
  return new Set(all.filter((directory) => !directory.split(sep).includes('node_modules')));
}
