/** What is stored and uses a plugin, and whether a new version of the plugin would take it. */
import { checkPlugins, indexKeys, type PluginRegistry } from '../resources/plugin-check.ts';
import { parseKey } from '../resources/resource-key.ts';
import type { JsonObject } from '../resources/resource.ts';

export interface StoredItem {
  readonly key: string;
  readonly value: string;
}

/** Key → configuration of `name` there, of all that has one. */
export function* configsOf(
  name: string,
  items: Iterable<StoredItem>,
): Iterable<readonly [key: string, config: JsonObject]> {
  const quoted = JSON.stringify(name);
  for (const { key, value } of items) {
    if (!value.includes(quoted)) continue;
    const { plugins } = JSON.parse(value) as { plugins?: JsonObject };
    const config = plugins?.[name];
    if (typeof config === 'object' && config !== null && !Array.isArray(config)) yield [key, config];
  }
}

/** Something names it: in a configuration of its own, inside another plugin's, or as its metadata. */
export function isUsed(name: string, items: Iterable<StoredItem>): boolean {
  const quoted = `${JSON.stringify(name)}:`;
  for (const { key, value } of items) if (value.includes(quoted) || key === `plugin_metadata/${name}`) return true;
  return false;
}

/**
 * The first stored configuration that `registry` refuses for its plugin `name`, or by which it would find two consumers, with the
 * reason; undefined: none.
 */
export function refusedConfig(name: string, items: Iterable<StoredItem>, registry: PluginRegistry): string | undefined {
  const owners = new Map<string, string>();
  for (const [key, config] of configsOf(name, items)) {
    const kind = parseKey(key)?.kind;
    if (kind === undefined) continue;
    const refused = checkPlugins(kind, { [name]: config }, registry);
    if (refused !== undefined) return `${key}: ${refused}`;
    for (const { indexKey } of indexKeys(kind, { plugins: { [name]: config } }, registry)) {
      const owner = owners.get(indexKey);
      if (owner !== undefined) return `${key}: it would have the same key as ${owner}`;
      owners.set(indexKey, key);
    }
  }
  return undefined;
}
