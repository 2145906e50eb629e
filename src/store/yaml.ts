/**
 * The standalone store: resources from one file that others write, `config_provider: yaml` (or `json`). Read-only.
 * Invariant: what is served is always the content of one whole good file; a change of the file is one change set that
 * holds only what differs, and a bad file changes nothing but is reported.
 */
import { readFile, stat } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import { applyCommit } from './apply-commit.ts';
import { EntryTable } from './entry-table.ts';
import { watchFile, type FileWatchOptions } from './file-watch.ts';
import { parseResourceFile, type ResourceFile, type Substitute } from './resource-file.ts';
import {
  StoreError,
  type ChangeSet,
  type CommitResult,
  type Entry,
  type Operation,
  type Page,
  type Store,
  type StoreHooks,
} from './store.ts';
import { Watchers } from './watchers.ts';

export interface YamlOptions extends Partial<FileWatchOptions> {
  readonly file: string;
  readonly substitute: Substitute;
}

/** Editors write in several steps; APISIX looks once a second. */
const DEFAULT_WATCH: FileWatchOptions = { debounceMs: 50, pollIntervalMs: 1000 };

/** Rejects with StoreError when the file cannot be read or used: there is no last good one yet. */
export async function openYamlStore(options: YamlOptions, hooks: StoreHooks): Promise<YamlStore> {
  const store = new YamlStore(options, hooks);
  await store.start();
  return store;
}

export class YamlStore implements Store {
  readonly writable = false;
  /** Belongs to whoever writes the file. */
  readonly history = undefined;
  readonly #file: string;
  readonly #substitute: Substitute;
  readonly #watchOptions: FileWatchOptions;
  readonly #hooks: StoreHooks;
  readonly #watchers: Watchers;
  readonly #table = new EntryTable();
  #revision = 0;
  /** Of the file's state when it was last read; undefined when it could not be found. */
  #signature: string | undefined;
  #warned: ReadonlySet<string> = new Set();
  /** Reads happen one after the other. */
  #reading: Promise<void> = Promise.resolve();
  #stopWatching: (() => void) | undefined;
  #closed = false;

  /** Use `openYamlStore`, which reads the file too. */
  constructor(options: YamlOptions, hooks: StoreHooks) {
    this.#file = options.file;
    this.#substitute = options.substitute;
    this.#watchOptions = { ...DEFAULT_WATCH, ...options };
    this.#hooks = hooks;
    this.#watchers = new Watchers(hooks);
  }

  /** Reads the file and begins to watch it. Once. */
  async start(): Promise<void> {
    this.#signature = await this.#fileSignature();
    this.#apply(await this.#read());
    this.#stopWatching = watchFile(
      this.#file,
      this.#watchOptions,
      () => void this.#refresh(false),
      (message) => this.#hooks.onWarning(message),
    );
  }

  /** Reads the file now, changed or not (SIGHUP). A bad file is reported to `onError`; resolves when that is done. */
  async reload(): Promise<void> {
    this.#assertOpen();
    await this.#refresh(true);
  }

  async get(key: string): Promise<Entry | undefined> {
    this.#assertOpen();
    return this.#table.get(key);
  }

  async list(prefix: string, page?: Page): Promise<{ revision: number; entries: Entry[] }> {
    this.#assertOpen();
    return { revision: this.#revision, entries: this.#table.list(prefix, page) };
  }

  async commit(): Promise<CommitResult> {
    this.#assertOpen();
    throw new StoreError(`the store is read-only: resources are read from ${this.#file}; change them there`);
  }

  watch(listener: (change: ChangeSet) => void): () => void {
    this.#assertOpen();
    return this.#watchers.add(listener, this.#revision);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#stopWatching?.();
    this.#watchers.clear();
    await this.#reading;
  }

  #refresh(evenIfSame: boolean): Promise<void> {
    this.#reading = this.#reading.then(async () => {
      let signature = await this.#fileSignature();
      if (this.#isClosed() || (!evenIfSame && signature === this.#signature)) return;
      for (;;) {
        this.#signature = signature;
        try {
          const content = await this.#read();
          if (!this.#isClosed()) this.#apply(content);
          return;
        } catch (error) {
          // Perhaps only half written, or between an editor's delete and its rename: a file at rest is judged.
          await setTimeout(this.#watchOptions.debounceMs);
          signature = await this.#fileSignature();
          if (this.#isClosed()) return;
          if (signature !== this.#signature) continue;
          const reason = error instanceof Error ? error.message : String(error);
          this.#hooks.onError(`${reason}; the resources read before stay in force`);
          return;
        }
      }
    });
    return this.#reading;
  }

  async #read(): Promise<ResourceFile> {
    let text;
    try {
      text = await readFile(this.#file, 'utf8');
    } catch (error) {
      throw new StoreError(`${this.#file} cannot be read: ${(error as Error).message}`, { cause: error });
    }
    return parseResourceFile(this.#file, text, this.#substitute);
  }

  /** Follows links: the file that a swapped link leads to has another inode. */
  async #fileSignature(): Promise<string | undefined> {
    try {
      const { dev, ino, size, mtimeNs, ctimeNs } = await stat(this.#file, { bigint: true });
      return [dev, ino, size, mtimeNs, ctimeNs].join(' ');
    } catch {
      return undefined;
    }
  }

  #apply({ values, warnings }: ResourceFile): void {
    for (const warning of warnings) if (!this.#warned.has(warning)) this.#hooks.onWarning(warning);
    this.#warned = new Set(warnings);

    const operations: Operation[] = [];
    for (const key of this.#table.keys()) if (!values.has(key)) operations.push({ type: 'delete', key });
    for (const [key, value] of values) {
      if (this.#table.get(key)?.value !== value) operations.push({ type: 'put', key, value });
    }
    const { changeSet } = applyCommit(this.#table, this.#revision, operations, []);
    if (changeSet === undefined) return;
    this.#revision = changeSet.revision;
    this.#watchers.publish(changeSet);
  }

  #isClosed(): boolean {
    return this.#closed;
  }

  #assertOpen(): void {
    if (this.#closed) throw new StoreError('the store is closed');
  }
}
