/**
 * What the snapshot compiles resources into and a request meets: closures and arrays, nothing to interpret.
 * Invariant: a compiled object never changes after it was published, but for the counters and lazily filled caches named here.
 */
import type { AuthenticatedConsumer, Exchange, MatchedRoute } from '../../plugin/exchange.ts';
import type { MaybeAsync, Reply } from '../../plugin/plugin.ts';
import type { UpstreamTarget } from '../upstream/target.ts';
import type { PoolLimits } from '../upstream/pool.ts';

/** One plugin at one place of configuration, bound to its state. */
export interface CompiledPlugin {
  readonly name: string;
  readonly priority: number;
  readonly filter: ((exchange: Exchange) => boolean) | undefined;
  /** `_meta.error_response`: replaces the body of what the plugin refuses with. */
  readonly errorResponse: Reply['body'];
  readonly isAuth: boolean;
  readonly fromConsumer: boolean;
  readonly rewrite: ((exchange: Exchange) => MaybeAsync) | undefined;
  readonly access: ((exchange: Exchange) => MaybeAsync) | undefined;
  readonly beforeProxy: ((exchange: Exchange) => MaybeAsync) | undefined;
  readonly upstreamResponse: ((exchange: Exchange) => MaybeAsync) | undefined;
  readonly headerFilter: ((exchange: Exchange) => void) | undefined;
  readonly bodyFilter: ((exchange: Exchange, chunk: Uint8Array, last: boolean) => Uint8Array) | undefined;
  readonly log: ((exchange: Exchange) => void) | undefined;
}

/** A step of a request phase. */
export interface Step {
  readonly plugin: CompiledPlugin;
  readonly phase: 'rewrite' | 'access' | 'before_proxy' | 'upstream_response';
  readonly run: (exchange: Exchange) => MaybeAsync;
}

/** The plugins of one route (or of all global rules), sorted by priority, split by phase. */
export interface Pipeline {
  readonly plugins: readonly CompiledPlugin[];
  readonly rewrite: readonly Step[];
  /** Of plugins that a consumer brought: run once the consumer is known. */
  readonly consumerRewrite: readonly Step[];
  readonly access: readonly Step[];
  readonly beforeProxy: readonly Step[];
  /** Empty nearly always: responses stream through untouched. */
  readonly upstreamResponse: readonly Step[];
  readonly headerFilter: readonly CompiledPlugin[];
  readonly bodyFilter: readonly CompiledPlugin[];
  readonly log: readonly CompiledPlugin[];
  /** Exchanges under way; states are disposed when it is retired and idle. */
  users: number;
  retired: boolean;
  readonly dispose: () => void;
}

/** Which pipelines serve an exchange: all global rules as one, then the route's (or the consumer's variant of it). */
export interface ActivePipeline {
  readonly global: Pipeline | undefined;
  readonly route: Pipeline | undefined;
}

export interface CompiledUpstream {
  /** `upstreams/1`, `routes/1` …: as health is reported. */
  readonly key: string;
  readonly target: UpstreamTarget;
  readonly scheme: 'http' | 'https';
  readonly passHost: 'pass' | 'node' | 'rewrite';
  readonly upstreamHost: string | undefined;
  /** undefined: as many as there are other nodes. */
  readonly retries: number | undefined;
  readonly retryTimeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly sendTimeoutMs: number;
  readonly readTimeoutMs: number;
  readonly pool: PoolLimits;
  readonly tlsVerify: boolean;
  readonly tlsCert: string | undefined;
  readonly tlsKey: string | undefined;
  /** Distinguishes pools: scheme, verification, certificate digest. */
  readonly poolPrefix: string;
  /** Passive health checks want to hear of outcomes. */
  readonly reportsHealth: boolean;
}

/** A route that can serve; its pipeline and upstream were compiled on its first request. */
export interface ReadyRoute {
  readonly matched: MatchedRoute;
  readonly active: ActivePipeline;
  readonly upstream: CompiledUpstream | undefined;
  readonly websocket: boolean;
  /** The pipelines for this consumer: its own plugins and its group's merged in. */
  forConsumer(consumer: AuthenticatedConsumer): ActivePipeline;
}

/** A route as the router holds it. */
export interface CompiledRoute {
  readonly id: string;
  /** Throws ConfigError when it cannot be compiled; the request is refused then. */
  ready(): ReadyRoute;
}
