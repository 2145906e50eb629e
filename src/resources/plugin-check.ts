/**
 * Plugin configuration, checked when it is written: known and enabled, fits the plugin's schema, and compiles.
 * What passes here is what a worker can compile; nothing of it is kept.
 */
import { ConfigError } from '../errors/gateway-error.ts';
import { compileExpression } from '../expression/expression.ts';
import type { Json, JsonObject, JsonSchema, ResourceKind } from './resource.ts';
import { luaType } from './schema-message.ts';
import { isSchema } from './schema-order.ts';
import { compileSchema, type Validate } from './validator.ts';

/** What a check asks of a plugin. Every plugin of src/plugin fits; resources may not import it, it imports them. */
export interface CheckablePlugin {
  readonly name: string;
  readonly priority: number;
  readonly version?: string;
  readonly type?: 'auth';
  readonly schema: JsonSchema;
  readonly consumerSchema?: JsonSchema;
  readonly metadataSchema?: JsonSchema;
  readonly credential?: { compile(config: JsonObject): { indexKey: string }; complete?(config: JsonObject): void };
  nested?(config: JsonObject): Iterable<readonly [string, object]>;
  compile(config: JsonObject, deps: InertDeps): unknown;
  dispose?(state: unknown): void;
}

/** The enabled plugins. */
export interface PluginRegistry {
  get(name: string): CheckablePlugin | undefined;
  list(): Iterable<CheckablePlugin>;
  /** `plugin_attr.<name>` of the settings; none where it is absent. */
  attributes?(name: string): Readonly<Record<string, unknown>>;
  /** The plugins' `deps.runners`, which knows the runners of the settings and calls none. */
  readonly runners?: unknown;
  /** The plugins' `deps.http`, which checks options and sends nothing. */
  readonly http?: unknown;
}

/** What any plugin's configuration may hold beside its own fields. */
export const metaSchema: JsonSchema = {
  type: 'object',
  properties: {
    disable: { type: 'boolean' },
    error_response: { oneOf: [{ type: 'string' }, { type: 'object' }] },
    priority: { description: 'priority of plugins by customized order', type: 'integer' },
    filter: {
      description: 'filter determines whether the plugin needs to be executed at runtime',
      type: 'array',
      maxItems: 20,
    },
  },
  additionalProperties: false,
};

const withMeta = new WeakMap<JsonSchema, JsonSchema>();

/** A plugin's schema with `_meta` in it, as `/plugins/{name}` shows it. */
export function injectMeta(schema: JsonSchema): JsonSchema {
  let injected = withMeta.get(schema);
  if (!injected) {
    const properties = isSchema(schema['properties']) ? schema['properties'] : {};
    injected = { ...schema, properties: { ...properties, _meta: metaSchema } };
    withMeta.set(schema, injected);
  }
  return injected;
}

function validatorOf(schema: JsonSchema): Validate {
  return compileSchema(injectMeta(schema));
}

/**
 * `plugins`: name → configuration of a resource; defaults are written into it. Returns the first error, or undefined.
 * On consumers and credentials an auth plugin is checked as that consumer's credential.
 */
export function checkPlugins(kind: ResourceKind, plugins: JsonObject, registry: PluginRegistry): string | undefined {
  const holdsCredentials = kind === 'consumers' || kind === 'credentials';
  for (const [name, config] of Object.entries(plugins)) {
    const plugin = registry.get(name);
    if (!plugin) return `unknown plugin [${name}]`;
    if (typeof config !== 'object' || config === null || Array.isArray(config)) {
      return `invalid plugin conf for plugin [${name}]: expected object, got ${luaType(config)}`;
    }
    if (kind === 'credentials' && plugin.type !== 'auth') {
      return 'only supports auth type plugins in consumer credential';
    }
    const error = checkPlugin(plugin, config, holdsCredentials && plugin.type === 'auth', registry);
    if (error !== undefined) return error;
  }
  return undefined;
}

function checkPlugin(
  plugin: CheckablePlugin,
  config: JsonObject,
  asCredential: boolean,
  registry: PluginRegistry,
): string | undefined {
  const schema = asCredential ? plugin.consumerSchema : plugin.schema;
  const refused = (reason: string): string =>
    `failed to check the configuration of plugin ${plugin.name} err: ${reason}`;
  if (!schema) return refused('it cannot be configured on a consumer');
  const error = validatorOf(schema)(config);
  if (error !== undefined) return refused(error);
  const filter = checkFilter(config['_meta']);
  if (filter !== undefined) return filter;
  try {
    if (asCredential) {
      plugin.credential?.complete?.(config);
      plugin.credential?.compile(config);
    } else {
      const nested = checkNested(plugin, config, registry);
      if (nested !== undefined) return refused(nested);
      dryRun(plugin, config, registry);
    }
  } catch (error) {
    if (error instanceof ConfigError) return refused(error.message);
    throw error;
  }
  return undefined;
}

