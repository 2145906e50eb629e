/**
 * Carries one exchange to an upstream node and its response back: picks, connects, retries what is safe, streams both ways.
 *
 *   pick ──► connect or pooled ──► head sent ──► response head ──► body ──► end
 *     ▲                │ connect failed, time-out       │ closed before any response byte, on a pooled connection
 *     └────────────────┴─────── next node ──────────────┘ or an idempotent request without a body
 *
 * Invariant: a body that left is sent again only if the pooled connection it left on was already closed by its peer.
 */
import { Buffer } from 'node:buffer';
import { STATUS_CODES } from 'node:http';
import { isIP } from 'node:net';
import { performance } from 'node:perf_hooks';
import { GatewayError } from '../../errors/gateway-error.ts';
import type { Reply } from '../../plugin/plugin.ts';
import type { ProxyExchange } from '../exchange.ts';
import { ResponseState } from '../exchange.ts';
import type { BodySink } from '../http1/body-sink.ts';
import { FieldKind } from '../http1/field-names.ts';
import type { Fields } from '../http1/fields.ts';
import { BodyLength, type ResponseHead } from '../http1/parse-head.ts';
import type { CompiledPlugin, CompiledUpstream, Step } from '../pipeline/compiled.ts';
import { runSteps } from '../pipeline/run.ts';
import {
  bodyFilters,
  filterWhole,
  type ResponseContext,
  runBodyFilters,
  runHeaderFilters,
  serialiseResponseFields,
} from '../response.ts';
import type { ResponseSink, UpstreamConnection } from './connection.ts';
import type { ConnectionPool } from './pool.ts';
import { HeldResponse } from './held-response.ts';
import { upstreamHead, upstreamHost } from './request-head.ts';
import type { Endpoint } from './target.ts';

export interface ForwardContext extends ResponseContext {
  readonly pool: ConnectionPool;
  readonly showUpstreamStatus: boolean;
  readonly maxBodyBytes: number;
  /** The exchange failed before any response byte went to the client. */
  onFailed(exchange: ProxyExchange, error: GatewayError): void;
  /** A plugin answered in the place of the upstream's response, of which nothing was sent. */
  onRefused(exchange: ProxyExchange, reply: Reply): void;
  /** A node failed, another may be tried. For the log. */
  onAttemptFailed(exchange: ProxyExchange, endpoint: Endpoint, error: GatewayError): void;
  /** Passive health. */
  onOutcome(upstream: CompiledUpstream, endpoint: Endpoint, outcome: number | GatewayError): void;
}

/** Body bytes kept to be sent again when a pooled connection turns out to be closed. */
const maxReplayBytes = 65_536;
const idempotent = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']);
const noEndpoints: readonly Endpoint[] = [];
const noSteps: readonly Step[] = [];

export class Forward implements ResponseSink {
  readonly #exchange: ProxyExchange;
  readonly #upstream: CompiledUpstream;
  readonly #context: ForwardContext;
  readonly #websocket: boolean;
  #tried: Endpoint[] | undefined;
  #endpoint: Endpoint | undefined;
  #connection: UpstreamConnection | undefined;
  #reused = false;
  #freshOnly = false;
  #attempts = 0;
  #attemptStart = 0;
  #responseStarted = false;
  /** The response came in one read so far: its end has the time of its head. */
  #oneRead = false;
  #finished = false;
  #filters: readonly CompiledPlugin[] | undefined;
  #dropBody = false;
  #tunnel = false;
  /** The response that plugins judge before any of it is sent. */
  #held: HeldResponse | undefined;
  // Request body.
  #replay: Buffer[] | undefined;
  #replayBytes = 0;
  #bodyStarted = false;
  #bodyEnded = false;
  #bodyBytes = 0;
  #chunkedBody = false;
  #trailers = '';

  constructor(exchange: ProxyExchange, upstream: CompiledUpstream, websocket: boolean, context: ForwardContext) {
    this.#exchange = exchange;
    this.#upstream = upstream;
    this.#context = context;
    this.#websocket = websocket;
  }

