/**
 * One request and its response: what plugins, the expression language and the log see.
 * `src/proxy/exchange.ts` implements it. Nothing here is computed before it is asked for.
 */
import type { X509Certificate } from 'node:crypto';
import type { Consumer } from '../resources/consumer.ts';
import type { Json } from '../resources/resource.ts';

/** Header fields in order, names compared without case (RFC 9110 §5.1). Values are Latin-1 text. */
export interface HeaderFields {
  /** First value, or undefined. */
  get(name: string): string | undefined;
  getAll(name: string): string[];
  has(name: string): boolean;
  /** Replaces every field of that name by one. Throws TypeError on a name or value that RFC 9110 §5 forbids (CR, LF, NUL). */
  set(name: string, value: string): void;
  append(name: string, value: string): void;
  remove(name: string): void;
  /** [name as received, value] in order. */
  entries(): Iterable<readonly [string, string]>;
}

export interface AuthenticatedConsumer {
  readonly username: string;
  readonly groupId: string | undefined;
  readonly customId: string | undefined;
  /** Id of the credential that was presented; undefined where the consumer itself held it. */
  readonly credentialId: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly resource: Consumer;
}

export interface MatchedRoute {
  readonly id: string;
  readonly name: string | undefined;
  readonly uri: string;
  readonly host: string | undefined;
  readonly serviceId: string | undefined;
  readonly serviceName: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
}

/** What goes upstream, where it differs from what the client sent. undefined: as received. */
export interface UpstreamRequest {
  method: string | undefined;
  /** Origin-form path, already percent-encoded, without query. */
  path: string | undefined;
  /** Raw query without '?'; '' removes it. */
  query: string | undefined;
  host: string | undefined;
  scheme: 'http' | 'https' | undefined;
}

export interface ExchangeResponse {
  status: number;
  readonly headers: HeaderFields;
  /** Who made it. */
  readonly source: 'upstream' | 'gateway';
  /** In upstreamResponse only: the whole body. Rejects with RangeError where it is larger than `maxBytes`. */
  body(maxBytes: number): Promise<Uint8Array>;
  /** In upstreamResponse and headerFilter only: the body to send instead of the one that comes; upstream's is read and dropped. */
  replaceBody(body: string | Uint8Array): void;
}

/** Milliseconds (fractional) since the epoch of performance.now(). undefined until it happened. */
export interface ExchangeTimes {
  readonly start: number;
  readonly upstreamStart: number | undefined;
  readonly upstreamConnected: number | undefined;
  readonly upstreamHead: number | undefined;
  readonly upstreamEnd: number | undefined;
  readonly end: number | undefined;
}

/** What TLS settled for a client's connection. */
export interface TlsConnection {
  /** What the client asked for, lower case; '' where it named no server. */
  readonly serverName: string;
  /** `TLSv1.3`; '' once the connection is closed, as the cipher. */
  readonly protocol: string;
  /** OpenSSL's name. */
  readonly cipher: string;
  readonly sessionReused: boolean;
  /** As nginx's `$ssl_client_verify`: `SUCCESS`, `FAILED:` and why, or `NONE` where there is no certificate or nobody asked for one. */
  readonly clientVerify: string;
  readonly clientCertificate: X509Certificate | undefined;
}

export interface Exchange {
  readonly method: string;
  /** Normalised: percent-decoded once, slashes merged, dot segments gone. What routing matched and every rule must use. */
  readonly path: string;
  /** Raw query, without '?'. */
  readonly query: string;
  /** The request-target as received. */
  readonly target: string;
  readonly httpVersion: '1.0' | '1.1' | '2.0';
  readonly scheme: 'http' | 'https';
  /** Lower case, without port; '' where none was sent (HTTP/1.0). */
  readonly host: string;
  /** The client's address and port, after trusted-proxy resolution (`real_ip_*`). */
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** The peer of the socket itself. */
  readonly peerAddress: string;
  /** undefined: the client's connection is not encrypted. */
  readonly tls: TlsConnection | undefined;
  /** The client's certificate, verified as the server name's ssl resource asks (`client.ca`); undefined in every other case. */
  readonly clientCertificate: X509Certificate | undefined;
  readonly serverAddress: string;
  readonly serverPort: number;
  /** Request header fields; what is set here goes upstream. */
  readonly headers: HeaderFields;
  /** First value of a query parameter, decoded; '' for a parameter without '='. */
  arg(name: string): string | undefined;
  cookie(name: string): string | undefined;
  /** nginx/APISIX variable by name, without '$' (`uri`, `arg_x`, `http_x`, `cookie_x`, `consumer_name`, …); undefined where it has no value. */
  variable(name: string): string | undefined;
  /** Parameters of a `:param` route. */
  readonly params: ReadonlyMap<string, string>;
  /** Reads the whole body once; further calls return the same bytes. Rejects with GatewayError REQUEST_BODY_TOO_LARGE. */
  body(maxBytes: number): Promise<Uint8Array>;
  /** The body as JSON; undefined where there is none. Rejects with GatewayError: REQUEST_BODY_TOO_LARGE, or REQUEST_MALFORMED (400). */
  json(maxBytes: number): Promise<Json | undefined>;

  /** What goes upstream in the body's place. Only after `body` has resolved: the client's bytes are read to their end first. */
  replaceBody(body: Uint8Array): void;

  /** Hears each piece of the request's body as it goes by; the bytes are valid during the call alone. Keeps nothing back. */
  observeBody(observe: (piece: Uint8Array) => void): void;

  readonly route: MatchedRoute | undefined;
  readonly consumer: AuthenticatedConsumer | undefined;
  /**
   * All values of X-Forwarded-For and the like as the client sent them, joined by commas; also those that were dropped from
   * `headers` because the peer is not trusted. To be believed only by a plugin that knows the peer itself.
   */
  forwarded(name: string): string | undefined;
  /** The client's address from here on; the peer's own stays `peerAddress`. Routing is over: the route does not change. */
  setClientAddress(address: string, port: number | undefined): void;

  /** For auth plugins: attaches the consumer, its plugins and the identity headers. */
  authenticate(consumer: AuthenticatedConsumer): void;

  readonly upstream: UpstreamRequest;
  /** `host:port` of the node that was used last, once one was. */
  readonly upstreamNode: string | undefined;
  /** Status of each attempt, in order. */
  readonly upstreamStatuses: readonly number[];
  readonly response: ExchangeResponse;
  readonly times: ExchangeTimes;
  /** Bytes that went over the client's socket for this exchange. */
  readonly bytesReceived: number;
  readonly bytesSent: number;
  readonly bodyBytesSent: number;
  /** Reason code of a refusal (`key-auth.unknown_key`), for logs and explain. */
  readonly reason: string | undefined;
  /** Explain asks what would happen: nothing may be counted, locked or written because of this exchange. */
  readonly dryRun: boolean;
  /** For explain: one sentence about the step that runs, without secrets. A client's request has no use for it. */
  note(text: string): void;
  /** A value plugins keep for this exchange, by plugin name. */
  readonly context: Map<string, Json | object>;
}
