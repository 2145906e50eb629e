/**
 * Every change that the Admin API makes: judged, committed, and published, in that order. Writes are judged and
 * committed one at a time, so that two cannot both pass a check that only one may; they wait for the workers together.
 * A call returns when the change is durable and every worker serves it.
 */
import { setTimes, touch } from './timestamps.ts';
import { AdminError, KeyNotFound } from './admin-error.ts';
import { shownKey } from './answer.ts';
import { createMutex, type Mutex } from './mutex.ts';
import { restoreSecrets } from './masked-secrets.ts';
import { mergePatch, patchPath } from './patch.ts';
import { parseStored, type ResourceIndex } from './resource-index.ts';
import { requireMatch, requireRevision, type IfMatch } from './if-match.ts';
import { checkResource } from '../resources/check.ts';
import { identify, refuseOwnId } from '../resources/identity.ts';
import { indexKeys, type PluginRegistry } from '../resources/plugin-check.ts';
import { checkReferences, stillInUse } from '../resources/references.ts';
import { formatKey, parseKey, type ResourceKey } from '../resources/resource-key.ts';
import type { Json, JsonObject, ResourceKind } from '../resources/resource.ts';
import { kindNames } from '../resources/schemas.ts';
import { judgeRollback, planRollback, type Restoration } from './rollback.ts';
import type { CommitResult, Entry, Operation, Origin, Precondition, Store } from '../store/store.ts';

export interface WriterDeps {
  readonly store: Store;
  readonly registry: PluginRegistry;
  readonly index: ResourceIndex;
  /** Resolves when every worker serves `revision`; rejects with the reason why one cannot. */
  publish(revision: number): Promise<void>;
  /** Why a plugin runner refuses what a resource's `plugins` ask of it; undefined: it takes it, or cannot be asked. */
  runnerRefusal?(plugins: Json | undefined): Promise<string | undefined>;
}

/** Where a request points: `id` is undefined where its path ends at the kind. */
export interface Target {
  readonly kind: ResourceKind;
  readonly id: string | undefined;
  /** credentials: the consumer's name; secrets: the manager. */
  readonly parent: string | undefined;
}

export interface Written {
  readonly created: boolean;
  readonly entry: Entry;
}

export interface RolledBack {
  /** Of the new commit; where nothing was changed, the store's. */
  readonly revision: number;
  readonly changes: readonly Restoration[];
}

/** Another control plane changed the key between our reading and our commit: read again, this often. */
const attempts = 4;

export class ResourceWriter {
  readonly #deps: WriterDeps;
  readonly #serialise: Mutex = createMutex();

  constructor(deps: WriterDeps) {
    this.#deps = deps;
  }

