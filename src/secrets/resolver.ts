/**
 * Between the store and the workers: resources that refer to secrets leave with the values in them, and leave again when a
 * value changed. A value that its field does not allow (a key that is too short, a PEM that is none) counts as unresolved.
 * What is unresolved leaves as the reference itself, which a worker refuses (snapshot/compile-plugins.ts, credentials.ts).
 */
import { checkResource } from '../resources/check.ts';
import type { PluginRegistry } from '../resources/plugin-check.ts';
import { parseKey } from '../resources/resource-key.ts';
import type { JsonObject } from '../resources/resource.ts';
import { mayHoldReferences, referencesIn, resolveResource } from './resolve-resource.ts';
import type { Secrets, SecretsLog } from './secrets.ts';

/** As the workers get it: `value` undefined where the resource is gone. */
export interface ResourceChange {
  readonly key: string;
  readonly value: string | undefined;
  /** The item cannot be used, so its secrets are not looked for. */
  readonly problem?: string;
}

export class SecretResolver {
  readonly #secrets: Secrets;
  readonly #registry: PluginRegistry;
  readonly #log: SecretsLog;
  /** Resources that hold references, as they are stored. */
  readonly #referring = new Map<string, string>();

  constructor(secrets: Secrets, registry: PluginRegistry, log: SecretsLog) {
    this.#secrets = secrets;
    this.#registry = registry;
    this.#log = log;
  }

  /** The changes, resolved; a promise only where a secret must be read first. Secret managers among them count at once. */
  resolve(changes: readonly ResourceChange[]): ResourceChange[] | Promise<ResourceChange[]> {
    for (const { key, value, problem } of changes) this.#note(key, problem === undefined ? value : undefined);
    const waiting = this.#secrets.ready(changes.map(({ key }) => key));
    const finish = (): ResourceChange[] =>
      changes.map((change) => (this.#referring.get(change.key) === change.value ? this.#resolveOne(change) : change));
    return waiting === undefined ? finish() : waiting.then(finish);
  }

  /** The resources of these keys, as of now; those that no longer refer to anything are left out. */
  again(keys: Iterable<string>): ResourceChange[] {
    const changes: ResourceChange[] = [];
    for (const key of keys) {
      const value = this.#referring.get(key);
      if (value !== undefined) changes.push(this.#resolveOne({ key, value }));
    }
    return changes;
  }

  #note(key: string, text: string | undefined): void {
    if (key.startsWith('secrets/')) {
      const config = text === undefined ? undefined : (JSON.parse(text) as JsonObject);
      this.#secrets.setManager(key.slice('secrets/'.length), config);
      return;
    }
    const references =
      text !== undefined && mayHoldReferences(text) ? referencesIn(key, JSON.parse(text) as JsonObject) : [];
    if (text !== undefined && references.length > 0) this.#referring.set(key, text);
    else if (!this.#referring.delete(key)) return;
    this.#secrets.use(key, references);
  }

  #resolveOne({ key, value: text }: ResourceChange): ResourceChange {
    if (text === undefined) return { key, value: text };
    const stored = JSON.parse(text) as JsonObject;
    let resolved = 0;
    const value = resolveResource(key, stored, (reference) => {
      const found = this.#secrets.value(reference);
      if (found !== undefined) resolved++;
      return found;
    });
    if (resolved === 0) return { key, value: text };
    const parsed = parseKey(key);
    const name = parsed?.kind === 'secrets' ? parsed.parent : parsed?.id;
    const problem = parsed === undefined ? undefined : checkResource(parsed.kind, value, this.#registry, name);
    if (problem === undefined) return { key, value: JSON.stringify(value) };
    // The message may repeat the value.
    this.#log.error('a secret has a value that its field does not allow: what needs it refuses requests', { key });
    return { key, value: text };
  }
}
