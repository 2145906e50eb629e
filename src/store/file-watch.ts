/**
 * Says when a file may have changed: written in place, replaced by rename, or reached through a symbolic link that was
 * swapped (Kubernetes mounts a ConfigMap so). Watches the file's directory, since a watch of the file itself ends with
 * the file that a rename replaces; and polls, since changes behind a link, on network mounts and past the system's limit
 * of watches are not told.
 */
import { watch, type FSWatcher } from 'node:fs';
import path from 'node:path';

export interface FileWatchOptions {
  /** Quiet time after an event, so that one save is one call. */
  readonly debounceMs: number;
  readonly pollIntervalMs: number;
}

/**
 * Calls `mayHaveChanged` without saying whether it did; the callback looks. `onWarning`: only polling is left.
 * Returns a function that stops it. Keeps no process alive.
 */
export function watchFile(
  file: string,
  options: FileWatchOptions,
  mayHaveChanged: () => void,
  onWarning: (message: string) => void,
): () => void {
  const directory = path.dirname(path.resolve(file));
  let debounce: NodeJS.Timeout | undefined;
  let watcher: FSWatcher | undefined;
  const poll = setInterval(mayHaveChanged, options.pollIntervalMs).unref();
  const fail = (error: unknown): void => {
    watcher?.close();
    const reason = error instanceof Error ? error.message : String(error);
    onWarning(
      `${directory} cannot be watched (${reason}); ${file} is checked every ${options.pollIntervalMs} ms instead`,
    );
  };
  try {
    watcher = watch(directory, { persistent: false }, () => {
      clearTimeout(debounce);
      debounce = setTimeout(mayHaveChanged, options.debounceMs).unref();
    }).on('error', fail);
  } catch (error) {
    fail(error);
  }
  return () => {
    clearInterval(poll);
    clearTimeout(debounce);
    watcher?.close();
  };
}
