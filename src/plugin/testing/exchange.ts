/**
 * One request in memory, for tests of plugins: keeps the Exchange contract (names without case, values validated,
 * arguments decoded) without sockets, router or upstream. What a plugin did to it is read from the same object.
 */
import type { X509Certificate } from 'node:crypto';
import type {
  AuthenticatedConsumer,
  Exchange,
  ExchangeResponse,
  ExchangeTimes,
  HeaderFields,
  MatchedRoute,
  TlsConnection,
  UpstreamRequest,
} from '../exchange.ts';
import { GatewayError } from '../../errors/gateway-error.ts';
import type { Json } from '../../resources/resource.ts';
import { parseJsonBody } from '../json-body.ts';
import { compileVariable } from '../variables.ts';
import { TestHeaders, type HeaderInit } from './headers.ts';

export interface TestExchangeInit {
  readonly method?: string;
  /** Request-target as received; default `/`. */
  readonly target?: string;
  readonly scheme?: 'http' | 'https';
  readonly host?: string;
  readonly remoteAddress?: string;
  readonly headers?: HeaderInit;
  readonly body?: string;
  readonly route?: Partial<MatchedRoute>;
  readonly consumer?: AuthenticatedConsumer;
  readonly response?: {
    readonly status?: number;
    readonly headers?: HeaderInit;
    readonly source?: 'upstream' | 'gateway';
  };
  readonly times?: Partial<ExchangeTimes>;
  readonly upstreamNode?: string;
  readonly bytesReceived?: number;
  readonly bytesSent?: number;
  readonly dryRun?: boolean;
  readonly tls?: TlsConnection;
}

export class TestResponse implements ExchangeResponse {
  status: number;
  readonly headers: HeaderFields;
  readonly source: 'upstream' | 'gateway';
  /** What replaceBody was given last. */
  replacement: string | Uint8Array | undefined = undefined;

  constructor(init: NonNullable<TestExchangeInit['response']>) {
    this.status = init.status ?? 200;
    this.headers = new TestHeaders(init.headers);
    this.source = init.source ?? 'upstream';
  }
  body(): Promise<Uint8Array> {
    return Promise.resolve(new Uint8Array());
  }
  replaceBody(body: string | Uint8Array): void {
    this.replacement = body;
  }
}

export class TestExchange implements Exchange {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly target: string;
  readonly httpVersion = '1.1';
  readonly scheme: 'http' | 'https';
  readonly host: string;
  remoteAddress: string;
  remotePort = 51234;
  readonly peerAddress: string;
  readonly tls: TlsConnection | undefined;
  readonly serverAddress = '127.0.0.1';
  readonly serverPort = 9080;
  readonly headers: TestHeaders;
  readonly params: ReadonlyMap<string, string> = new Map();
  readonly route: MatchedRoute | undefined;
  readonly upstream: UpstreamRequest = {
    method: undefined,
    path: undefined,
    query: undefined,
    host: undefined,
    scheme: undefined,
  };
  readonly upstreamNode: string | undefined;
  readonly upstreamStatuses: readonly number[] = [];
  readonly response: TestResponse;
  readonly times: ExchangeTimes;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  readonly bodyBytesSent = 0;
  readonly reason = undefined;
  readonly dryRun: boolean;
  /** What explain would be told. */
  readonly notes: string[] = [];
  readonly context = new Map<string, Json | object>();
  #body: Uint8Array;
  #consumer: AuthenticatedConsumer | undefined;

  constructor(init: TestExchangeInit = {}) {
    this.method = init.method ?? 'GET';
    this.target = init.target ?? '/';
    const question = this.target.indexOf('?');
    this.path = decodeURIComponent(question === -1 ? this.target : this.target.slice(0, question));
    this.query = question === -1 ? '' : this.target.slice(question + 1);
    this.scheme = init.scheme ?? 'http';
    this.host = init.host ?? 'example.com';
    this.remoteAddress = init.remoteAddress ?? '127.0.0.1';
    this.peerAddress = this.remoteAddress;
    this.headers = new TestHeaders({ Host: this.host, ...init.headers });
    this.route =
      init.route === undefined
        ? undefined
        : {
            id: '1',
            name: undefined,
            uri: '/*',
            host: undefined,
            serviceId: undefined,
            serviceName: undefined,
            labels: {},
            ...init.route,
          };
    this.upstreamNode = init.upstreamNode;
    this.response = new TestResponse(init.response ?? {});
    this.times = {
      start: 0,
      upstreamStart: undefined,
      upstreamConnected: undefined,
      upstreamHead: undefined,
      upstreamEnd: undefined,
      end: undefined,
      ...init.times,
    };
    this.bytesReceived = init.bytesReceived ?? 0;
    this.bytesSent = init.bytesSent ?? 0;
    this.dryRun = init.dryRun ?? false;
    this.tls = init.tls;
    this.#body = Buffer.from(init.body ?? '');
    this.#consumer = init.consumer;
  }

  get clientCertificate(): X509Certificate | undefined {
    return this.tls?.clientCertificate;
  }
  get consumer(): AuthenticatedConsumer | undefined {
    return this.#consumer;
  }
  note(text: string): void {
    this.notes.push(text);
  }
  authenticate(consumer: AuthenticatedConsumer): void {
    this.#consumer = consumer;
  }
  arg(name: string): string | undefined {
    return new URLSearchParams(this.query).get(name) ?? undefined;
  }
  cookie(name: string): string | undefined {
    for (const pair of (this.headers.get('cookie') ?? '').split(';')) {
      const equals = pair.indexOf('=');
      if (equals !== -1 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim();
    }
    return undefined;
  }
  variable(name: string): string | undefined {
    return compileVariable(name)(this);
  }
  observeBody(observe: (piece: Uint8Array) => void): void {
    observe(this.#body);
  }
  async json(maxBytes: number): Promise<Json | undefined> {
    return parseJsonBody(await this.body(maxBytes));
  }
  forwarded(name: string): string | undefined {
    const values = this.headers.getAll(name);
    return values.length === 0 ? undefined : values.join(',');
  }
  setClientAddress(address: string, port: number | undefined): void {
    this.remoteAddress = address;
    if (port !== undefined) this.remotePort = port;
  }
  replaceBody(body: Uint8Array): void {
    this.#body = body;
  }

  /** Without a bound: what the plugin left of it. */
  body(maxBytes = Infinity): Promise<Uint8Array> {
    if (this.#body.length > maxBytes) return Promise.reject(new GatewayError('REQUEST_BODY_TOO_LARGE'));
    return Promise.resolve(this.#body);
  }
}
