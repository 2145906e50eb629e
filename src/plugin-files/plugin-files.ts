/**
 * The user's plugins in the control plane: which files there are, their last good version, what is wrong with the newest one.
 * Order of a change: checked in a thread of its own → loaded here → held against what is stored → given to every worker.
 * Invariant: a version that fails any of these reaches no worker, and the last good one stays.
 */
import { readdirSync, readFileSync } from 'node:fs';
import type { Logger } from '../observability/error-log.ts';
import type { AnyPlugin } from '../plugin/plugin.ts';
import type { PluginRegistry } from '../plugins/registry.ts';
import type { PluginBundle, PluginProblem } from './bundle.ts';
import { checkFiles, type CheckedFile } from './check-files.ts';
import { readDefinition } from './definition.ts';
import { findPluginFiles } from './find-files.ts';
import { guardPlugin } from './guarded-plugin.ts';
import { loadBundle } from './load-bundle.ts';
import { digestOf, type FilesRead } from './read-bundle.ts';
import { isUsed, refusedConfig, type StoredItem } from './stored-configs.ts';
import { directoriesOf, watchDirectories, type DirectoryWatch } from './watch-directories.ts';

export interface PluginFilesOptions {
  readonly dirs: readonly string[];
  /** The settings' `plugins`: undefined enables every file. */
  readonly listed: readonly string[] | undefined;
  readonly registry: ChangingRegistry;
  readonly log: Logger;
}

/** The enabled plugins, some of which come and go. */
export interface ChangingRegistry extends PluginRegistry {
  /** In the place of one of the same name, be it built in. */
  put(plugin: AnyPlugin): void;
  /** What `put` brought; a built-in one takes its place again. */
  remove(name: string): void;
  isBuiltIn(name: string): boolean;
}

/** What `PluginFiles` needs once the gateway stands. */
export interface PluginFilesTarget {
  /** Everything that is stored. */
  stored(): Promise<Iterable<StoredItem>>;
  /** Resolves when every worker uses them. */
  publish(change: PluginChange): Promise<void>;
}

export interface PluginChange {
  readonly bundles: readonly PluginBundle[];
  /** Names. */
  readonly removed: readonly string[];
}

/** As the control API shows it. */
export interface PluginFileStatus {
  readonly file: string;
  readonly name: string | undefined;
  /** failed: the newest version does not serve; missing: the file is gone, its last version serves what uses it. */
  readonly state: 'loaded' | 'failed' | 'missing' | 'not enabled';
  /** Whether some version of it serves. */
  readonly serving: boolean;
  /** Of the version that serves: when it was loaded, milliseconds since 1970, and the hash of its files. */
  readonly loaded_at: number | undefined;
  readonly hash: string | undefined;
  readonly problem: PluginProblem | undefined;
}

interface FileState {
  /** As of the last attempt. */
  read: FilesRead;
  good: { readonly name: string; readonly bundle: PluginBundle; readonly loadedAt: number } | undefined;
  problem: PluginProblem | undefined;
  missing: boolean;
  notEnabled: string | undefined;
}

export class PluginFiles {
  readonly #options: PluginFilesOptions;
  readonly #files = new Map<string, FileState>();
  #target: PluginFilesTarget | undefined;
  #watch: DirectoryWatch | undefined;
  /** One after the other. */
  #last: Promise<void> = Promise.resolve();

  constructor(options: PluginFilesOptions) {
    this.#options = options;
  }

  /** What a worker that starts is given. */
  get bundles(): readonly PluginBundle[] {
    return [...this.#files.values()].flatMap(({ good }) => (good === undefined ? [] : [good.bundle]));
  }

  get names(): ReadonlySet<string> {
    return new Set([...this.#files.values()].flatMap(({ good }) => (good === undefined ? [] : [good.name])));
  }

  /** Loads what there is. Rejects where a directory cannot be read. */
  async start(): Promise<void> {
    for (const dir of this.#options.dirs) requireDirectory(dir);
    await this.reload();
  }

  /** From now on changes are found, and go to the workers. */
  follow(target: PluginFilesTarget): void {
    this.#target = target;
    this.#watch = watchDirectories(
      () => void this.reload(),
      (error) => {
        this.#options.log.warn('plugin directory cannot be watched; SIGHUP reloads it', { error: String(error) });
      },
    );
    this.#watch.set(this.#directories());
  }

  close(): void {
    this.#watch?.close();
  }

  /** Looks at all files again; resolves when every worker uses what was found good. Never rejects. */
  reload(): Promise<void> {
    this.#last = this.#last.then(() =>
      this.#reload().catch((error: unknown) => {
        this.#options.log.error('plugin files could not be reloaded', { error: String(error) });
      }),
    );
    return this.#last;
  }

