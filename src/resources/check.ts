/**
 * Whether a resource may be stored: its schema, what the schema cannot say, and its plugins' configuration, in
 * APISIX's words. What passes compiles on every worker. References to other resources are checked in references.ts.
 */
import { compileAddressMatcher } from '../address/cidr.ts';
import { ConfigError } from '../errors/gateway-error.ts';
import { checkSsl } from './certificate-check.ts';
import { checkExpression, checkPlugins, injectMeta, type PluginRegistry } from './plugin-check.ts';
import type { Json, JsonObject, JsonSchema, ResourceKind } from './resource.ts';
import { resourceSchemas } from './schemas.ts';
import { secretSchemas } from './secret.ts';
import { checkUpstream } from './upstream-check.ts';
import { compileSchema } from './validator.ts';

const anyObject: JsonSchema = { type: 'object' };

/**
 * Returns the first error, or undefined. Writes defaults into `value`, which it may change even when it refuses.
 * `name`: the plugin of a plugin_metadata, the manager of a secret; not used by other kinds.
 */
export function checkResource(
  kind: ResourceKind,
  value: JsonObject,
  registry: PluginRegistry,
  name?: string,
): string | undefined {
  if (kind === 'routes') {
    // Before the schema, which would not name the fields.
    const twice = checkPairs(value);
    if (twice !== undefined) return twice;
  }
  const schema = schemaOf(kind, registry, name);
  if (typeof schema === 'string') return schema;
  const invalid = compileSchema(schema)(value);
  if (invalid !== undefined) return `invalid configuration: ${invalid}`;
  return checkSemantics(kind, value) ?? checkOwnPlugins(kind, value, registry);
}

/** The schema, or the message that there is none. */
export function schemaOf(kind: ResourceKind, registry: PluginRegistry, name = ''): JsonSchema | string {
  if (kind === 'plugin_metadata') {
    const plugin = registry.get(name);
    return plugin ? injectMeta(plugin.metadataSchema ?? anyObject) : 'invalid plugin name';
  }
  if (kind === 'secrets') return secretSchemas.get(name) ?? `invalid secret manager: ${name}`;
  return resourceSchemas[kind];
}

function checkPairs(route: JsonObject): string | undefined {
  for (const [one, many] of [
    ['host', 'hosts'],
    ['remote_addr', 'remote_addrs'],
  ] as const) {
    if (route[one] !== undefined && route[many] !== undefined) return `only one of ${one} or ${many} is allowed`;
  }
  return undefined;
}

function checkSemantics(kind: ResourceKind, value: JsonObject): string | undefined {
  if (kind === 'ssls') return checkSsl(value);
  if (kind === 'upstreams') return checkUpstream(value);
  if (kind !== 'routes' && kind !== 'services') return undefined;
  const upstream = value['upstream'];
  const error = isObject(upstream) ? checkUpstream(upstream) : undefined;
  return error ?? refuseLua(value) ?? (kind === 'routes' ? checkRoute(value) : undefined);
}

/** APISIX: runs these. A route that ignored them would match or do something else than its author wrote. */
function refuseLua(value: JsonObject): string | undefined {
  for (const field of ['filter_func', 'script', 'script_id']) {
    if (value[field] !== undefined) return `'${field}' is Lua, which this gateway does not run: use 'vars' or a plugin`;
  }
  return undefined;
}

function checkRoute(route: JsonObject): string | undefined {
  const addresses = [route['remote_addr'], route['remote_addrs']].flat().filter((item) => typeof item === 'string');
  try {
    compileAddressMatcher(addresses);
  } catch (error) {
    if (error instanceof ConfigError) return `invalid configuration: ${error.message}`;
    throw error;
  }
  return Array.isArray(route['vars']) ? checkExpression(route['vars']) : undefined;
}

function checkOwnPlugins(kind: ResourceKind, value: JsonObject, registry: PluginRegistry): string | undefined {
  const plugins = value['plugins'];
  if (kind === 'plugin_metadata' || !isObject(plugins)) return undefined;
  const error = checkPlugins(kind, plugins, registry);
  if (error === undefined) return undefined;
  return kind === 'consumers' || kind === 'credentials' ? `invalid plugins configuration: ${error}` : error;
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