function checkNested(plugin: CheckablePlugin, config: JsonObject, registry: PluginRegistry): string | undefined {
  for (const [name, inner] of plugin.nested?.(config) ?? []) {
    const member = registry.get(name);
    if (!member) return `unknown plugin [${name}]`;
    const error = checkPlugin(member, inner as JsonObject, false, registry);
    if (error !== undefined) return error;
  }
  return undefined;
}

function dryRun(plugin: CheckablePlugin, config: JsonObject, registry: PluginRegistry): void {
  // The plugin's own copy: what it keeps or changes is not what is stored.
  const state = plugin.compile(structuredClone(config), inertDeps(plugin.name, registry));
  plugin.dispose?.(state);
}

function checkFilter(meta: Json | undefined): string | undefined {
  if (typeof meta !== 'object' || meta === null || Array.isArray(meta)) return undefined;
  return Array.isArray(meta['filter']) ? checkExpression(meta['filter']) : undefined;
}

/** `vars` of a route and `_meta.filter`. */
export function checkExpression(rules: readonly Json[]): string | undefined {
  try {
    compileExpression(rules, () => () => undefined);
    return undefined;
  } catch (error) {
    if (error instanceof ConfigError) return `failed to validate the 'vars' expression: ${error.message}`;
    throw error;
  }
}

function nothing(): void {
  // A dry run neither logs nor counts.
}

/** Nothing is shared with what serves requests: opened for the check, closed with it. */
function acquire<T>(_key: string, open: () => { readonly value: T; close(): void }): { value: T; release(): void } {
  const opened = open();
  return {
    value: opened.value,
    release: () => {
      opened.close();
    },
  };
}

/** Whoever uses it while configuration is only checked is told so. */
function unused(what: string): object {
  return new Proxy(
    {},
    {
      get: () => () => {
        throw new Error(`compile must not use ${what}: configuration is only checked`);
      },
    },
  );
}

/** Where nothing is known of runners, each is taken to be there. */
const anyRunner = { session: () => unused('runners'), maxBodyBytes: 0 };

/** What a plugin's `compile` is given here: it fits PluginDeps, finds no one, logs and counts nothing. */
type InertDeps = ReturnType<typeof inertDeps>;

function inertDeps(name: string, registry: PluginRegistry) {
  return {
    credentials: { find: () => undefined, expired: () => false, consumer: () => undefined },
    scope: 'check',
    metadata: () => undefined,
    attributes: registry.attributes?.(name) ?? {},
    log: { error: nothing, warn: nothing, info: nothing },
    metrics: {
      counter: () => ({ with: () => ({ add: nothing }) }),
      gauge: () => ({ with: () => ({ set: nothing, add: nothing }) }),
      histogram: () => ({ with: () => ({ observe: nothing }) }),
    },
    // `compile` keeps these for the phases, which never run here.
    counters: unused('counters') as never,
    shared: { acquire },
    http: (registry.http ?? unused('http')) as never,
    functions: { acquire: () => ({ ...unused('functions'), release: nothing }) as never },
    verdicts: unused('verdicts') as never,
    events: { onReopen: () => nothing, onStop: () => nothing },
    timers: { setTimeout: () => nothing, setInterval: () => nothing, dispose: nothing },
    cache: () => unused('cache') as never,
    secrets: unused('secrets') as never,
    runners: (registry.runners ?? anyRunner) as never,
    // Whole plugins in truth, which this module may not name.
    plugins: {
      get: (other: string) => registry.get(other) as never,
      list: () => registry.list() as never,
      deps: (other: string): never => inertDeps(other, registry) as never,
    },
  };
}

export interface CredentialKey {
  readonly plugin: string;
  /** Unique among all consumers for this plugin. */
  readonly indexKey: string;
}

/** Name → how the plugin makes keys; another object where a plugin's file was swapped. */
export type CredentialPlugins = ReadonlyMap<string, NonNullable<CheckablePlugin['credential']>>;

export function credentialPlugins(registry: PluginRegistry): CredentialPlugins {
  const found = new Map<string, NonNullable<CheckablePlugin['credential']>>();
  for (const { name, credential } of registry.list()) if (credential !== undefined) found.set(name, credential);
  return found;
}

/** Names of those that came, went, or may make other keys now. */
export function changedPlugins(before: CredentialPlugins, now: CredentialPlugins): string[] {
  return [...new Set([...before.keys(), ...now.keys()])].filter((name) => before.get(name) !== now.get(name));
}

/**
 * The keys under which a consumer or credential will be found; none for other kinds. Plugins that are unknown or
 * refuse their configuration are left out: checkPlugins reports those.
 */
export function indexKeys(kind: ResourceKind, value: JsonObject, registry: PluginRegistry): CredentialKey[] {
  const plugins = value['plugins'];
  if ((kind !== 'consumers' && kind !== 'credentials') || typeof plugins !== 'object' || plugins === null) return [];
  return Object.entries(plugins).flatMap(([name, config]) => {
    const credential = registry.get(name)?.credential;
    if (!credential) return [];
    try {
      return [{ plugin: name, indexKey: credential.compile(config as JsonObject).indexKey }];
    } catch {
      return [];
    }
  });
}