  /** Throws AdminError; so do all of these. */
  async put(target: Target, body: JsonObject | undefined, ifMatch: IfMatch, origin: Origin): Promise<Written> {
    if (body === undefined) throw new AdminError(400, 'missing configurations');
    return this.#write(async () => {
      const identified = identify(target.kind, target.id, target.parent, body);
      if ('error' in identified) throw new AdminError(400, identified.error);
      const { key } = identified;
      return this.#replace(
        key,
        ifMatch,
        (previous) => {
          const value = structuredClone(body);
          this.#restore(key, value, previous);
          this.#check(key, value);
          return value;
        },
        origin,
      );
    });
  }

  /** Makes the id itself. */
  async post(target: Target, body: JsonObject | undefined, origin: Origin): Promise<Written> {
    if (body === undefined) throw new AdminError(400, 'missing configurations');
    return this.#write(async () => {
      const refused = refuseOwnId(target.kind, target.id, body);
      if (refused !== undefined) throw new AdminError(400, refused);
      const key: ResourceKey = { kind: target.kind, id: this.#freeId(target.kind), parent: target.parent };
      body['id'] = key.id;
      this.#restore(key, body, undefined);
      this.#check(key, body);
      return this.#replace(key, undefined, () => body, origin);
    });
  }

  /** `subPath` undefined: `patch` is merged into the whole; otherwise it becomes the value there. */
  async patch(
    target: Target,
    patch: Json | undefined,
    subPath: string | undefined,
    ifMatch: IfMatch,
    origin: Origin,
  ): Promise<Written> {
    const { kind, id, parent } = target;
    if (id === undefined) throw new AdminError(400, `missing ${kindNames[kind]} id`);
    if (patch === undefined) throw new AdminError(400, 'missing new configuration');
    const whole = subPath === undefined;
    if (whole && (typeof patch !== 'object' || patch === null)) throw new AdminError(400, 'invalid configuration');
    const key: ResourceKey = { kind, id, parent };
    return this.#write(() =>
      this.#replace(
        key,
        ifMatch,
        (previous) => {
          const stored = previous && parseStored(previous.value);
          if (!stored) throw new KeyNotFound();
          const value = (whole ? mergePatch(stored, patch) : patchPath(stored, subPath, patch)) as JsonObject;
          const identified = identify(kind, id, parent, value);
          if ('error' in identified) throw new AdminError(400, identified.error);
          this.#restore(key, value, previous);
          this.#check(key, value);
          return value;
        },
        origin,
      ),
    );
  }

  /** `force`: also while others point at it. A consumer goes with its credentials. */
  async delete(target: Target, force: boolean, ifMatch: IfMatch, origin: Origin): Promise<string> {
    const { kind, id, parent } = target;
    if (id === undefined) throw new AdminError(400, `missing ${kindNames[kind]} id`);
    const key = formatKey({ kind, id, parent });
    const { store, index } = this.#deps;
    const revision = await this.#serialise(async () => {
      for (let attempt = 0; attempt < attempts; attempt++) {
        const entry = await store.get(key);
        if (!entry) throw new KeyNotFound();
        requireMatch(ifMatch, shownKey(key), entry);
        if (!force) this.#refuseUsed({ kind, id, parent });
        const owned = kind === 'consumers' ? [...index.keys(`${key}/credentials/`)] : [];
        const operations = [key, ...owned].map((gone): Operation => ({ type: 'delete', key: gone }));
        const result = await this.#commit(operations, [{ key, modifiedIndex: entry.modifiedIndex }], origin);
        if (result.ok) return result.revision;
      }
      throw new AdminError(503, `too many concurrent changes of [${shownKey(key)}]`);
    });
    await this.#publish(revision);
    return key;
  }

  /**
   * Brings resources back to how they were right after `revision`: all that differ, or those at and under the keys `only`; in
   * one commit, or not at all. `ifMatch` names the store's revision. `dryRun`: only judges.
   */
  async rollback(
    revision: number,
    { only, dryRun, ifMatch }: { only: readonly string[]; dryRun: boolean; ifMatch: IfMatch },
    origin: Origin,
  ): Promise<RolledBack> {
    const { index } = this.#deps;
    const done = await this.#serialise(async (): Promise<RolledBack> => {
      for (let attempt = 0; attempt < attempts; attempt++) {
        requireRevision(ifMatch, index.revision);
        const plan = await planRollback(this.#deps, revision, only);
        await index.rekey(this.#deps.store);
        await judgeRollback(this.#deps, revision, plan);
        for (const { after } of plan) if (after !== undefined) touch(after);
        if (dryRun || plan.length === 0) return { revision: index.revision, changes: plan };
        const operations = plan.map(({ key, after }): Operation =>
          after === undefined ? { type: 'delete', key } : { type: 'put', key, value: JSON.stringify(after) },
        );
        const preconditions = plan.map(({ key, before }) => ({ key, modifiedIndex: before?.modifiedIndex ?? 0 }));
        const result = await this.#commit(operations, preconditions, origin);
        if (result.ok) return { revision: result.revision, changes: plan };
      }
      throw new AdminError(503, 'too many concurrent changes of what is to be rolled back');
    });
    if (!dryRun && done.changes.length > 0) await this.#publish(done.revision);
    return done;
  }

  async #write(task: () => Promise<Written & { revision: number }>): Promise<Written> {
    const { revision, ...written } = await this.#serialise(task);
    await this.#publish(revision);
    return written;
  }

  /** `next` gives the value to store, already checked, from the entry as it is. */
  async #replace(
    key: ResourceKey,
    ifMatch: IfMatch,
    next: (previous: Entry | undefined) => JsonObject,
    origin: Origin,
  ): Promise<Written & { revision: number }> {
    const text = formatKey(key);
    for (let attempt = 0; attempt < attempts; attempt++) {
      const previous = await this.#deps.store.get(text);
      requireMatch(ifMatch, shownKey(text), previous);
      const value = next(previous);
      await this.#checkSurroundings(key, value);
      if (key.kind !== 'plugin_metadata') setTimes(value, previous && parseStored(previous.value));
      const operation: Operation = { type: 'put', key: text, value: JSON.stringify(value) };
      const modifiedIndex = previous?.modifiedIndex ?? 0;
      const result = await this.#commit([operation], [{ key: text, modifiedIndex }], origin);
      const entry = result.ok ? result.entries[0] : undefined;
      if (result.ok && entry) return { created: previous === undefined, entry, revision: result.revision };
    }
    throw new AdminError(503, `too many concurrent changes of [${shownKey(text)}]`);
  }

  /** Masks in what is written stand for what is stored. */
  #restore(key: ResourceKey, value: JsonObject, previous: Entry | undefined): void {
    restoreSecrets(formatKey(key), value, previous && parseStored(previous.value), this.#deps.registry);
  }

  #check(key: ResourceKey, value: JsonObject): void {
    const name = key.kind === 'secrets' ? key.parent : key.id;
    const error = checkResource(key.kind, value, this.#deps.registry, name);
    if (error !== undefined) throw new AdminError(400, error);
  }

  /** What depends on other resources; must run where nothing else can be committed. */
  async #checkSurroundings(key: ResourceKey, value: JsonObject): Promise<void> {
    const { index, registry, store } = this.#deps;
    if (key.kind === 'credentials' && !index.has(`consumers/${key.parent ?? ''}`)) {
      throw new AdminError(404, 'consumer not found');
    }
    const missing = await checkReferences(key.kind, value, (target) => index.has(target));
    if (missing !== undefined) throw new AdminError(400, missing);
    const refused = await this.#deps.runnerRefusal?.(value['plugins']);
    if (refused !== undefined) throw new AdminError(400, refused);
    const own = formatKey(key);
    if (key.kind === 'consumers' || key.kind === 'credentials') await index.rekey(store);
    for (const { plugin, indexKey } of indexKeys(key.kind, value, registry)) {
      const owner = index.owner(plugin, indexKey);
      if (owner === undefined || owner === own) continue;
      const consumer = parseKey(owner);
      const name = consumer?.parent ?? consumer?.id ?? '';
      throw new AdminError(400, `duplicate key found with consumer: ${name}`);
    }
  }

  #refuseUsed(key: ResourceKey): void {
    for (const [sourceKey, via] of this.#deps.index.referrers(formatKey(key))) {
      const source = parseKey(sourceKey);
      if (source) throw new AdminError(400, stillInUse(key, source, via));
    }
  }

  async #commit(
    operations: readonly Operation[],
    preconditions: readonly Precondition[],
    origin: Origin,
  ): Promise<CommitResult> {
    const { store, index } = this.#deps;
    if (!store.writable) throw new AdminError(405, 'the configuration comes from a file: change it there');
    const result = await store.commit(operations, preconditions, origin);
    if (result.ok) {
      const written = new Map(result.entries.map((entry) => [entry.key, entry]));
      index.apply(
        result.revision,
        operations.map((operation) => ({ key: operation.key, entry: written.get(operation.key) })),
      );
    }
    return result;
  }

  async #publish(revision: number): Promise<void> {
    try {
      await this.#deps.publish(revision);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new AdminError(
        500,
        `the change is stored (revision ${String(revision)}), but not every worker serves it: ${reason}`,
      );
    }
  }

  /** Like APISIX: the number of the change, in 20 digits, so that ids sort by creation. */
  #freeId(kind: ResourceKind): string {
    for (let number = this.#deps.index.revision + 1; ; number++) {
      const id = String(number).padStart(20, '0');
      if (!this.#deps.index.has(`${kind}/${id}`)) return id;
    }
  }
}