  status(): PluginFileStatus[] {
    return [...this.#files].map(([file, { good, problem, missing, notEnabled }]) => ({
      file,
      name: good?.name ?? notEnabled,
      state:
        problem !== undefined ? 'failed' : missing ? 'missing' : notEnabled !== undefined ? 'not enabled' : 'loaded',
      serving: good !== undefined,
      loaded_at: good?.loadedAt,
      hash: good?.bundle.hash,
      problem,
    }));
  }

  async #reload(): Promise<void> {
    const found = findPluginFiles(this.#options.dirs);
    const changed = found.filter((file) => this.#hasChanged(file));
    const stored = await this.#storedItems(changed, found);
    const removed = this.#removeMissing(found, stored);
    const bundles: PluginBundle[] = [];
    for (const checked of changed.length === 0 ? [] : await checkFiles(changed)) {
      const bundle = await this.#take(checked, stored, removed);
      if (bundle !== undefined) bundles.push(bundle);
    }
    this.#watch?.set(this.#directories());
    const gone = removed.filter((name) => !this.names.has(name));
    for (const name of gone) this.#options.registry.remove(name);
    if (bundles.length > 0 || gone.length > 0) await this.#target?.publish({ bundles, removed: gone });
  }

  async #storedItems(changed: readonly string[], found: readonly string[]): Promise<readonly StoredItem[]> {
    const gone = [...this.#files.keys()].some((file) => !found.includes(file));
    if (this.#target === undefined || (changed.length === 0 && !gone)) return [];
    return [...(await this.#target.stored())];
  }

  /** The names that nothing needs any more. */
  #removeMissing(found: readonly string[], stored: readonly StoredItem[]): string[] {
    const removed: string[] = [];
    for (const [file, state] of this.#files) {
      const before = state.missing;
      state.missing = !found.includes(file);
      if (!state.missing) continue;
      state.problem = undefined;
      if (state.good !== undefined && isUsed(state.good.name, stored)) {
        state.read.clear();
        if (!before)
          this.#options.log.warn('plugin file is gone, its last version serves what uses it until the gateway ends', {
            plugin: state.good.name,
            file,
          });
        continue;
      }
      if (state.good !== undefined) {
        removed.push(state.good.name);
        this.#options.log.info('plugin file is gone', { plugin: state.good.name, file });
      }
      this.#files.delete(file);
    }
    return removed;
  }

  /** The bundle for the workers; undefined where the file's newest version is not to be used. */
  async #take(
    checked: CheckedFile,
    stored: readonly StoredItem[],
    removed: string[],
  ): Promise<PluginBundle | undefined> {
    const { file, outcome } = checked;
    const state = this.#stateOf(file);
    state.read = checked.read ?? new Map([[file, digest(file)]]);
    state.missing = false;
    state.notEnabled = undefined;
    try {
      if ('problem' in outcome) throw new Refusal(outcome.problem);
      const { bundle, name } = outcome;
      this.#refuseName(file, name, outcome.replacesBuiltIn);
      const { registry, listed, log } = this.#options;
      const before = state.good;
      if (before !== undefined && before.name !== name && isUsed(before.name, stored))
        throw new Refusal({
          message: `its name is ${name} now, and what is stored uses ${before.name}`,
          position: undefined,
        });
      if (listed !== undefined && !listed.includes(name)) {
        state.notEnabled = name;
        log.warn("plugin file is not used: the settings' plugins do not list it", { plugin: name, file });
      } else {
        const plugin = await loadPlugin(bundle);
        const refused = refusedConfig(name, stored, {
          ...registry,
          get: (other) => (other === name ? plugin : registry.get(other)),
        });
        if (refused !== undefined && registry.get(name) !== undefined)
          throw new Refusal({ message: `what is stored does not fit it: ${refused}`, position: undefined });
        registry.put(plugin);
      }
      state.good = state.notEnabled === undefined ? { name, bundle, loadedAt: Date.now() } : undefined;
      state.problem = undefined;
      if (before !== undefined && before.name !== name) removed.push(before.name);
      if (state.good === undefined) return undefined;
      log.info(before === undefined ? 'plugin loaded' : 'plugin swapped', { plugin: name, file });
      return bundle;
    } catch (error) {
      state.problem = error instanceof Refusal ? error.problem : { message: String(error), position: undefined };
      this.#report(file, state);
      return undefined;
    }
  }

  #report(file: string, { problem, good }: FileState): void {
    const { position } = problem ?? {};
    this.#options.log.error('plugin file cannot be used', {
      file,
      ...(position === undefined ? {} : { at: `${position.file}:${position.line}`, source: position.source?.trim() }),
      reason: problem?.message,
      serving: good === undefined ? 'nothing' : 'its last good version',
    });
  }

  #refuseName(file: string, name: string, replaces: boolean): void {
    for (const [other, { good }] of this.#files)
      if (other !== file && good?.name === name)
        throw new Refusal({ message: `${other} is the plugin ${name} already`, position: undefined });
    if (!this.#options.registry.isBuiltIn(name)) return;
    if (!replaces)
      throw new Refusal({
        message: `${name} is a built-in plugin; a file that is to stand in its place says replacesBuiltIn: true`,
        position: undefined,
      });
    this.#options.log.warn('plugin file stands in the place of a built-in plugin', { plugin: name, file });
  }

  #stateOf(file: string): FileState {
    let state = this.#files.get(file);
    if (state === undefined) {
      state = { read: new Map(), good: undefined, problem: undefined, missing: false, notEnabled: undefined };
      this.#files.set(file, state);
    }
    return state;
  }

  #hasChanged(file: string): boolean {
    const state = this.#files.get(file);
    if (state === undefined || state.read.size === 0) return true;
    for (const [path, before] of state.read) if (digest(path) !== before) return true;
    return false;
  }

  #directories(): Set<string> {
    const read = [...this.#files.values()].flatMap((state) => [...state.read.keys()]);
    return directoriesOf(this.#options.dirs, [...this.#files.keys(), ...read]);
  }
}

class Refusal extends Error {
  readonly problem: PluginProblem;
  constructor(problem: PluginProblem) {
    super(problem.message);
    this.problem = problem;
  }
}

async function loadPlugin(bundle: PluginBundle): Promise<AnyPlugin> {
  return guardPlugin(readDefinition((await loadBundle(bundle))['default']));
}

function requireDirectory(dir: string): void {
  try {
    readdirSync(dir);
  } catch (error) {
    throw new Error(`plugin_dirs: ${dir} cannot be read: ${(error as NodeJS.ErrnoException).code ?? String(error)}`, {
      cause: error,
    });
  }
}

function digest(path: string): string | undefined {
  try {
    return digestOf(readFileSync(path));
  } catch {
    return undefined;
  }
}
