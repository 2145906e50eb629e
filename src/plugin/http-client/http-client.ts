/**
 * What a plugin sees of the http client: `deps.http.client({…})` in `compile`, `client.request(…)` in a phase, `client.close()` in
 * `dispose`. Mutual TLS, pooled connections, a deadline over the whole request, a bounded body. Redirects are not followed, content
 * codings are not undone, an answer of any status is an answer.
 */

export interface HttpClients {
  /**
   * Called in `compile`: checks the options, neither reads files nor connects. Throws ConfigError that names the field.
   * The client is the plugin's: it calls `close` in `dispose`.
   */
  client(options?: HttpClientOptions): HttpClient;
}

export type TlsProtocol = 'TLSv1.2' | 'TLSv1.3';

/** Names are APISIX's. A certificate, key or CA is PEM text, the path of a file, or a secret reference that became one of them. */
export interface HttpClientOptions {
  /** Verify the server's certificate and name; true if not given. */
  readonly ssl_verify?: boolean;
  /** The client's own certificate, first, and the intermediates that lead to its CA. */
  readonly ssl_cert?: string;
  readonly ssl_key?: string;
  /** Authorities that servers are verified against, instead of the gateway's. */
  readonly ssl_ca?: string;
  /** Name for SNI and for verification, instead of the URL's host. */
  readonly ssl_server_name?: string;
  readonly ssl_protocols?: readonly TlsProtocol[];
  /** Milliseconds until a connection stands, handshake included; 2000 if not given. */
  readonly connect_timeout?: number;
  /** Milliseconds for a whole request, connecting and retries included; 3000 if not given. */
  readonly timeout?: number;
  /** Keep connections for later requests; true if not given. */
  readonly keepalive?: boolean;
  /** Milliseconds that an idle connection is kept; 60000 if not given. */
  readonly keepalive_timeout?: number;
  /** Idle connections that are kept for each scheme, host and port; 5 if not given. How many are in use is not limited. */
  readonly keepalive_pool?: number;
  /** How often a request is sent again where that is safe; 1 if not given. */
  readonly retries?: number;
  /** Bytes; 1 MiB if not given. */
  readonly max_response_body?: number;
}

export interface HttpClient {
  /**
   * Rejects with HttpClientError where no whole answer comes. Sent again, within `retries` and the deadline, is only what no server
   * can have seen, or what may be repeated: an idempotent method whose connection broke before the answer began (RFC 9110 §9.2.2).
   */
  request(request: HttpRequest): Promise<HttpResponse>;
  /** Requests under way still end; later ones are refused. Further calls do nothing. */
  close(): void;
}

export interface HttpRequest {
  /** GET if not given. */
  readonly method?: string;
  /** Absolute, http or https. */
  readonly url: string;
  /** Framing (Content-Length, Transfer-Encoding) and the connection's own fields are the client's and refused here. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string | Uint8Array;
  /** The sender vouches that the server may see it twice; by default so are the methods of RFC 9110 §9.2.2. */
  readonly idempotent?: boolean;
  /** Instead of `timeout`. */
  readonly timeoutMs?: number;
  /** Instead of `max_response_body`. */
  readonly maxResponseBytes?: number;
  readonly signal?: AbortSignal;
}

/** Names compared without case, values as received (Latin-1). */
export interface HttpResponseHeaders {
  /** First value, or undefined. */
  get(name: string): string | undefined;
  getAll(name: string): string[];
  /** [name as received, value] in order. */
  entries(): Iterable<readonly [string, string]>;
}

export interface HttpResponse {
  readonly status: number;
  readonly headers: HttpResponseHeaders;
  readonly body: Uint8Array;
  /** The body as UTF-8. */
  text(): string;
  /** Throws HttpClientError RESPONSE_INVALID where the body is not JSON. */
  json(): unknown;
}
