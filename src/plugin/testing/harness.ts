/**
 * Runs one plugin as the gateway does: configuration checked against its schema (defaults filled in), compiled, phases
 * called. Consumers given here are indexed by the plugin's own credential definition.
 */
import { ConfigError } from '../../errors/gateway-error.ts';
import type { Consumer } from '../../resources/consumer.ts';
import type { JsonSchema } from '../../resources/resource.ts';
import { compileSchema } from '../../resources/validator.ts';
import { createLocalCounters, type Counters } from '../counters/counters.ts';
import type { AuthenticatedConsumer } from '../exchange.ts';
import type { AnyPlugin, IndexedCredential, Plugin, PluginDeps } from '../plugin.ts';
import { noRunners, type Runners } from '../runners/runners.ts';
import { createHttpClients } from '../http-client/client.ts';
import { FunctionError, type Functions } from '../functions.ts';
import { ResourcePool, WorkerSignals } from '../shared-resources.ts';
import { createLocalVerdicts, type VerdictCache } from '../verdict-cache/verdict-cache.ts';
import { createTimers } from '../timers.ts';
import { createValueCache } from '../value-cache.ts';
import { TestMetrics } from './metrics.ts';

export interface HarnessOptions {
  /** username → its credential for this plugin; undefined: a consumer without one. */
  readonly consumers?: Readonly<Record<string, Readonly<Record<string, unknown>> | undefined>>;
  /** Usernames whose credential has expired. */
  readonly expired?: readonly string[];
  /** `plugin_attr.<name>`. */
  readonly attributes?: Readonly<Record<string, unknown>>;
  readonly metrics?: TestMetrics;
  readonly counters?: Counters;
  readonly shared?: ResourcePool;
  /** Default: none is there. */
  readonly functions?: Functions;
  readonly verdicts?: VerdictCache;
  readonly events?: WorkerSignals;
  /** Reference → value. */
  readonly secrets?: Readonly<Record<string, string>>;
  /** Default: none. */
  readonly runners?: Runners;
  readonly scope?: string;
  /** The plugin's metadata resource. */
  readonly metadata?: Readonly<Record<string, unknown>>;
  /** Other plugins that are enabled, each with its consumers' credentials. */
  readonly others?: readonly { readonly plugin: AnyPlugin; readonly consumers?: HarnessOptions['consumers'] }[];
}

export interface Harness<State> {
  readonly state: State;
  readonly metrics: TestMetrics;
  /** Lines logged, as `level message`. */
  readonly logged: string[];
}

const noFunctions: Functions = {
  acquire: () => ({
    revision: () => '',
    call: () => Promise.reject(new FunctionError('missing', 'no function directory')),
    release: () => undefined,
  }),
};

/** A consumer as an auth plugin would attach it. */
export function testConsumer(username: string, fields: Partial<AuthenticatedConsumer> = {}): AuthenticatedConsumer {
  const resource: Consumer = { username };
  return {
    username,
    groupId: undefined,
    customId: undefined,
    credentialId: undefined,
    labels: {},
    resource,
    ...fields,
  };
}

/** Throws ConfigError where the schema or the plugin refuses the configuration. */
export function compilePlugin<Config, State, CredentialConfig, CredentialState>(
  plugin: Plugin<Config, State, CredentialConfig, CredentialState>,
  config: unknown = {},
  options: HarnessOptions = {},
): Harness<State> {
  const checked = checkSchema(plugin.schema, config) as Config;
  const metrics = options.metrics ?? new TestMetrics();
  const logged: string[] = [];
  for (const [name, inner] of plugin.nested?.(checked) ?? []) {
    const other = options.others?.find((candidate) => candidate.plugin.name === name);
    if (other === undefined) throw new ConfigError(`unknown plugin [${name}]`);
    Object.assign(inner, checkSchema(other.plugin.schema, inner));
  }
  const deps = testDeps(plugin, options, metrics, logged);
  return { state: plugin.compile(checked, deps), metrics, logged };
}

/** What a plugin is given, with the consumers of `options` in its index. */
export function testDeps<Config, State, CredentialConfig, CredentialState>(
  plugin: Plugin<Config, State, CredentialConfig, CredentialState>,
  options: HarnessOptions = {},
  metrics: TestMetrics = new TestMetrics(),
  logged: string[] = [],
): PluginDeps<CredentialState> {
  const index = new Map<string, IndexedCredential<CredentialState>>();
  const expired = new Set<string>();
  const consumers = new Map<string, AuthenticatedConsumer>();
  for (const [username, credential] of Object.entries(options.consumers ?? {})) {
    const consumer = testConsumer(username);
    consumers.set(username, consumer);
    if (credential === undefined || plugin.credential === undefined) continue;
    const config = checkSchema(plugin.consumerSchema ?? {}, credential) as CredentialConfig;
    plugin.credential.complete?.(config);
    const compiled = plugin.credential.compile(config);
    if (index.has(compiled.indexKey)) throw new ConfigError(`duplicate ${plugin.name} credential of ${username}`);
    if (options.expired?.includes(username) === true) expired.add(compiled.indexKey);
    else index.set(compiled.indexKey, { consumer, state: compiled.state });
  }
  const others = new Map(options.others?.map((other) => [other.plugin.name, other]));
  const shared = options.shared ?? new ResourcePool();
  const log = {
    error: (message: string) => void logged.push(`error ${message}`),
    warn: (message: string) => void logged.push(`warn ${message}`),
    info: (message: string) => void logged.push(`info ${message}`),
  };
  return {
    credentials: {
      find: (key) => index.get(key),
      expired: (key) => expired.has(key),
      consumer: (username) => consumers.get(username),
    },
    scope: options.scope ?? 'route#1',
    counters: options.counters ?? createLocalCounters(),
    shared,
    http: createHttpClients({ shared, log }),
    functions: options.functions ?? noFunctions,
    verdicts: options.verdicts ?? createLocalVerdicts(),
    events: options.events ?? new WorkerSignals(),
    timers: createTimers(log),
    cache: createValueCache,
    secrets: {
      resolve: async (reference) => {
        const value = options.secrets?.[reference];
        if (value === undefined) throw new Error(`${reference} cannot be resolved`);
        return value;
      },
    },
    runners: options.runners ?? noRunners,
    metadata: () => options.metadata,
    attributes: options.attributes ?? {},
    log,
    metrics,
    plugins: {
      get: (name) => others.get(name)?.plugin,
      list: () => [...others.values()].map((other) => other.plugin),
      deps: (name) => {
        const other = others.get(name);
        if (other === undefined) throw new ConfigError(`unknown plugin [${name}]`);
        return testDeps(other.plugin, { consumers: other.consumers ?? {} }, metrics, logged);
      },
    },
  };
}

function checkSchema(schema: JsonSchema, value: unknown): unknown {
  const copy: unknown = structuredClone(value);
  const problem = compileSchema(schema)(copy);
  if (problem !== undefined) throw new ConfigError(problem);
  return copy;
}
