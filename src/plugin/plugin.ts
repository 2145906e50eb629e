/**
 * The plugin interface. Built-in plugins use this and nothing private.
 * Lifecycle: schema check → compile (once a change, may throw ConfigError) → phases → dispose.
 * A phase returns nothing to go on, or a Reply that ends the request; header_filter, body_filter and log still run then.
 */
import type { JsonSchema } from '../resources/resource.ts';
import type { Counters } from './counters/counters.ts';
import type { AuthenticatedConsumer, Exchange } from './exchange.ts';
import type { Runners } from './runners/runners.ts';
import type { Functions } from './functions.ts';
import type { HttpClients } from './http-client/http-client.ts';
import type { ConfigOf, SchemaLike } from './schema-types.ts';
import type { SharedResources, WorkerEvents } from './shared-resources.ts';
import type { PluginTimers } from './timers.ts';
import type { CacheOptions, ValueCache } from './value-cache.ts';
import type { VerdictCache } from './verdict-cache/verdict-cache.ts';

export interface Reply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** An object is sent as JSON with a newline, as APISIX does. */
  readonly body?: string | Uint8Array | object;
  /** `plugin.reason_code`, for the operator (log, explain); never sent to the client. */
  readonly reason?: string;
  /** One sentence for the operator; holds no secret. */
  readonly detail?: string;
}

export type PhaseResult = Reply | undefined;
// eslint-disable-next-line @typescript-eslint/no-invalid-void-type -- a handler may simply end
export type MaybeAsync = PhaseResult | void | Promise<PhaseResult | void>;

/** A consumer's credential for one auth plugin, as an index finds it. */
export interface IndexedCredential<CredentialState = unknown> {
  readonly consumer: AuthenticatedConsumer;
  readonly state: CredentialState;
  /** Milliseconds since 1970; undefined: it does not expire. */
  readonly expiresAt?: number | undefined;
}

export interface CredentialIndex<CredentialState = unknown> {
  /** O(1). `key` is what the plugin's `credential.compile` returned as `indexKey`. One that has expired is not found. */
  find(key: string): IndexedCredential<CredentialState> | undefined;
  /** Why it was not found: it is there and has expired. */
  expired(key: string): boolean;
  /** The consumer of that name, for anonymous access. */
  consumer(username: string): AuthenticatedConsumer | undefined;
}

export interface PluginDeps<CredentialState = unknown> {
  readonly credentials: CredentialIndex<CredentialState>;
  /** Where the configuration stands: `route#1`, `service#2`, `global_rule#3`, `consumer#jack` … */
  readonly scope: string;
  /** The plugin's metadata resource as of now, or undefined. Read it in a phase, not in compile. */
  metadata(): Readonly<Record<string, unknown>> | undefined;
  /** `plugin_attr.<name>` of the settings. */
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly log: PluginLog;
  readonly metrics: Metrics;
  /** Counts that all workers of the process share, exactly. */
  readonly counters: Counters;
  /** What several configurations use together, in this worker. */
  readonly shared: SharedResources;
  readonly events: WorkerEvents;
  /** Timers that end with this configuration, or with the version of the plugin. */
  readonly timers: PluginTimers;
  /** A bounded cache of its own, whose values expire. */
  cache<V>(options?: CacheOptions): ValueCache<V>;
  /** For references that are not part of a configuration: those in one are resolved before compile. */
  readonly secrets: SecretReader;
  /** Clients for asking other servers, with mutual TLS. */
  readonly http: HttpClients;
  /** The operator's own functions, each in a thread of its own. */
  readonly functions: Functions;
  /** What outside authorisers decided, shared by all workers. */
  readonly verdicts: VerdictCache;
  /** Plugin runners: processes beside the gateway that judge requests in other languages. */
  readonly runners: Runners;
  /** The other plugins, for one that runs them or exposes their APIs. */
  readonly plugins: PluginAccess;
}

export interface SecretReader {
  /** The value behind `$secret://…` or `$env://…`, as of now. Rejects where there is none, with the reference and without a value. */
  resolve(reference: string): Promise<string>;
}

/** The enabled plugins, as one plugin may use another. */
export interface PluginAccess {
  get(name: string): AnyPlugin | undefined;
  list(): Iterable<AnyPlugin>;
  /** What plugin `name` would be given at the same place of configuration. */
  deps(name: string): PluginDeps;
}

/** An API inside the gateway. No client reaches it but by a route that carries `public-api`. */
export interface PluginApi {
  readonly methods: readonly string[];
  /** Exact path, `/apisix/plugin/…` by custom. */
  readonly uri: string;
  /** `deps`: those of the plugin that offers the API. */
  handler(exchange: Exchange, deps: PluginDeps<never>): Reply | Promise<Reply>;
}

export interface PluginLog {
  error(message: string, fields?: Record<string, unknown>): void;
  warn(message: string, fields?: Record<string, unknown>): void;
  info(message: string, fields?: Record<string, unknown>): void;
}

