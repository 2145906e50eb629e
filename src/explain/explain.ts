/**
 * What the gateway would do with a request: the same router, pipelines and plugins as `proxy.ts`, in the same order, on an
 * exchange without a socket. Beside the request path. Nothing is sent upstream and no log phase runs.
 * Invariant: no credential of the request is in the report.
 * Plugins run their request phases and are told by `exchange.dryRun` to count, lock and write nothing.
 */
import { GatewayError } from '../errors/gateway-error.ts';
import type { Reply } from '../plugin/plugin.ts';
import type { PeerTrust, ProxyExchange } from '../proxy/exchange.ts';
import type { ActivePipeline, CompiledUpstream, Pipeline, ReadyRoute, Step } from '../proxy/pipeline/compiled.ts';
import { runSteps } from '../proxy/pipeline/run.ts';
import { unsafeOverride } from '../proxy/upstream/override.ts';
import { upstreamHost } from '../proxy/upstream/request-head.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import { maskMiss, maskQuery } from './mask.ts';
import type { ExplainReport, ExplainRequest, ExplainUpstream } from './report.ts';
import { createExchange } from './stand-in.ts';
import { Trail } from './trail.ts';

export interface ExplainDeps {
  readonly snapshot: Pick<Snapshot, 'match' | 'explainRouting' | 'global'>;
  readonly trust: PeerTrust;
}

/** Never rejects for the request's sake: what is wrong with it is in `outcome`. */
export async function explain(request: ExplainRequest, deps: ExplainDeps): Promise<ExplainReport> {
  let exchange;
  try {
    exchange = createExchange(request, deps.trust);
  } catch (error) {
    return malformed(error);
  }
  const run = new Explanation(exchange, deps);
  const end = await run.run();
  return run.report(end);
}

function malformed(cause: unknown): ExplainReport {
  if (!(cause instanceof GatewayError)) throw cause;
  return {
    path: undefined,
    route: undefined,
    misses: [],
    steps: [],
    consumer: undefined,
    upstream: undefined,
    outcome: { status: cause.status, reason: cause.code, detail: cause.detail },
  };
}

/** One run. Holds the pipelines it uses, so that a change of configuration does not dispose them meanwhile. */
class Explanation {
  readonly #exchange: ProxyExchange;
  readonly #deps: ExplainDeps;
  readonly #trail = new Trail();
  #upstream: ExplainUpstream | undefined;

  constructor(exchange: ProxyExchange, deps: ExplainDeps) {
    this.#exchange = exchange;
    this.#deps = deps;
    exchange.observer = this.#trail;
  }

  report(end: Reply | undefined): ExplainReport {
    const { path, route, consumer, detail } = this.#exchange;
    return {
      path,
      route: route && { id: route.id, name: route.name, uri: route.uri },
      misses: this.#deps.snapshot.explainRouting(this.#exchange).misses.map(maskMiss),
      steps: this.#trail.steps(),
      consumer: consumer && {
        username: consumer.username,
        credentialId: consumer.credentialId,
        groupId: consumer.groupId,
      },
      upstream: this.#upstream,
      outcome: { status: end?.status, reason: end?.reason, detail: end && (end.detail ?? detail) },
    };
  }

