/**
 * The data plane's core: a request head in, a response out. Read top to bottom it is the request path:
 * match → global rules → rewrite → (consumer's plugins) → access → before_proxy → upstream → response → log.
 */
import { performance } from 'node:perf_hooks';
import { GatewayError } from '../errors/gateway-error.ts';
import type { Reply } from '../plugin/plugin.ts';
import { parsePostArgs } from '../plugin/post-args.ts';
import { ProxyExchange, type PeerTrust } from './exchange.ts';
import type { ClientConnection, ConnectionHandler, ExchangeListener } from './http1/client-connection.ts';
import type { RequestHead } from './http1/parse-head.ts';
import type { CompiledRoute, Pipeline, ReadyRoute, Step } from './pipeline/compiled.ts';
import { runSteps } from './pipeline/run.ts';
import { sendReply } from './response.ts';
import { Forward, type ForwardContext } from './upstream/forward.ts';
import { unsafeOverride } from './upstream/override.ts';

/** What the snapshot offers to a request. */
export interface RoutingTable {
  match(
    exchange: ProxyExchange,
  ): { readonly value: CompiledRoute; readonly params: ReadonlyMap<string, string> } | undefined;
  /** Some route looks at `post_arg.*`: the body is read before matching. */
  readonly needsBody: boolean;
  readonly global: Pipeline | undefined;
}

export interface ProxyLog {
  /** A request was refused, by a plugin or for want of a route or node. */
  refused(exchange: ProxyExchange, reply: Reply, detail: string | undefined): void;
  pluginFailed(name: string, phase: string, error: unknown): void;
  attemptFailed(exchange: ProxyExchange, node: string, error: GatewayError): void;
  badRequest(connection: ClientConnection, error: GatewayError): void;
  access(exchange: ProxyExchange): void;
}

export interface ProxyOptions extends Omit<
  ForwardContext,
  'onFailed' | 'onRefused' | 'onAttemptFailed' | 'onFinished' | 'onPluginFailure'
> {
  readonly table: RoutingTable;
  readonly trust: PeerTrust;
  readonly log: ProxyLog;
  /** Why a request over TLS may not pass with what its connection showed; undefined: it may. */
  readonly clientRefusal?: (exchange: ProxyExchange) => string | undefined;
}

/** Bytes of a body that routing by `post_arg.*` reads. */
const maxRoutingBodyBytes = 1_048_576;

export class Proxy implements ConnectionHandler {
  readonly #options: ProxyOptions;
  readonly #context: ForwardContext;
  readonly connections = new Set<ClientConnection>();
  /** Since the start. */
  accepted = 0;
  requests = 0;
  inFlight = 0;

  constructor(options: ProxyOptions) {
    this.#options = options;
    this.#context = {
      ...options,
      onPluginFailure: (name, phase, error) => {
        options.log.pluginFailed(name, phase, error);
      },
      onFailed: (exchange, error) => {
        this.#fail(exchange, error);
      },
      onRefused: (exchange, reply) => {
        refuse(exchange, reply, options, this.#context);
      },
      onAttemptFailed: (exchange, endpoint, error) => {
        options.log.attemptFailed(exchange, endpoint.label, error);
      },
      onFinished: (exchange) => {
        this.#finish(exchange);
      },
    };
  }

  onBadRequest(connection: ClientConnection, error: GatewayError): void {
    this.#options.log.badRequest(connection, error);
  }

  onClose(connection: ClientConnection): void {
    this.connections.delete(connection);
  }

  onAccept(connection: ClientConnection): void {
    this.accepted++;
    this.connections.add(connection);
  }

  onRequest(connection: ClientConnection, head: RequestHead): ExchangeListener {
    this.requests++;
    let exchange;
    try {
      exchange = new ProxyExchange(connection, head, this.#options.trust);
    } catch (error) {
      return this.#refuseHead(connection, error);
    }
    this.inFlight++;
    const running = new RunningExchange(exchange, this.#options, this.#context);
    try {
      running.start();
    } catch (error) {
      running.failUnexpectedly(error);
    }
    return running;
  }

  /** The head was well formed, but its target or Host is not: answered without a route, and the connection closes. */
  #refuseHead(connection: ClientConnection, cause: unknown): ExchangeListener {
    const error =
      cause instanceof GatewayError ? cause : new GatewayError('REQUEST_MALFORMED', 'unexpected', { cause });
    connection.refuse(error);
    return { onClientGone: () => undefined, onDrain: () => undefined };
  }

  #fail(exchange: ProxyExchange, error: GatewayError): void {
    exchange.detail ??= error.detail;
    refuse(
      exchange,
      { status: error.status, body: { error_msg: error.publicMessage }, reason: error.code },
      this.#options,
      this.#context,
    );
  }