/** One worker's metrics; the control plane adds the workers up at each scrape. Same name → same instrument. */
export interface Metrics {
  counter(name: string, help: string, labels: readonly string[]): Counter;
  gauge(name: string, help: string, labels: readonly string[]): Gauge;
  /** `buckets`: upper bounds, ascending, without +Inf. */
  histogram(name: string, help: string, labels: readonly string[], buckets: readonly number[]): Histogram;
}
/** `labels`: values in the order of the declaration. Keep the handle: it is one array cell. */
export interface Counter {
  with(labels: readonly string[]): { add(n: number): void };
}
export interface Gauge {
  with(labels: readonly string[]): { set(n: number): void; add(n: number): void };
}
export interface Histogram {
  with(labels: readonly string[]): { observe(value: number): void };
}

/** How a consumer or credential of an auth plugin is indexed. */
export interface CredentialDefinition<CredentialConfig, CredentialState> {
  /** `indexKey`: unique among all consumers for this plugin; a second owner is refused when written. Never the plain secret of key-auth: a digest. */
  compile(config: CredentialConfig): { indexKey: string; state: CredentialState };
  /** Fills in what the writer left to the gateway (a random secret), so that it is stored. Runs after the schema, before compile. */
  complete?(config: CredentialConfig): void;
}

export interface Plugin<Config = never, State = unknown, CredentialConfig = never, CredentialState = unknown> {
  readonly name: string;
  /** Higher runs earlier, APISIX's number for APISIX's plugins. */
  readonly priority: number;
  readonly version?: string;
  readonly type?: 'auth';
  /** It asks another who the caller is, or whether he may pass: it has no credentials of its own, and may stand in multi-auth. */
  readonly decides?: true;
  /** Milliseconds until a phase that returned a promise ends its request with 504. undefined: no limit (a plugin's file: 10,000). */
  readonly timeoutMs?: number;
  /** A plugin's file that bears a built-in plugin's name is refused unless it says this. */
  readonly replacesBuiltIn?: boolean;
  /** Configuration on a route, service, plugin config, global rule, consumer (non-auth) or consumer group. */
  readonly schema: JsonSchema;
  /** auth: configuration on a consumer or credential. */
  readonly consumerSchema?: JsonSchema;
  readonly metadataSchema?: JsonSchema;
  readonly credential?: CredentialDefinition<CredentialConfig, CredentialState>;
  /** Internal APIs; none is exposed by being declared. */
  readonly apis?: readonly PluginApi[];
  /** Configurations of other plugins inside this one's, `[name, configuration]`: checked and given their defaults as if they stood beside it. */
  nested?(config: Config): Iterable<readonly [string, object]>;
  /** Runs in the control plane too, to refuse bad configuration when it is written: no I/O, no timers. Throws ConfigError. */
  compile(config: Config, deps: PluginDeps<CredentialState>): State;
  dispose?(state: State): void;

  rewrite?(state: State, exchange: Exchange): MaybeAsync;
  access?(state: State, exchange: Exchange): MaybeAsync;
  beforeProxy?(state: State, exchange: Exchange): MaybeAsync;
  /**
   * The upstream's response, before header_filter: what comes of it is held back until this has ended. May change status and headers,
   * read the body (`exchange.response.body`) and replace it; a Reply is sent in its place. Not run for the gateway's own replies.
   */
  upstreamResponse?(state: State, exchange: Exchange): MaybeAsync;
  /** The response head, before it is sent. Synchronous. */
  headerFilter?(state: State, exchange: Exchange): void;
  /** Each piece of the body; `last` once, with an empty chunk if need be. Returns what to send instead. Removes Content-Length. */
  bodyFilter?(state: State, exchange: Exchange, chunk: Uint8Array, last: boolean): Uint8Array;
  /** Asked once after compile: false where this configuration has no use for bodyFilter, so that bodies stream untouched. */
  filtersBody?(state: State): boolean;
  /** After the response, off its critical path. */
  log?(state: State, exchange: Exchange): void;
}

/** Any plugin, where its own types do not matter (registry, pipeline). */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- erased at the registry's border; compile() and the phases stay paired by construction
export type AnyPlugin = Plugin<any, any, any, any>;

/** A plugin whose types follow from its schemas: `config` from `schema`, a credential's from `consumerSchema`. */
export type PluginOf<S extends SchemaLike, State, C extends SchemaLike, CredentialState> = Omit<
  Plugin<ConfigOf<S>, State, ConfigOf<C>, CredentialState>,
  'schema' | 'consumerSchema' | 'metadataSchema'
> & { readonly schema: S; readonly consumerSchema?: C; readonly metadataSchema?: SchemaLike };

/**
 * Identity; gives the types of `config` and `state` to the phases: those that are named, or those that follow from the schemas.
 * Without `compile` the configuration itself is the state (plugin files alone).
 */
export function definePlugin<Config = never, State = unknown, CredentialConfig = never, CredentialState = unknown>(
  plugin: [Config] extends [never] ? never : Plugin<Config, State, CredentialConfig, CredentialState>,
): Plugin<Config, State, CredentialConfig, CredentialState>;
export function definePlugin<const S extends SchemaLike>(
  plugin: Omit<PluginOf<S, ConfigOf<S>, SchemaLike, unknown>, 'compile'> & { readonly compile?: undefined },
): Omit<PluginOf<S, ConfigOf<S>, SchemaLike, unknown>, 'compile'>;
export function definePlugin<const S extends SchemaLike, State, const C extends SchemaLike, CredentialState = unknown>(
  plugin: PluginOf<S, State, C, CredentialState>,
): PluginOf<S, State, C, CredentialState>;
export function definePlugin(plugin: object): object {
  return plugin;
}