  /** The reply that ends the request in the gateway; undefined: it goes upstream. */
  async run(): Promise<Reply | undefined> {
    const { method } = this.#exchange;
    if (method === 'CONNECT' || method === 'TRACE') return this.#fail(new GatewayError('REQUEST_METHOD_REFUSED'));
    const match = this.#deps.snapshot.match(this.#exchange);
    if (match !== undefined) {
      let ready;
      try {
        ready = match.value.ready();
      } catch (error) {
        return this.#unusable(error);
      }
      this.#exchange.route = ready.matched;
      this.#exchange.params = match.params;
      return this.#holding(ready.active, () => this.#runRoute(ready));
    }
    const { global } = this.#deps.snapshot;
    return this.#holding({ global, route: undefined }, async () => {
      const reply = await this.#steps(global?.access ?? []);
      return reply ?? this.#fail(new GatewayError('ROUTE_NOT_FOUND'));
    });
  }

  async #runRoute(ready: ReadyRoute): Promise<Reply | undefined> {
    const { global, route } = ready.active;
    const reply = (await this.#steps(global?.access ?? [])) ?? (await this.#steps(route?.rewrite ?? []));
    if (reply !== undefined) return reply;
    const { consumer } = this.#exchange;
    let active = ready.active;
    if (consumer !== undefined) {
      try {
        active = ready.forConsumer(consumer);
      } catch (error) {
        return this.#unusable(error);
      }
    }
    return this.#holding(active, () => this.#runIdentified(ready, active));
  }

  async #runIdentified(ready: ReadyRoute, active: ActivePipeline): Promise<Reply | undefined> {
    const { route } = active;
    const phases = [active === ready.active ? [] : route?.consumerRewrite, route?.access, route?.beforeProxy];
    for (const steps of phases) {
      const reply = await this.#steps(steps ?? []);
      if (reply !== undefined) return reply;
    }
    const { upstream } = ready;
    if (upstream === undefined) return this.#fail(new GatewayError('UPSTREAM_MISSING', 'the route has no upstream'));
    const unsafe = unsafeOverride(this.#exchange.upstream);
    if (unsafe !== undefined) return this.#fail(new GatewayError('REQUEST_PATH_REFUSED', unsafe));
    return this.#pick(upstream);
  }

  async #pick(upstream: CompiledUpstream): Promise<Reply | undefined> {
    const exchange = this.#exchange;
    const { target } = upstream;
    await target.ready();
    const endpoint = target.pick(exchange, []);
    const overrides = exchange.upstream;
    const query = overrides.query ?? exchange.query;
    const path = overrides.path ?? exchange.encodedPath;
    this.#upstream = {
      key: upstream.key,
      node: endpoint?.label,
      scheme: overrides.scheme ?? upstream.scheme,
      method: overrides.method ?? exchange.method,
      target: query === '' ? path : `${path}?${maskQuery(query)}`,
      host: endpoint === undefined ? (overrides.host ?? '') : upstreamHost(exchange, upstream, endpoint),
    };
    if (endpoint === undefined) return this.#fail(new GatewayError('UPSTREAM_NO_NODE', 'no node to send it to'));
    target.done(endpoint, { latencyMs: 0, failed: false });
    return undefined;
  }

  async #steps(steps: readonly Step[]): Promise<Reply | undefined> {
    return runSteps(steps, this.#exchange, this.#trail, noLog);
  }

  async #holding(active: ActivePipeline, run: () => Promise<Reply | undefined>): Promise<Reply | undefined> {
    const pipelines = [active.global, active.route].filter((pipeline) => pipeline !== undefined);
    for (const pipeline of pipelines) pipeline.users++;
    this.#exchange.pipeline = active;
    this.#trail.enter(active);
    try {
      return await run();
    } finally {
      for (const pipeline of pipelines) release(pipeline);
    }
  }

  #fail(error: GatewayError): Reply {
    return {
      status: error.status,
      reason: this.#exchange.reason ?? error.code,
      ...(error.detail === undefined ? {} : { detail: error.detail }),
    };
  }

  /** Configuration that cannot be compiled: the request is refused, as on the request path. */
  #unusable(error: unknown): Reply {
    return {
      status: new GatewayError('PLUGIN_UNAVAILABLE').status,
      reason: 'configuration.invalid',
      detail: error instanceof Error ? error.message : String(error),
    };
  }
}

function release(pipeline: Pipeline): void {
  if (--pipeline.users === 0 && pipeline.retired) pipeline.dispose();
}

/** The trail has the verdict, without what the exception says: that may hold a secret. */
const noLog = { pluginFailed: (): void => undefined };