  start(): void {
    const pending = this.#upstream.target.ready();
    if (pending === undefined) this.#attempt();
    else
      pending
        .then(() => {
          if (!this.#finished) this.#attempt();
        })
        .catch((error: unknown) => {
          this.#failUnexpectedly(error);
        });
  }

  /** The client is gone: the upstream's work is of no use any more. */
  abort(): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#connection?.destroy();
    this.#releaseEndpoint(true);
    this.#held?.onError(new GatewayError('CLIENT_CLOSED'));
  }

  /** The client takes bytes again. */
  clientDrained(): void {
    this.#connection?.resume();
  }

  // ---- attempts -----------------------------------------------------------------------------------------------------

  #attempt(): void {
    const { target } = this.#upstream;
    const endpoint = target.pick(this.#exchange, this.#tried ?? noEndpoints);
    if (endpoint === undefined) {
      // There are nodes, and none has an address: their names could not be resolved.
      const code =
        this.#attempts > 0
          ? 'UPSTREAM_CONNECT_FAILED'
          : target.nodeCount > 0
            ? 'UPSTREAM_RESOLVE_FAILED'
            : 'UPSTREAM_NO_NODE';
      this.#fail(new GatewayError(code, 'no node left to try'));
      return;
    }
    this.#attempts++;
    this.#connectTo(endpoint);
  }

