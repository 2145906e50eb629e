/**
 * Where a stored resource holds secrets: what plugins' schemas name in `encrypt_fields` (APISIX's dotted paths), private keys
 * of certificates, and what a secret manager is reached with. One walk for encryption, for masking and for taking a mask back.
 */
import type { PluginRegistry } from './plugin-check.ts';
import { parseKey, type ResourceKey } from './resource-key.ts';
import type { Json, JsonObject, JsonSchema } from './resource.ts';
import { secretSchemas } from './secret.ts';
import { secretFields } from './validator.ts';

/** Stands for a secret in an answer; in a write it stands for the one that is stored. */
export const mask = '********';

/** What to put in place of the secret at `path` (`plugins.key-auth.key`, `keys.0`). */
export type MapSecret = (secret: string, path: string) => string;

/**
 * Replaces each secret string of a resource, in place. `stored`: only the fields that APISIX encrypts, so that it can read the
 * store; `all`: also those of plugins inside plugins, of upstreams and of secret managers, and what a schema calls `writeOnly`.
 */
export function mapSecrets(
  key: string,
  value: JsonObject,
  registry: PluginRegistry,
  extent: 'stored' | 'all',
  map: MapSecret,
): void {
  const parsed = parseKey(key);
  if (parsed === undefined) return;
  if (parsed.kind === 'ssls') for (const field of ['key', 'keys']) mapAt(value, [field], '', map);
  if (parsed.kind === 'plugin_metadata') mapFields(value, registry.get(parsed.id)?.metadataSchema, extent, '', map);
  if (isObject(value['plugins'])) mapPlugins(parsed, value['plugins'], registry, extent, map);
  if (extent === 'stored') return;
  if (parsed.kind === 'upstreams') mapAt(value, ['tls', 'client_key'], '', map);
  else mapAt(value, ['upstream', 'tls', 'client_key'], '', map);
  if (parsed.kind === 'secrets') mapWriteOnly(value, secretSchemas.get(parsed.parent ?? ''), '', map);
}

/** Can a resource at this key hold a secret at all? Cheap, on the text: true only means that it must be looked into. */
export function createSecretSieve(registry: PluginRegistry): (key: string, text: string) => boolean {
  const names = [...registry.list()]
    .filter(({ schema, consumerSchema }) => [schema, consumerSchema].some((one) => one && secretFields(one).length > 0))
    .map(({ name }) => `"${name}"`);
  return (key, text) =>
    key.startsWith('ssls/') || key.startsWith('plugin_metadata/') || names.some((name) => text.includes(name));
}

function mapPlugins(
  { kind }: ResourceKey,
  plugins: JsonObject,
  registry: PluginRegistry,
  extent: 'stored' | 'all',
  map: MapSecret,
): void {
  const held = kind === 'consumers' || kind === 'credentials';
  for (const [name, config] of Object.entries(plugins)) {
    const plugin = registry.get(name);
    if (plugin === undefined || !isObject(config)) continue;
    const asCredential = held && plugin.type === 'auth';
    mapFields(config, asCredential ? plugin.consumerSchema : plugin.schema, extent, `plugins.${name}.`, map);
    if (extent === 'stored' || asCredential) continue;
    let index = 0;
    for (const [inner, innerConfig] of nestedOf(() => plugin.nested?.(config))) {
      mapFields(
        innerConfig as JsonObject,
        registry.get(inner)?.schema,
        extent,
        `plugins.${name}.${inner}#${String(index++)}.`,
        map,
      );
    }
  }
}

/** Of a configuration that may not have been checked. */
function nestedOf(read: () => Iterable<readonly [string, object]> | undefined): (readonly [string, object])[] {
  try {
    return [...(read() ?? [])];
  } catch {
    return [];
  }
}

function mapFields(
  config: JsonObject,
  schema: JsonSchema | undefined,
  extent: 'stored' | 'all',
  prefix: string,
  map: MapSecret,
): void {
  for (const field of schema === undefined ? [] : secretFields(schema)) {
    // As APISIX: a member of that very name comes before a path.
    mapAt(config, Object.hasOwn(config, field) ? [field] : field.split('.'), prefix, map);
  }
  if (extent === 'all') mapWriteOnly(config, schema, prefix, map);
}

/** Follows `path` through objects and, on the way, through every item of an array. */
function mapAt(holder: Json | undefined, path: readonly string[], prefix: string, map: MapSecret): void {
  const [name, ...rest] = path;
  if (name === undefined) return;
  if (Array.isArray(holder)) {
    for (const [i, item] of holder.entries()) mapAt(item, path, `${prefix}${String(i)}.`, map);
    return;
  }
  if (!isObject(holder) || !Object.hasOwn(holder, name)) return;
  const value = holder[name];
  if (rest.length > 0) mapAt(value, rest, `${prefix}${name}.`, map);
  else if (value !== undefined) holder[name] = mapLeaf(value, `${prefix}${name}`, map);
}

function mapLeaf(value: Json, path: string, map: MapSecret): Json {
  if (typeof value === 'string') return map(value, path);
  if (Array.isArray(value)) return value.map((item, i) => mapLeaf(item, `${path}.${String(i)}`, map));
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, mapLeaf(item, `${path}.${name}`, map)]));
}

function mapWriteOnly(value: JsonObject, schema: JsonSchema | undefined, prefix: string, map: MapSecret): void {
  const properties = schema?.['properties'];
  if (typeof properties !== 'object' || properties === null) return;
  for (const [name, property] of Object.entries(properties as Record<string, JsonSchema>)) {
    const held = value[name];
    if (property['writeOnly'] === true) mapAt(value, [name], prefix, map);
    else if (isObject(held)) mapWriteOnly(held, property, `${prefix}${name}.`, map);
  }
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