  /** The log phase: once for each exchange, whatever became of it. */
  #finish(exchange: ProxyExchange): void {
    if (exchange.finished) return;
    exchange.finished = true;
    this.inFlight--;
    const active = exchange.pipeline;
    if (active !== undefined) {
      if (active.global !== undefined) runLog(active.global, exchange, this.#options);
      if (active.route !== undefined) runLog(active.route, exchange, this.#options);
      release(active);
    }
    this.#options.log.access(exchange);
  }
}

class RunningExchange implements ExchangeListener {
  /** What follows the steps of a phase; here, so that no request makes a function of its own. */
  static readonly #next = {
    notFound: (running: RunningExchange): void => {
      running.#fail(new GatewayError('ROUTE_NOT_FOUND'));
    },
    rewrite: (running: RunningExchange): void => {
      running.#rewrite();
    },
    access: (running: RunningExchange): void => {
      running.#access();
    },
    afterRewrite: (running: RunningExchange): void => {
      running.#afterRewrite();
    },
    beforeProxy: (running: RunningExchange): void => {
      running.#beforeProxy();
    },
    proxy: (running: RunningExchange): void => {
      running.#proxy();
    },
  };

  readonly #exchange: ProxyExchange;
  readonly #options: ProxyOptions;
  readonly #context: ForwardContext;
  #forward: Forward | undefined;
  #ready: ReadyRoute | undefined;
  #gone = false;

  constructor(exchange: ProxyExchange, options: ProxyOptions, context: ForwardContext) {
    this.#exchange = exchange;
    this.#options = options;
    this.#context = context;
  }

  onClientGone(): void {
    this.#gone = true;
    this.#forward?.abort();
    this.#exchange.reason ??= 'CLIENT_CLOSED';
    this.#exchange.times.ended ||= performance.now();
    this.#context.onFinished(this.#exchange);
  }

  onDrain(): void {
    this.#forward?.clientDrained();
  }

