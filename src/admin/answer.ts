/** How a stored entry is shown: APISIX v3's `{key, value, createdIndex, modifiedIndex}`, its secrets masked. */
import type { PluginRegistry } from '../resources/plugin-check.ts';
import type { JsonObject } from '../resources/resource.ts';
import type { Entry } from '../store/store.ts';
import { maskSecrets } from './masked-secrets.ts';
import { parseStored } from './resource-index.ts';

export interface ShownEntry {
  readonly key: string;
  readonly value: JsonObject;
  readonly createdIndex: number;
  readonly modifiedIndex: number;
}

export const adminPrefix = '/apisix/admin';

/** APISIX shows keys with its etcd prefix. */
export function shownKey(key: string): string {
  return `/apisix/${key}`;
}

/** `registry` undefined: with its secrets. */
export function showEntry(entry: Entry, registry: PluginRegistry | undefined): ShownEntry {
  const value = parseStored(entry.value) ?? {};
  if (registry !== undefined) maskSecrets(entry.key, value, registry);
  const { createdIndex, modifiedIndex } = entry;
  return { key: shownKey(entry.key), value, createdIndex, modifiedIndex };
}

/** The tag of RFC 9110 §8.8.3 for a version of a resource. */
export function entityTag(entry: Entry): string {
  return `"${String(entry.modifiedIndex)}"`;
}
