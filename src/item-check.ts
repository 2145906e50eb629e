/**
 * Resources that did not come through the Admin API (a file): each is checked as the Admin API would, and one that cannot
 * be used is told of, and its last good value stays; where it has none, what must not pass without it is refused
 * (refusing-item.ts). Beside the feed, off the request path.
 * Invariant: of what is given out, no two consumers have the same credential.
 */
import type { Logger } from './observability/error-log.ts';
import { refusingItem } from './refusing-item.ts';
import { checkResource } from './resources/check.ts';
import {
  changedPlugins,
  credentialPlugins,
  type CredentialPlugins,
  indexKeys,
  type PluginRegistry,
} from './resources/plugin-check.ts';
import { checkReferences } from './resources/references.ts';
import { parseKey } from './resources/resource-key.ts';
import type { JsonObject, ResourceKind } from './resources/resource.ts';
import { covers, type Ssl } from './resources/ssl.ts';
import type { Change } from './store/store.ts';

interface Good {
  /** As it stands in the file: read again, it is the same to the last random secret, for every worker. */
  readonly source: string;
  /** With its defaults. */
  readonly text: string;
  /** `plugin\0indexKey` of each credential. */
  readonly credentials: readonly string[];
}

/** What to serve for one key. */
export interface Accepted {
  /** undefined: nothing. */
  readonly value: string | undefined;
  /** Why the item cannot be used: `value` says for which requests it was meant, and they are refused. */
  readonly problem?: string;
}

export class ItemCheck {
  readonly #registry: PluginRegistry;
  readonly #log: Logger;
  readonly #good = new Map<string, Good>();
  readonly #owners = new Map<string, string>();
  /** What made the index keys. */
  #keyedBy: CredentialPlugins;
  /** They stand in the file as they were refused; what another item held on to may be free after the next change. */
  readonly #refused = new Map<string, Change>();
  /** What was refused since `forgetProblems`, a sentence each. */
  #problems: string[] = [];

  constructor(registry: PluginRegistry, log: Logger) {
    this.#registry = registry;
    this.#log = log;
    this.#keyedBy = credentialPlugins(registry);
  }

  get problems(): readonly string[] {
    return this.#problems;
  }

  forgetProblems(): void {
    this.#problems = [];
  }

  /** Key → what to serve. A key that was refused, never was good and that nothing has to stand for is left out. */
  accept(changes: readonly Change[]): Map<string, Accepted> {
    this.#rekey();
    const all = new Map([...this.#refused, ...changes.map((change) => [change.key, change] as const)]);
    this.#refused.clear();
    // One change of a file may hand a credential from one consumer to another.
    for (const key of all.keys()) this.#release(key);
    const accepted = new Map<string, Accepted>();
    for (const [key, change] of all) {
      const before = this.#good.has(key);
      if (change.entry === undefined) {
        this.#good.delete(key);
        accepted.set(key, { value: undefined });
        continue;
      }
      const judged = this.#judge(change, change.entry.value);
      if ('text' in judged) accepted.set(key, { value: judged.text });
      else if (judged.stand !== undefined) accepted.set(key, { value: judged.stand, problem: judged.problem });
      else if (before) accepted.set(key, { value: undefined });
    }
    return accepted;
  }

  /** What refers to something that is not there, a sentence each. Requests that need it are refused. */
  async missingReferences(): Promise<string[]> {
    const sentences: string[] = [];
    for (const [key, { text }] of this.#good) {
      const kind = parseKey(key)?.kind;
      if (kind === undefined) continue;
      const missing = await checkReferences(kind, JSON.parse(text) as JsonObject, (target) => this.#good.has(target));
      if (missing !== undefined) sentences.push(`${key}: ${missing}`);
    }
    return sentences;
  }

  #judge(change: Change, text: string): Good | { readonly problem: string; readonly stand: string | undefined } {
    const { key } = change;
    const known = this.#good.get(key);
    if (known?.source === text && this.#takenBy(known.credentials) === undefined) return this.#claim(key, known);
    const resource = parseKey(key);
    const value = JSON.parse(text) as JsonObject;
    let problem = resource === undefined ? 'no such kind of resource' : undefined;
    let credentials: string[] = [];
    if (resource !== undefined) {
      const { kind, id, parent } = resource;
      problem = checkResource(kind, value, this.#registry, kind === 'secrets' ? parent : id);
      if (problem === undefined) {
        credentials = this.#credentialsOf(kind, value);
        problem = this.#takenBy(credentials);
      }
    }
    if (problem === undefined) return this.#claim(key, { source: text, text: JSON.stringify(value), credentials });
    this.#refused.set(key, change);
    this.#problems.push(`${key}: ${problem}`);
    const stays =
      known !== undefined &&
      this.#takenBy(known.credentials) === undefined &&
      (resource?.kind !== 'ssls' || covers(JSON.parse(known.text) as Ssl, value));
    if (stays) {
      this.#log.error('resource refused, its last good value stays', { key, problem });
      return this.#claim(key, known);
    }
    this.#good.delete(key);
    const stand =
      resource === undefined ? undefined : refusingItem(resource.kind, JSON.parse(text) as JsonObject, this.#registry);
    const effect = stand === undefined ? 'resource refused' : 'resource refused, and with it the requests that need it';
    this.#log.error(effect, { key, problem });
    return { problem, stand };
  }

  /** A plugin whose file was swapped may find the same credentials by other keys. */
  #rekey(): void {
    const now = credentialPlugins(this.#registry);
    if (changedPlugins(this.#keyedBy, now).length === 0) return;
    this.#keyedBy = now;
    this.#owners.clear();
    for (const [key, good] of this.#good) {
      const kind = parseKey(key)?.kind;
      if (kind !== 'consumers' && kind !== 'credentials') continue;
      this.#claim(key, { ...good, credentials: this.#credentialsOf(kind, JSON.parse(good.text) as JsonObject) });
    }
  }

  #credentialsOf(kind: ResourceKind, value: JsonObject): string[] {
    return indexKeys(kind, value, this.#registry).map(({ plugin, indexKey }) => `${plugin}\0${indexKey}`);
  }

  #takenBy(credentials: readonly string[]): string | undefined {
    for (const credential of credentials) {
      const owner = this.#owners.get(credential);
      const consumer = owner === undefined ? undefined : parseKey(owner);
      if (consumer !== undefined) return `duplicate key found with consumer: ${consumer.parent ?? consumer.id}`;
    }
    return undefined;
  }

  #claim(key: string, good: Good): Good {
    for (const credential of good.credentials) this.#owners.set(credential, key);
    this.#good.set(key, good);
    return good;
  }

  #release(key: string): void {
    for (const credential of this.#good.get(key)?.credentials ?? [])
      if (this.#owners.get(credential) === key) this.#owners.delete(credential);
  }
}