  /** A defect of the gateway itself: the request fails closed, the connection and the worker live on. */
  failUnexpectedly(error: unknown): void {
    this.#options.log.pluginFailed('gateway', 'request', error);
    this.#forward?.abort();
    if (this.#exchange.connection.responding || this.#exchange.finished) this.#exchange.connection.abortResponse();
    else this.#fail(new GatewayError('PLUGIN_FAILED'));
  }

  start(): void {
    const exchange = this.#exchange;
    const { maxBodyBytes, table } = this.#options;
    const uncertified = exchange.scheme === 'https' ? this.#options.clientRefusal?.(exchange) : undefined;
    if (uncertified !== undefined) this.#fail(new GatewayError('CLIENT_CERTIFICATE_REFUSED', uncertified));
    else if (exchange.method === 'CONNECT' || exchange.method === 'TRACE') {
      this.#fail(new GatewayError('REQUEST_METHOD_REFUSED'));
    } else if (maxBodyBytes > 0 && exchange.head.bodyLength > maxBodyBytes)
      this.#fail(new GatewayError('REQUEST_BODY_TOO_LARGE'));
    else if (table.needsBody && exchange.connection.hasBody) this.#afterBody();
    else this.#route();
  }

  #afterBody(): void {
    const exchange = this.#exchange;
    exchange
      .body(maxRoutingBodyBytes)
      .then((body) => parsePostArgs(exchange.headers.get('content-type'), body))
      .then(
        (postArgs) => {
          exchange.context.set('post_args', postArgs);
          this.#route();
        },
        (error: unknown) => {
          this.#fail(
            error instanceof GatewayError ? error : new GatewayError('REQUEST_MALFORMED', 'body', { cause: error }),
          );
        },
      )
      .catch((error: unknown) => {
        this.failUnexpectedly(error);
      });
  }

  #route(): void {
    if (this.#gone) return;
    const exchange = this.#exchange;
    const { table } = this.#options;
    const match = table.match(exchange);
    if (match === undefined) {
      const { global } = table;
      if (global === undefined) {
        this.#fail(new GatewayError('ROUTE_NOT_FOUND'));
        return;
      }
      exchange.pipeline = acquire({ global, route: undefined });
      this.#run(global.access, RunningExchange.#next.notFound);
      return;
    }
    let ready;
    try {
      ready = match.value.ready();
    } catch (error) {
      this.#refuseUncompiled(`route ${match.value.id}`, error);
      return;
    }
    this.#ready = ready;
    exchange.route = ready.matched;
    exchange.params = match.params;
    exchange.pipeline = acquire(ready.active);
    const { global } = ready.active;
    if (global === undefined) this.#rewrite();
    else this.#run(global.access, RunningExchange.#next.rewrite);
  }

  #rewrite(): void {
    const route = this.#exchange.pipeline?.route;
    if (route === undefined) this.#beforeProxy();
    else if (route.rewrite.length === 0) this.#access();
    else this.#run(route.rewrite, RunningExchange.#next.access);
  }

  #access(): void {
    const exchange = this.#exchange;
    const { consumer } = exchange;
    if (consumer !== undefined && this.#ready !== undefined) {
      let active;
      try {
        active = this.#ready.forConsumer(consumer);
      } catch (error) {
        this.#refuseUncompiled(`consumer ${consumer.username}`, error);
        return;
      }
      if (active !== this.#ready.active) {
        const previous = exchange.pipeline;
        exchange.pipeline = acquire(active);
        release(previous);
        const { route } = active;
        if (route !== undefined && route.consumerRewrite.length > 0) {
          this.#run(route.consumerRewrite, RunningExchange.#next.afterRewrite);
          return;
        }
      }
    }
    this.#afterRewrite();
  }

  #afterRewrite(): void {
    const route = this.#exchange.pipeline?.route;
    if (route === undefined || route.access.length === 0) this.#beforeProxy();
    else this.#run(route.access, RunningExchange.#next.beforeProxy);
  }

  #beforeProxy(): void {
    const route = this.#exchange.pipeline?.route;
    if (route === undefined || route.beforeProxy.length === 0) this.#proxy();
    else this.#run(route.beforeProxy, RunningExchange.#next.proxy);
  }

  #proxy(): void {
    const exchange = this.#exchange;
    const upstream = this.#ready?.upstream;
    if (upstream === undefined) {
      this.#fail(new GatewayError('UPSTREAM_MISSING', 'the route has no upstream'));
      return;
    }
    const unsafe = unsafeOverride(exchange.upstream);
    if (unsafe !== undefined) {
      this.#fail(new GatewayError('REQUEST_PATH_REFUSED', unsafe));
      return;
    }
    const websocket = this.#ready?.websocket === true;
    this.#forward = new Forward(exchange, upstream, websocket, this.#context);
    this.#forward.start();
  }

  /** Goes on with `next` when every step passed; answers when one refused. */
  #run(steps: readonly Step[], next: (running: RunningExchange) => void): void {
    const result = runSteps(steps, this.#exchange, this.#exchange.observer, this.#options.log);
    if (result === undefined) next(this);
    else if (result instanceof Promise) {
      result
        .then((reply) => {
          if (this.#gone) return;
          if (reply === undefined) next(this);
          else this.#refuse(reply);
        })
        .catch((error: unknown) => {
          this.failUnexpectedly(error);
        });
    } else this.#refuse(result);
  }

  /** Configuration that cannot be used never lets a request through. */
  #refuseUncompiled(what: string, error: unknown): void {
    this.#exchange.reason = 'configuration.invalid';
    this.#exchange.detail = error instanceof Error ? error.message : String(error);
    this.#options.log.pluginFailed(what, 'compile', error);
    this.#fail(new GatewayError('PLUGIN_UNAVAILABLE'));
  }

  #refuse(reply: Reply): void {
    refuse(this.#exchange, reply, this.#options, this.#context);
  }

  #fail(error: GatewayError): void {
    this.#exchange.detail ??= error.detail;
    this.#refuse({
      status: error.status,
      body: { error_msg: error.publicMessage },
      reason: this.#exchange.reason ?? error.code,
    });
  }
}

function refuse(exchange: ProxyExchange, reply: Reply, options: ProxyOptions, context: ForwardContext): void {
  // A redirect or a plugin's own answer is no refusal.
  if (reply.status >= 400) options.log.refused(exchange, reply, exchange.detail);
  sendReply(exchange, reply, context);
}

function runLog(pipeline: Pipeline, exchange: ProxyExchange, options: ProxyOptions): void {
  for (const plugin of pipeline.log) {
    try {
      if (plugin.filter === undefined || plugin.filter(exchange)) plugin.log?.(exchange);
    } catch (error) {
      options.log.pluginFailed(plugin.name, 'log', error);
    }
  }
}

function acquire<T extends { readonly global: Pipeline | undefined; readonly route: Pipeline | undefined }>(
  active: T,
): T {
  if (active.global !== undefined) active.global.users++;
  if (active.route !== undefined) active.route.users++;
  return active;
}

function release(
  active: { readonly global: Pipeline | undefined; readonly route: Pipeline | undefined } | undefined,
): void {
  if (active === undefined) return;
  letGo(active.global);
  letGo(active.route);
}

function letGo(pipeline: Pipeline | undefined): void {
  if (pipeline !== undefined && --pipeline.users === 0 && pipeline.retired) pipeline.dispose();
}