  #connectTo(endpoint: Endpoint): void {
    const exchange = this.#exchange;
    const upstream = this.#upstream;
    const { times } = exchange;
    this.#endpoint = endpoint;
    exchange.upstreamNode = endpoint.label;
    this.#attemptStart = performance.now();
    times.upstreamStarted ||= this.#attemptStart;
    times.upstreamConnectedAt = 0;
    const secure = (exchange.upstream.scheme ?? upstream.scheme) === 'https';
    const servername = secure ? sniName(upstreamHost(exchange, upstream, endpoint)) : '';
    const key = secure ? `${plainKey(endpoint)}|${upstream.poolPrefix}|${servername}` : plainKey(endpoint);
    const { pool } = this.#context;
    const pooled = this.#freshOnly ? undefined : pool.take(key, this);
    if (pooled !== undefined) {
      this.#reused = true;
      this.#connection = pooled;
      times.upstreamConnectedAt = this.#attemptStart;
      this.#send(pooled, endpoint);
      return;
    }
    this.#reused = false;
    try {
      this.#connection = pool.connect(
        key,
        endpoint.address,
        endpoint.port,
        secure ? { servername, verify: upstream.tlsVerify, cert: upstream.tlsCert, key: upstream.tlsKey } : undefined,
        upstream.connectTimeoutMs,
        upstream.pool,
        this,
      );
    } catch (cause) {
      const detail = cause instanceof Error ? cause.message : String(cause);
      this.onError(new GatewayError('UPSTREAM_TLS_FAILED', detail, { cause }));
    }
  }

  onConnect(): void {
    this.#exchange.times.upstreamConnectedAt = performance.now();
    if (this.#connection !== undefined && this.#endpoint !== undefined) this.#send(this.#connection, this.#endpoint);
  }

  #send(connection: UpstreamConnection, endpoint: Endpoint): void {
    const exchange = this.#exchange;
    const upstream = this.#upstream;
    const { bufferedBody } = exchange;
    const streams = bufferedBody === undefined && (exchange.connection.hasBody || this.#bodyStarted);
    const { bodyLength } = exchange.head;
    this.#chunkedBody = streams && bodyLength === BodyLength.chunked;
    const framing =
      bufferedBody !== undefined
        ? `Content-Length: ${bufferedBody.length}\r\n`
        : this.#chunkedBody
          ? 'Transfer-Encoding: chunked\r\n'
          : exchange.head.hasContentLength
            ? `Content-Length: ${Math.max(bodyLength, 0)}\r\n`
            : '';
    const text = upstreamHead(exchange, upstream, endpoint, framing, this.#websocket);
    const headRequest = (exchange.upstream.method ?? exchange.method) === 'HEAD';
    if (bufferedBody !== undefined) {
      connection.cork();
      connection.sendHead(text, headRequest, bufferedBody.length > 0, upstream.sendTimeoutMs, upstream.readTimeoutMs);
      if (bufferedBody.length > 0) {
        connection.writeBody(bufferedBody);
        connection.endBody();
      }
      connection.uncork();
      return;
    }
    if (!streams) {
      connection.sendHead(text, headRequest, false, upstream.sendTimeoutMs, upstream.readTimeoutMs);
      return;
    }
    connection.cork();
    connection.sendHead(text, headRequest, true, upstream.sendTimeoutMs, upstream.readTimeoutMs);
    for (const piece of this.#replay ?? []) this.#writePiece(connection, piece);
    if (this.#bodyEnded) this.#endUpstreamBody(connection);
    if (!this.#bodyStarted) {
      this.#bodyStarted = true;
      this.#replay = [];
      exchange.connection.readBody(this.#bodySink());
    } else exchange.connection.resumeBody();
    connection.uncork();
  }

  // ---- request body -------------------------------------------------------------------------------------------------

  #bodySink(): BodySink {
    return {
      onData: (piece) => {
        this.#exchange.bodyPassed(piece);
        this.#bodyBytes += piece.length;
        const { maxBodyBytes } = this.#context;
        if (maxBodyBytes > 0 && this.#bodyBytes > maxBodyBytes) {
          this.#fail(new GatewayError('REQUEST_BODY_TOO_LARGE'));
          return;
        }
        if (this.#replay !== undefined) {
          this.#replayBytes += piece.length;
          if (this.#replayBytes > maxReplayBytes) this.#replay = undefined;
          else this.#replay.push(Buffer.from(piece));
        }
        const connection = this.#connection;
        if (connection === undefined || this.#finished) return;
        if (!this.#writePiece(connection, piece)) this.#exchange.connection.pauseBody();
      },
      onEnd: (trailers) => {
        this.#bodyEnded = true;
        this.#trailers = trailers === undefined ? '' : serialiseTrailers(trailers);
        if (this.#connection !== undefined && !this.#finished) this.#endUpstreamBody(this.#connection);
      },
      onError: (error) => {
        this.#bodyFailed(error);
      },
    };
  }

  #writePiece(connection: UpstreamConnection, piece: Buffer): boolean {
    if (!this.#chunkedBody) return connection.writeBody(piece);
    connection.cork();
    connection.writeBody(`${piece.length.toString(16)}\r\n`);
    connection.writeBody(piece);
    const room = connection.writeBody('\r\n');
    connection.uncork();
    return room;
  }

  #endUpstreamBody(connection: UpstreamConnection): void {
    if (this.#chunkedBody) connection.writeBody(`0\r\n${this.#trailers}\r\n`);
    connection.endBody();
  }

  /** The client's body broke off: the upstream must not take what came for the whole. */
  #bodyFailed(error: GatewayError): void {
    if (this.#finished) return;
    if (this.#responseStarted) {
      this.#finished = true;
      this.#connection?.destroy();
      this.#releaseEndpoint(false);
      this.#exchange.connection.abortResponse();
      return;
    }
    this.#fail(error);
  }

  onDrain(): void {
    if (this.#tunnel) this.#exchange.connection.resumeTunnel();
    else this.#exchange.connection.resumeBody();
  }

  // ---- response -----------------------------------------------------------------------------------------------------

  onInformational(head: ResponseHead): void {
    // 100 is between the upstream and us: the client had its own (RFC 9110 §15.2.1).
    if (head.status === 100) return;
    this.#exchange.connection.sendInformational(
      `HTTP/1.1 ${head.status} ${head.reason}\r\n${serialiseTrailers(head.fields)}\r\n`,
    );
  }

  onHead(head: ResponseHead): void {
    const exchange = this.#exchange;
    const context = this.#context;
    this.#responseStarted = true;
    this.#replay = undefined;
    exchange.times.upstreamHeadAt = performance.now();
    this.#oneRead = true;
    exchange.upstreamStatuses = this.#attempts === 1 ? [head.status] : [...exchange.upstreamStatuses, head.status];
    const upstream = this.#upstream;
    if (upstream.reportsHealth && this.#endpoint !== undefined)
      context.onOutcome(upstream, this.#endpoint, head.status);
    const response = new ResponseState(head.status, head.fields, 'upstream');
    exchange.responseState = response;
    const steps = responseSteps(exchange);
    if (steps !== undefined) {
      this.#hold(head, response, steps);
      return;
    }
    if (head.status === 101) {
      this.#startTunnel(head, response);
      return;
    }
    this.#sendHead(head, response);
  }

  #sendHead(head: ResponseHead, response: ResponseState): void {
    const exchange = this.#exchange;
    const context = this.#context;
    if (context.showUpstreamStatus || head.status >= 500)
      response.headers.set('X-APISIX-Upstream-Status', String(head.status));
    runHeaderFilters(exchange, context);
    this.#filters = bodyFilters(exchange);
    const { connection } = exchange;
    const { replacement } = response;
    const bytes =
      replacement === undefined || this.#filters === undefined
        ? replacement
        : filterWhole(this.#filters, exchange, response, replacement, context);
    const fields = serialiseResponseFields(response, context);
    const reason = response.status === head.status ? head.reason : (STATUS_CODES[response.status] ?? '');
    if (bytes !== undefined) {
      this.#dropBody = true;
      connection.startResponse(response.status, reason, fields, bytes.length, bytes.length);
      connection.writeBody(bytes);
      return;
    }
    if (this.#filters !== undefined) connection.startResponse(response.status, reason, fields, BodyLength.untilClose);
    else connection.startResponse(response.status, reason, fields, head.bodyLength, head.contentLength);
  }

  /** Plugins look at the response; what comes of it meanwhile is kept, within a bound. */
  #hold(head: ResponseHead, response: ResponseState, steps: readonly Step[]): void {
    const socket = this.#connection;
    if (head.status === 101 || socket === undefined) {
      this.#fail(new GatewayError('PLUGIN_UNAVAILABLE', 'a plugin is to see the response, and 101 has none'));
      return;
    }
    this.#oneRead = false;
    const held = new HeldResponse(socket);
    this.#held = held;
    response.readBody = (maxBytes) => held.body(maxBytes);
    const log = { pluginFailed: this.#context.onPluginFailure.bind(this.#context) };
    Promise.resolve(runSteps(steps, this.#exchange, undefined, log))
      .then((reply) => {
        response.readBody = undefined;
        this.#held = undefined;
        if (this.#finished) return;
        if (reply !== undefined) this.#refuse(reply);
        else this.#letGo(head, response, held);
      })
      .catch((error: unknown) => {
        this.#failUnexpectedly(error);
      });
  }

  /** A reply that cannot be sent, or a defect of the gateway: nobody but us would hear of it, and the client would wait for ever. */
  #failUnexpectedly(error: unknown): void {
    this.#context.onPluginFailure('gateway', 'upstream', error);
    const { connection, finished } = this.#exchange;
    const answered = connection.responding || finished;
    this.#finished = true;
    this.#connection?.destroy();
    this.#connection = undefined;
    this.#releaseEndpoint(true);
    if (answered) connection.abortResponse();
    else this.#context.onFailed(this.#exchange, new GatewayError('PLUGIN_FAILED'));
  }

  #refuse(reply: Reply): void {
    this.#finished = true;
    this.#connection?.destroy();
    this.#connection = undefined;
    this.#releaseEndpoint(false);
    this.#exchange.times.upstreamEnded = performance.now();
    this.#context.onRefused(this.#exchange, reply);
  }

  #letGo(head: ResponseHead, response: ResponseState, held: HeldResponse): void {
    this.#sendHead(head, response);
    for (const piece of held.take()) this.onData(piece, 0, piece.length);
    if (held.ended) this.onEnd(held.trailers);
    else this.#connection?.resume();
  }

  onData(buffer: Buffer, from: number, to: number): void {
    if (this.#held !== undefined) {
      this.#held.onData(Buffer.from(buffer.subarray(from, to)));
      return;
    }
    if (this.#dropBody) return;
    const { connection } = this.#exchange;
    let room;
    if (this.#filters === undefined) room = connection.writeBody(buffer, from, to);
    else {
      // A filter may keep what it gets: it owns a copy.
      const bytes = this.#filterBody(Buffer.from(buffer.subarray(from, to)), false);
      if (bytes === undefined) return;
      room = connection.writeBody(bytes);
    }
    if (!room) this.#connection?.pause();
  }

  onFlush(): void {
    this.#oneRead = false;
    if (this.#held !== undefined) return;
    if (!this.#exchange.connection.flush()) this.#connection?.pause();
  }

  onEnd(trailers: Fields | undefined): void {
    if (this.#finished || this.#tunnel) return;
    if (this.#held !== undefined) {
      // It may serve another exchange already.
      this.#connection = undefined;
      this.#held.onEnd(trailers);
      return;
    }
    const { connection } = this.#exchange;
    if (this.#filters !== undefined && !this.#dropBody) {
      const rest = this.#filterBody(new Uint8Array(), true);
      if (rest === undefined) return;
      connection.writeBody(rest);
    }
    this.#complete();
    connection.endResponse(trailers === undefined ? '' : serialiseTrailers(trailers));
    this.#context.onFinished(this.#exchange);
  }

  #filterBody(piece: Uint8Array, last: boolean): Buffer | undefined {
    try {
      return runBodyFilters(this.#filters ?? [], this.#exchange, piece, last, this.#context);
    } catch {
      // Half a response left already: only a broken connection tells the client.
      this.#finished = true;
      this.#connection?.destroy();
      this.#releaseEndpoint(false);
      this.#exchange.connection.abortResponse();
      return undefined;
    }
  }

  #complete(): void {
    this.#finished = true;
    const { times } = this.#exchange;
    const now = this.#oneRead ? times.upstreamHeadAt : performance.now();
    times.upstreamEnded = now;
    times.ended = now;
    this.#releaseEndpoint(false, now);
    this.#connection = undefined;
  }

  onError(error: GatewayError): void {
    if (this.#finished) return;
    const endpoint = this.#endpoint;
    const upstream = this.#upstream;
    if (this.#held !== undefined) {
      this.#fail(error);
      this.#held.onError(error);
      return;
    }
    if (this.#responseStarted) {
      this.#finished = true;
      this.#releaseEndpoint(true);
      this.#exchange.reason = error.code;
      this.#exchange.detail = 'the upstream broke off inside its response';
      this.#exchange.connection.abortResponse();
      return;
    }
    if (endpoint === undefined) return;
    const stale = this.#reused && error.code === 'UPSTREAM_CLOSED';
    const replayable = !this.#bodyStarted || this.#replay !== undefined;
    if (stale && replayable) {
      // The peer had closed the idle connection: the same node, on a new one, and no attempt is counted.
      this.#freshOnly = true;
      this.#connectTo(endpoint);
      return;
    }
    if (upstream.reportsHealth) this.#context.onOutcome(upstream, endpoint, error);
    this.#releaseEndpoint(true);
    const unsent = error.retry === 'safe' && (!this.#bodyStarted || this.#replay !== undefined);
    const repeatable =
      !this.#bodyStarted &&
      this.#exchange.bufferedBody === undefined &&
      idempotent.has(this.#exchange.method) &&
      error.source === 'upstream' &&
      error.code !== 'UPSTREAM_MALFORMED';
    const retries = upstream.retries ?? upstream.target.nodeCount - 1;
    const inTime =
      upstream.retryTimeoutMs === 0 ||
      performance.now() - this.#exchange.times.upstreamStarted < upstream.retryTimeoutMs;
    if ((unsent || repeatable) && this.#attempts <= retries && inTime) {
      this.#exchange.upstreamStatuses = [...this.#exchange.upstreamStatuses, error.status];
      this.#context.onAttemptFailed(this.#exchange, endpoint, error);
      (this.#tried ??= []).push(endpoint);
      this.#attempt();
      return;
    }
    this.#exchange.upstreamStatuses = [...this.#exchange.upstreamStatuses, error.status];
    this.#fail(error);
  }

  #fail(error: GatewayError): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#connection?.destroy();
    this.#connection = undefined;
    this.#releaseEndpoint(true);
    this.#exchange.times.upstreamEnded = performance.now();
    this.#context.onFailed(this.#exchange, error);
  }

  #releaseEndpoint(failed: boolean, now = performance.now()): void {
    const endpoint = this.#endpoint;
    if (endpoint === undefined) return;
    this.#endpoint = undefined;
    this.#upstream.target.done(endpoint, { latencyMs: now - this.#attemptStart, failed });
  }

  // ---- tunnel (101) -------------------------------------------------------------------------------------------------

  #startTunnel(head: ResponseHead, response: ResponseState): void {
    const upgrade = head.fields.get('upgrade');
    const upstream = this.#connection;
    if (
      !this.#websocket ||
      this.#exchange.head.upgrade === undefined ||
      upgrade === undefined ||
      upstream === undefined
    ) {
      this.#fail(new GatewayError('UPSTREAM_MALFORMED', '101 that nobody asked for'));
      return;
    }
    this.#tunnel = true;
    runHeaderFilters(this.#exchange, this.#context);
    upstream.startTunnel();
    const text = `HTTP/1.1 101 ${head.reason}\r\n${serialiseResponseFields(response, this.#context)}Connection: upgrade\r\nUpgrade: ${upgrade}\r\n\r\n`;
    this.#exchange.connection.startTunnel(
      text,
      (piece) => upstream.writeTunnel(piece),
      () => {
        upstream.endTunnel();
      },
    );
  }

  onTunnel(piece: Buffer): void {
    if (!this.#exchange.connection.writeTunnel(piece)) this.#connection?.pause();
  }

  onTunnelEnd(): void {
    if (this.#finished) return;
    this.#complete();
    this.#exchange.connection.endTunnel();
    this.#context.onFinished(this.#exchange);
  }
}

/** undefined nearly always: no plugin of this request judges responses. */
function responseSteps({ pipeline }: ProxyExchange): readonly Step[] | undefined {
  if (pipeline === undefined) return undefined;
  const global = pipeline.global?.upstreamResponse ?? noSteps;
  const route = pipeline.route?.upstreamResponse ?? noSteps;
  if (route.length === 0) return global.length === 0 ? undefined : global;
  return global.length === 0 ? route : [...global, ...route];
}

function serialiseTrailers(fields: Fields): string {
  let text = '';
  for (let i = 0; i < fields.length; i++) {
    if (fields.known[i]?.kind === FieldKind.plain) text += `${fields.names[i] ?? ''}: ${fields.values[i] ?? ''}\r\n`;
  }
  return text;
}

const plainKeys = new WeakMap<Endpoint, string>();
/** Pool key of an endpoint without TLS, made once. */
function plainKey(endpoint: Endpoint): string {
  let key = plainKeys.get(endpoint);
  if (key === undefined) plainKeys.set(endpoint, (key = `${endpoint.address}|${endpoint.port}`));
  return key;
}

/** RFC 6066 §3: no addresses in SNI. */
function sniName(host: string): string {
  const name = host.replace(/:\d*$/, '');
  return isIP(name.replace(/^\[|\]$/g, '')) === 0 ? name : '';
}
