/**
 * One request and its response: implements what plugins see (`plugin/exchange.ts`) over a client connection.
 * Made when a head was read; lives until the log phase. Everything that costs is computed on first use.
 */
import { Buffer } from 'node:buffer';
import type { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { performance } from 'node:perf_hooks';
import { GatewayError } from '../errors/gateway-error.ts';
import type {
  AuthenticatedConsumer,
  Exchange,
  ExchangeResponse,
  ExchangeTimes,
  MatchedRoute,
  TlsConnection,
  UpstreamRequest,
} from '../plugin/exchange.ts';
import { parseJsonBody } from '../plugin/json-body.ts';
import { parseCookies, parseQuery } from '../plugin/request-data.ts';
import { compileVariable } from '../plugin/variables.ts';
import type { Json } from '../resources/resource.ts';
import { type Authority, parseAuthority } from './authority.ts';
import type { ClientConnection } from './http1/client-connection.ts';
import { FieldKind, type FieldName } from './http1/field-names.ts';
import { Fields } from './http1/fields.ts';
import type { RequestHead } from './http1/parse-head.ts';
import { normalisePath, normaliseServletPath } from './path.ts';
import type { ActivePipeline, CompiledRoute } from './pipeline/compiled.ts';
import type { StepObserver } from './pipeline/run.ts';

/** What the proxy believes of its peers, and how it reads their paths; compiled from the settings. */
export interface PeerTrust {
  /** `real_ip_from`. */
  readonly realIpFrom: (address: string) => boolean;
  readonly realIpHeader: string;
  readonly realIpRecursive: boolean;
  /** `apisix.trusted_addresses`: X-Forwarded-* of these peers are kept. */
  readonly forwardedFrom: (address: string) => boolean;
  readonly underscoresInHeaders: boolean;
  /** `normalize_uri_like_servlet`: rules do not see what follows a `;` in a segment of the path. */
  readonly servletPaths?: boolean;
}

export class ResponseState implements ExchangeResponse {
  status: number;
  readonly headers: Fields;
  readonly source: 'upstream' | 'gateway';
  replacement: Buffer | undefined;
  /** Reads the body that is held back for upstreamResponse; undefined in every other phase. */
  readBody: ((maxBytes: number) => Promise<Uint8Array>) | undefined;

  constructor(status: number, headers: Fields, source: 'upstream' | 'gateway') {
    this.status = status;
    this.headers = headers;
    this.source = source;
    this.replacement = undefined;
    this.readBody = undefined;
  }

  body(maxBytes: number): Promise<Uint8Array> {
    return this.readBody?.(maxBytes) ?? Promise.reject(new TypeError('the response body is not held in this phase'));
  }

  replaceBody(body: string | Uint8Array): void {
    this.replacement = Buffer.from(body);
  }
}

/** Milliseconds of performance.now(); 0 until it happened. */
export class Times implements ExchangeTimes {
  readonly start: number = performance.now();
  upstreamStarted = 0;
  upstreamConnectedAt = 0;
  upstreamHeadAt = 0;
  upstreamEnded = 0;
  ended = 0;

  get upstreamStart(): number | undefined {
    return this.upstreamStarted || undefined;
  }
  get upstreamConnected(): number | undefined {
    return this.upstreamConnectedAt || undefined;
  }
  get upstreamHead(): number | undefined {
    return this.upstreamHeadAt || undefined;
  }
  get upstreamEnd(): number | undefined {
    return this.upstreamEnded || undefined;
  }
  get end(): number | undefined {
    return this.ended || undefined;
  }
}

class UpstreamOverrides implements UpstreamRequest {
  method: string | undefined = undefined;
  path: string | undefined = undefined;
  query: string | undefined = undefined;
  host: string | undefined = undefined;
  scheme: 'http' | 'https' | undefined = undefined;
}

const noParams: ReadonlyMap<string, string> = new Map();
const noStatuses: readonly number[] = [];

export class ProxyExchange implements Exchange {
  readonly connection: ClientConnection;
  readonly head: RequestHead;
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly target: string;
  /** Origin-form path as it goes upstream when no plugin changes it. */
  readonly encodedPath: string;
  readonly authority: Authority;
  readonly host: string;
  readonly headers: Fields;
  readonly scheme: 'http' | 'https';
  remoteAddress: string;
  readonly upstream: UpstreamRequest = new UpstreamOverrides();
  readonly times = new Times();

  params: ReadonlyMap<string, string> = noParams;
  compiledRoute: CompiledRoute | undefined = undefined;
  pipeline: ActivePipeline | undefined = undefined;
  route: MatchedRoute | undefined = undefined;
  consumer: AuthenticatedConsumer | undefined = undefined;
  upstreamNode: string | undefined = undefined;
  upstreamStatuses: readonly number[] = noStatuses;
  responseState: ResponseState | undefined = undefined;
  reason: string | undefined = undefined;
  detail: string | undefined = undefined;
  /** The body, once something buffered it. */
  bufferedBody: Buffer | undefined = undefined;
  /** The log phase has run. */
  finished = false;
  /** Explain listens to every step; undefined on the request path. */
  observer: StepObserver | undefined = undefined;
  dryRun = false;
  #args: Map<string, string> | undefined;
  #cookies: Map<string, string> | undefined;
  #context: Map<string, Json | object> | undefined;
  #body: Promise<Uint8Array> | undefined;
  #clientPort: number | undefined;
  #bodyObservers: ((piece: Uint8Array) => void)[] | undefined;
  /** What `#dropFields` took of an untrusted peer's forwarding fields: [lower-case name, value]. */
  #untrusted: [string, string][] | undefined;

  /** Throws GatewayError for a target, path or Host that cannot be served. */
  constructor(connection: ClientConnection, head: RequestHead, trust: PeerTrust) {
    this.connection = connection;
    this.head = head;
    this.method = head.method;
    this.headers = head.fields;
    this.scheme = connection.tls === undefined ? 'http' : 'https';
    const { target, queryStart } = head;
    this.target = target;
    this.query = queryStart < 0 ? '' : target.slice(queryStart + 1);
    let path = queryStart < 0 ? target : target.slice(0, queryStart);
    let host = head.host ?? '';
    if (!path.startsWith('/')) {
      const absolute = /^https?:\/\/([^/?]*)(.*)$/i.exec(path);
      if (absolute !== null) {
        // RFC 9112 §3.2.2: the authority of an absolute-form target overrides Host.
        host = absolute[1] ?? '';
        path = absolute[2] === '' || absolute[2] === undefined ? '/' : absolute[2];
        if (host === '') throw new GatewayError('REQUEST_MALFORMED', 'no authority in an absolute-form target');
        this.headers.set('Host', host);
      } else if (path !== '*' || head.method !== 'OPTIONS') {
        throw new GatewayError('REQUEST_MALFORMED', 'the target is neither origin-form nor absolute-form');
      }
    }
    // The requests of a connection mostly name one host.
    this.authority = connection.authority?.raw === host ? connection.authority : parseAuthority(host);
    connection.authority = this.authority;
    this.host = this.authority.host;
    if (trust.servletPaths === true && path.includes(';')) {
      const normal = normaliseServletPath(path);
      this.path = normal.path;
      this.encodedPath = normal.encoded;
    } else if (head.needsNormalising && path !== '*') {
      const normal = normalisePath(path);
      this.path = normal.path;
      this.encodedPath = normal.encoded;
    } else {
      this.path = path;
      this.encodedPath = path;
    }
    this.remoteAddress = this.#takeClientFields(trust);
  }

  get httpVersion(): '1.0' | '1.1' {
    return this.head.minor === 0 ? '1.0' : '1.1';
  }
  get remotePort(): number {
    return this.#clientPort ?? this.connection.remotePort;
  }
  get peerAddress(): string {
    return this.connection.remoteAddress;
  }
  get tls(): TlsConnection | undefined {
    return this.connection.tls;
  }
  get clientCertificate(): X509Certificate | undefined {
    return this.connection.tls?.clientCertificate;
  }
  get serverAddress(): string {
    return this.connection.localAddress;
  }
  get serverPort(): number {
    return this.connection.localPort;
  }
  get bytesReceived(): number {
    return this.connection.bytesReceived;
  }
  get bytesSent(): number {
    return this.connection.bytesSent;
  }
  get bodyBytesSent(): number {
    return this.connection.bodyBytesSent;
  }
  get context(): Map<string, Json | object> {
    return (this.#context ??= new Map());
  }
  get response(): ExchangeResponse {
    return (this.responseState ??= new ResponseState(0, new Fields(), 'gateway'));
  }

  arg(name: string): string | undefined {
    if (this.query === '') return undefined;
    return (this.#args ??= parseQuery(this.query)).get(name);
  }

  cookie(name: string): string | undefined {
    return (this.#cookies ??= parseCookies(this.headers.getAll('cookie'))).get(name);
  }

  variable(name: string): string | undefined {
    return compileVariable(name)(this);
  }

  forwarded(name: string): string | undefined {
    const lower = name.toLowerCase();
    const values = this.headers.getAll(lower);
    for (const [field, value] of this.#untrusted ?? []) if (field === lower) values.push(value);
    return values.length === 0 ? undefined : values.join(',');
  }

  setClientAddress(address: string, port: number | undefined): void {
    this.remoteAddress = address;
    this.#clientPort = port;
  }

  note(text: string): void {
    this.observer?.onNote(text);
  }

  authenticate(consumer: AuthenticatedConsumer): void {
    this.consumer = consumer;
    const { headers } = this;
    headers.set('X-Consumer-Username', consumer.username);
    if (consumer.credentialId !== undefined) headers.set('X-Credential-Identifier', consumer.credentialId);
    if (consumer.customId !== undefined) headers.set('X-Consumer-Custom-ID', consumer.customId);
  }

  async body(maxBytes: number): Promise<Uint8Array> {
    const body = await (this.#body ??= this.#readBody(maxBytes));
    // Another plugin may have read it within a larger bound.
    if (body.length > maxBytes) throw new GatewayError('REQUEST_BODY_TOO_LARGE');
    return body;
  }

  async json(maxBytes: number): Promise<Json | undefined> {
    return parseJsonBody(await this.body(maxBytes));
  }

  replaceBody(body: Uint8Array): void {
    if (this.connection.hasBody && this.bufferedBody === undefined)
      throw new TypeError('replaceBody before the body was read');
    this.bufferedBody = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
    this.#body = Promise.resolve(this.bufferedBody);
  }

  observeBody(observe: (piece: Uint8Array) => void): void {
    if (this.bufferedBody !== undefined) observe(this.bufferedBody);
    else (this.#bodyObservers ??= []).push(observe);
  }

  /** Whoever reads the body tells of each piece. */
  bodyPassed(piece: Uint8Array): void {
    if (this.#bodyObservers !== undefined) for (const observe of this.#bodyObservers) observe(piece);
  }

  #readBody(maxBytes: number): Promise<Uint8Array> {
    if (!this.connection.hasBody) return Promise.resolve(new Uint8Array());
    if (this.head.bodyLength > maxBytes) return Promise.reject(new GatewayError('REQUEST_BODY_TOO_LARGE'));
    return new Promise((resolve, reject) => {
      const pieces: Buffer[] = [];
      let bytes = 0;
      let failed = false;
      this.connection.readBody({
        onData: (piece) => {
          this.bodyPassed(piece);
          bytes += piece.length;
          if (bytes <= maxBytes) pieces.push(Buffer.from(piece));
          else if (!failed) {
            failed = true;
            pieces.length = 0;
            this.connection.pauseBody();
            reject(new GatewayError('REQUEST_BODY_TOO_LARGE'));
          }
        },
        onEnd: () => {
          this.bufferedBody = Buffer.concat(pieces);
          resolve(this.bufferedBody);
        },
        onError: reject,
      });
    });
  }

  /** Drops what a client may not set, and resolves the client's address. */
  #takeClientFields(trust: PeerTrust): string {
    const { headers } = this;
    const peer = this.connection.remoteAddress;
    let drop = false;
    let forwarded = false;
    for (let i = 0; i < headers.length; i++) {
      const { kind } = headers.known[i] as FieldName;
      if (kind >= FieldKind.forwarded) {
        if (kind === FieldKind.forwarded || kind === FieldKind.forwardedOther) forwarded = true;
        else if (kind <= FieldKind.alias) drop = true;
      }
    }
    let address = peer;
    if (forwarded) {
      if (trust.realIpFrom(peer)) address = realAddress(headers, peer, trust);
      drop ||= !trust.forwardedFrom(peer);
    } else if (
      trust.realIpHeader !== 'x-real-ip' &&
      trust.realIpHeader !== 'x-forwarded-for' &&
      trust.realIpFrom(peer)
    ) {
      address = realAddress(headers, peer, trust);
    }
    if (drop || !trust.underscoresInHeaders)
      this.#dropFields(!forwarded || trust.forwardedFrom(peer), trust.underscoresInHeaders);
    return address;
  }

  #dropFields(keepForwarded: boolean, keepUnderscores: boolean): void {
    const { headers } = this;
    for (let i = headers.length - 1; i >= 0; i--) {
      const known = headers.known[i];
      if (known === undefined) continue;
      const { kind } = known;
      if (
        kind === FieldKind.identity ||
        kind === FieldKind.alias ||
        ((kind === FieldKind.forwarded || kind === FieldKind.forwardedOther) && !keepForwarded) ||
        (!keepUnderscores && known.lower.includes('_'))
      ) {
        // Walked backwards, kept in order.
        if (kind === FieldKind.forwarded) (this.#untrusted ??= []).unshift([known.lower, headers.values[i] ?? '']);
        headers.removeAt(i);
      }
    }
  }
}

/** nginx's realip: the header's last address, or with `recursive` the last one that is not trusted itself. */
function realAddress(headers: Fields, peer: string, trust: PeerTrust): string {
  const values = headers.getAll(trust.realIpHeader).join(',');
  if (values === '') return peer;
  const list = values.split(',').map((item) => item.trim());
  let address = peer;
  for (let i = list.length - 1; i >= 0; i--) {
    const candidate = stripPort(list[i] ?? '');
    if (candidate === undefined) break;
    address = candidate;
    if (!trust.realIpRecursive || !trust.realIpFrom(address)) break;
  }
  return address;
}

function stripPort(item: string): string | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\](?::\d+)?|(\d{1,3}(?:\.\d{1,3}){3})(?::\d+)?|([0-9A-Fa-f:.]+))$/.exec(item);
  const address = match?.[1] ?? match?.[2] ?? match?.[3];
  return address !== undefined && isIP(address) !== 0 ? address : undefined;
}
