/**
 * A return to an earlier state: which resources differ from how they were right after a revision, and whether all of them
 * together may be put back. Judged as the state that would then be, so that what belongs together comes back together.
 * Invariant: nothing here writes; what is planned is committed whole, or refused (ResourceWriter.rollback).
 */
import { setImmediate } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { checkResource } from '../resources/check.ts';
import { indexKeys, type PluginRegistry } from '../resources/plugin-check.ts';
import { checkReferences, stillInUse } from '../resources/references.ts';
import { parseKey } from '../resources/resource-key.ts';
import type { Json, JsonObject } from '../resources/resource.ts';
import { mapSecrets, mask } from '../resources/secret-fields.ts';
import { isAtOrUnder } from '../store/history.ts';
import type { Entry, Store } from '../store/store.ts';
import { AdminError } from './admin-error.ts';
import { parseStored, type ResourceIndex } from './resource-index.ts';

/** Resources between which others get their turn: to judge 10,000 takes a second. */
const pieceSize = 100;

/** One resource that is to change; `after`: what it becomes, undefined: it goes. */
export interface Restoration {
  readonly key: string;
  readonly before: Entry | undefined;
  readonly after: JsonObject | undefined;
}

export interface Surroundings {
  readonly store: Store;
  readonly index: ResourceIndex;
  readonly registry: PluginRegistry;
  /** Why the runners of plugins refuse a configuration; undefined: they do not. */
  runnerRefusal?(plugins: Json | undefined): Promise<string | undefined>;
}

/**
 * `only`: keys whose resources, and what stands under them, are looked at; empty: all. Nothing is checked yet.
 * Throws AdminError where the state is not known.
 */
export async function planRollback(
  { store, index, registry }: Surroundings,
  revision: number,
  only: readonly string[],
): Promise<Restoration[]> {
  if (store.history === undefined) throw new AdminError(405, 'no history is kept (gatewright.history.entries)');
  const { oldest, newest, values, unopened } = await store.history.since(revision);
  if (values === undefined) {
    const known = `the history knows the revisions from ${String(oldest)} to ${String(newest)}`;
    throw new AdminError(404, `there is no way back to revision ${String(revision)}: ${known}`);
  }
  for (const wanted of only) {
    const isKnown = [...values.keys(), ...index.keys(wanted)].some((key) => isAtOrUnder(key, wanted));
    if (!isKnown)
      throw new AdminError(404, `there is no resource ${wanted}, now or since revision ${String(revision)}`);
  }
  const plan: Restoration[] = [];
  for (const [index, key] of [...values.keys()].sort().entries()) {
    if (index % pieceSize === 0) await setImmediate();
    if (only.length > 0 && !only.some((wanted) => isAtOrUnder(key, wanted))) continue;
    const before = await store.get(key);
    const text = values.get(key);
    const after = text === undefined ? undefined : parseStored(text);
    if (text !== undefined && after === undefined) throw refusal(revision, key, 'what was stored then is no resource');
    if (isSame(before && parseStored(before.value), after)) continue;
    if (after !== undefined) {
      if (unopened?.has(key) === true)
        throw refusal(revision, key, 'a secret was encrypted by a key that is not in the keyring');
      mapSecrets(key, after, registry, 'all', (secret, path) => {
        if (secret === mask) throw refusal(revision, key, `${path} is a mask, not a secret`);
        return secret;
      });
    }
    plan.push({ key, before, after });
  }
  return plan;
}

/** Writes defaults into the resources of the plan. Throws AdminError 400, which names the first that may not be put back. */
export async function judgeRollback(
  surroundings: Surroundings,
  revision: number,
  plan: readonly Restoration[],
): Promise<void> {
  const { index, registry } = surroundings;
  const then = new Map(plan.map(({ key, after }) => [key, after]));
  const exists = (key: string): boolean => (then.has(key) ? then.get(key) !== undefined : index.has(key));
  const owners = new Map<string, string>();
  for (const [at, { key, after }] of plan.entries()) {
    if (at % pieceSize === 0) await setImmediate();
    const resource = parseKey(key);
    if (resource === undefined) throw refusal(revision, key, 'it is no key of a resource');
    const { kind, id, parent } = resource;
    if (after === undefined) {
      for (const [source, via] of index.referrers(key)) {
        const sourceKey = parseKey(source);
        if (sourceKey && !then.has(source)) throw refusal(revision, key, stillInUse(resource, sourceKey, via));
      }
      const owned = kind === 'consumers' ? [...index.keys(`${key}/credentials/`)] : [];
      for (const credential of owned)
        if (exists(credential)) throw refusal(revision, key, `its credential ${credential} would be left behind`);
      continue;
    }
    const invalid = checkResource(kind, after, registry, kind === 'secrets' ? parent : id);
    if (invalid !== undefined) throw refusal(revision, key, invalid);
    const unrunnable = await surroundings.runnerRefusal?.(after['plugins']);
    if (unrunnable !== undefined) throw refusal(revision, key, unrunnable);
    if (kind === 'credentials' && !exists(`consumers/${parent ?? ''}`))
      throw refusal(revision, key, 'consumer not found');
    const missing = await checkReferences(kind, after, exists);
    if (missing !== undefined) throw refusal(revision, key, missing);
    for (const { plugin, indexKey } of indexKeys(kind, after, registry)) {
      const now = index.owner(plugin, indexKey);
      const credential = `${plugin}\0${indexKey}`;
      const owner = owners.get(credential) ?? (now === undefined || then.has(now) ? undefined : now);
      owners.set(credential, key);
      const consumer = owner === undefined ? undefined : parseKey(owner);
      if (consumer)
        throw refusal(revision, key, `duplicate key found with consumer: ${consumer.parent ?? consumer.id}`);
    }
  }
}

function refusal(revision: number, key: string, reason: string): AdminError {
  return new AdminError(400, `cannot roll back to revision ${String(revision)}: ${key}: ${reason}`);
}

/** But for the time of the last write. */
function isSame(one: JsonObject | undefined, other: JsonObject | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  return isDeepStrictEqual({ ...one, update_time: 0 }, { ...other, update_time: 0 });
}
