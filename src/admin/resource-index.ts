/**
 * What the control plane must know of every resource to judge a write without reading the store: which keys exist, who
 * points at whom, and which consumer owns which credential. Loaded once, then kept by the store's watch; a write also
 * applies its own commit at once, so that the next write sees it. Applying a change twice changes nothing.
 */
import {
  changedPlugins,
  credentialPlugins,
  type CredentialPlugins,
  indexKeys,
  type PluginRegistry,
} from '../resources/plugin-check.ts';
import { referencesOf, type Reference } from '../resources/references.ts';
import { parseKey } from '../resources/resource-key.ts';
import type { JsonObject } from '../resources/resource.ts';
import { inPages } from '../store/in-pages.ts';
import type { Change, ChangeSet, Store } from '../store/store.ts';

interface Indexed {
  readonly modifiedIndex: number;
  readonly references: readonly Reference[];
  /** Plugin and index key of each credential that it holds, in turns. */
  readonly credentials: readonly string[];
}

/** Entries that are read from the store at once. */
const pageSize = 1000;
/** What most resources have: one list for all of them. */
const none: readonly never[] = [];

export class ResourceIndex {
  readonly #registry: PluginRegistry;
  readonly #resources = new Map<string, Indexed>();
  /** Target key → source key → how it points there. */
  readonly #referrers = new Map<string, Map<string, Reference['via']>>();
  /** Plugin → index key → whose it is. */
  readonly #owners = new Map<string, Map<string, string>>();
  /** What made the index keys. */
  #keyedBy: CredentialPlugins;
  #revision = 0;

  constructor(registry: PluginRegistry) {
    this.#registry = registry;
    this.#keyedBy = credentialPlugins(registry);
  }

  /** Reads the whole store and follows it. Returns a function that stops following. */
  async follow(store: Store): Promise<() => void> {
    let early: ChangeSet[] | undefined = [];
    const stop = store.watch((changes) => {
      if (early) early.push(changes);
      else this.apply(changes.revision, changes.changes);
    });
    try {
      let first = 0;
      for await (const { revision, entries } of inPages(store, '', pageSize)) {
        first ||= revision;
        this.apply(
          first,
          entries.map((entry) => ({ key: entry.key, entry })),
        );
      }
      for (const changes of early) if (changes.revision > first) this.apply(changes.revision, changes.changes);
      early = undefined;
    } catch (error) {
      stop();
      throw error;
    }
    return stop;
  }

  /** Revision of the last commit that was applied. */
  get revision(): number {
    return this.#revision;
  }
  has(key: string): boolean {
    return this.#resources.has(key);
  }
  /** Keys that start with `prefix`. */
  *keys(prefix: string): Iterable<string> {
    for (const key of this.#resources.keys()) if (key.startsWith(prefix)) yield key;
  }
  referrers(target: string): Iterable<readonly [source: string, via: Reference['via']]> {
    return this.#referrers.get(target) ?? [];
  }
  /** Key of the consumer or credential that is found by `indexKey`. */
  owner(plugin: string, indexKey: string): string | undefined {
    return this.#owners.get(plugin)?.get(indexKey);
  }

  /**
   * Makes the keys of stored credentials anew where a plugin's file was swapped, or came late: its new version may find them by others.
   * To be awaited before `owner` is asked; costs nothing where no such plugin has changed.
   */
  async rekey(store: Store): Promise<void> {
    const now = credentialPlugins(this.#registry);
    const changed = changedPlugins(this.#keyedBy, now);
    if (changed.length === 0) return;
    const quoted = changed.map((name) => JSON.stringify(name));
    for await (const { entries } of inPages(store, 'consumers/', pageSize)) {
      for (const { key, value, modifiedIndex } of entries) {
        const known = this.#resources.get(key);
        // Another revision of it has the keys of today's plugins, or will have when it is applied.
        if (known?.modifiedIndex !== modifiedIndex || !quoted.some((name) => value.includes(name))) continue;
        this.#remove(key, known);
        this.#add(key, value, modifiedIndex);
      }
    }
    this.#keyedBy = now;
  }

  apply(revision: number, changes: readonly Change[]): void {
    for (const { key, entry } of changes) {
      const known = this.#resources.get(key);
      const modifiedIndex = entry?.modifiedIndex ?? revision;
      if (known && known.modifiedIndex >= modifiedIndex) continue;
      if (known) this.#remove(key, known);
      if (entry) this.#add(key, entry.value, modifiedIndex);
    }
    this.#revision = Math.max(this.#revision, revision);
  }

  #add(key: string, text: string, modifiedIndex: number): void {
    const kind = parseKey(key)?.kind;
    const value = parseStored(text);
    // What someone else wrote into the store may be anything: it exists, and points nowhere.
    const known = kind !== undefined && value !== undefined;
    const found = known ? referencesOf(kind, value) : none;
    const references = found.length === 0 ? none : found;
    const credentials = known
      ? indexKeys(kind, value, this.#registry).flatMap(({ plugin, indexKey }) => [plugin, indexKey])
      : none;
    this.#resources.set(key, { modifiedIndex, references, credentials });
    for (const { target, via } of references) {
      let sources = this.#referrers.get(target);
      if (!sources) this.#referrers.set(target, (sources = new Map<string, Reference['via']>()));
      sources.set(key, via);
    }
    for (const [plugin, indexKey] of pairsOf(credentials)) {
      let owners = this.#owners.get(plugin);
      if (!owners) this.#owners.set(plugin, (owners = new Map<string, string>()));
      owners.set(indexKey, key);
    }
  }

  #remove(key: string, known: Indexed): void {
    this.#resources.delete(key);
    for (const { target } of known.references) {
      const sources = this.#referrers.get(target);
      sources?.delete(key);
      if (sources?.size === 0) this.#referrers.delete(target);
    }
    for (const [plugin, indexKey] of pairsOf(known.credentials)) {
      const owners = this.#owners.get(plugin);
      if (owners?.get(indexKey) === key) owners.delete(indexKey);
    }
  }
}

function* pairsOf(list: readonly string[]): Iterable<readonly [string, string]> {
  for (let i = 1; i < list.length; i += 2) yield [list[i - 1] ?? '', list[i] ?? ''];
}

/** The resource of a stored entry; undefined where the text is none. */
export function parseStored(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;
  } catch {
    return undefined;
  }
}
