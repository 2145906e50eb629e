/**
 * Connections of one identity: idle ones, newest first, for each scheme, host and port. What two identities share is nothing, so
 * that no request goes out under another's certificate (apisix#13587).
 *
 *   take ──idle──▶ in use ──give back──▶ idle ──time, closed by the server, no room, identity changed──▶ closed
 *     └──new───────▲
 */
import type { LookupFunction, Socket } from 'node:net';
import type { Client } from 'undici';
import { connect } from './connect.ts';
import type { HttpClientError } from './http-client-error.ts';
import type { Identity, TlsContext } from './identity.ts';
import type { CheckedOptions } from './options.ts';
import type { Connected } from './tls-failure.ts';

/** One connection with undici's HTTP/1.1 on it; opened by the first request. */
export interface Connection {
  readonly client: Client;
  readonly origin: string;
  readonly context: TlsContext | undefined;
  /** undefined: it does not stand. */
  connected: Connected | undefined;
  /** A request before this one was answered on it. */
  reused: boolean;
  /** Ends it and whatever runs on it with `error`. */
  destroy(error: HttpClientError): void;
}

export type ConnectionsOptions = Pick<CheckedOptions, 'keepAlive' | 'keepAliveTimeoutMs' | 'keepAlivePool'>;

/** Servers that connections are kept to, beyond which they are closed: a plugin may take its URLs from requests. */
const maxOrigins = 256;

export class Connections {
  readonly #identity: Pick<Identity, 'current' | 'latest'>;
  readonly #options: ConnectionsOptions;
  readonly #lookup: LookupFunction | undefined;
  readonly #idle = new Map<string, Connection[]>();
  /** The identity that idle connections were opened under. */
  #context: TlsContext | undefined;
  #closed = false;

  constructor(identity: Pick<Identity, 'current' | 'latest'>, options: ConnectionsOptions, lookup?: LookupFunction) {
    this.#identity = identity;
    this.#options = options;
    this.#lookup = lookup;
  }

  /** For one request, to be given back or destroyed. `fresh`: none that is idle. Rejects with HttpClientError CERTIFICATE_UNUSABLE. */
  async take(url: URL, connectTimeoutMs: number, fresh: boolean): Promise<Connection> {
    const secure = url.protocol === 'https:';
    if (secure) this.#adopt(await this.#identity.current());
    const idle = fresh ? undefined : this.#popIdle(url.origin);
    if (idle !== undefined) return idle;
    const context = secure ? await this.#identity.latest() : undefined;
    if (context !== undefined) this.#adopt(context);
    // Loaded by the first request: a gateway whose plugins ask nobody does not have it.
    const { Client } = await import('undici');
    return this.#open(Client, url, context, connectTimeoutMs);
  }

  /** After a whole answer. */
  giveBack(connection: Connection): void {
    const { keepAlive, keepAlivePool } = this.#options;
    const stale = connection.context !== undefined && connection.context !== this.#context;
    const open = connection.client.stats.connected;
    const idle = this.#idle.get(connection.origin) ?? [];
    const room = idle.length < keepAlivePool && (idle.length > 0 || this.#idle.size < maxOrigins);
    if (this.#closed || !keepAlive || stale || !open || !room) {
      close(connection);
      return;
    }
    idle.push(connection);
    this.#idle.set(connection.origin, idle);
  }

  /** Those in use close when they are given back. */
  close(): void {
    this.#closed = true;
    this.#closeIdle(() => true);
  }

  #popIdle(origin: string): Connection | undefined {
    const idle = this.#idle.get(origin);
    for (let connection; (connection = idle?.pop()) !== undefined;) {
      if (idle?.length === 0) this.#idle.delete(origin);
      if (connection.client.stats.connected) {
        connection.reused = true;
        return connection;
      }
      close(connection);
    }
    return undefined;
  }

  #adopt(context: TlsContext): void {
    if (context === this.#context) return;
    this.#context = context;
    this.#closeIdle((connection) => connection.context !== undefined);
  }

  #closeIdle(which: (connection: Connection) => boolean): void {
    for (const [origin, idle] of this.#idle) {
      const stay = idle.filter((connection) => !which(connection));
      if (stay.length > 0) this.#idle.set(origin, stay);
      else this.#idle.delete(origin);
      idle.filter(which).forEach(close);
    }
  }

  #forget(connection: Connection): void {
    const idle = this.#idle.get(connection.origin);
    const at = idle?.indexOf(connection) ?? -1;
    if (idle === undefined || at === -1) return;
    idle.splice(at, 1);
    if (idle.length === 0) this.#idle.delete(connection.origin);
    close(connection);
  }

  #open(UndiciClient: typeof Client, url: URL, context: TlsContext | undefined, timeoutMs: number): Connection {
    let socket: Socket | undefined;
    const { keepAliveTimeoutMs } = this.#options;
    const client = new UndiciClient(url.origin, {
      connect: ({ hostname, port }, callback) => {
        connection.reused = false;
        connection.connected = undefined;
        const toPort = Number(port) || (context === undefined ? 80 : 443);
        socket = connect(
          { host: hostname, port: toPort, context, timeoutMs, lookup: this.#lookup },
          (error, opened, connected) => {
            if (error !== undefined) {
              callback(error, null);
              return;
            }
            connection.connected = connected;
            callback(null, opened);
          },
        );
      },
      keepAliveTimeout: keepAliveTimeoutMs,
      keepAliveMaxTimeout: keepAliveTimeoutMs,
      // The request's own deadline stands over both.
      headersTimeout: 0,
      bodyTimeout: 0,
      allowH2: false,
    });
    const connection: Connection = {
      client,
      origin: url.origin,
      context,
      connected: undefined,
      reused: false,
      destroy: (error) => {
        socket?.destroy(error);
        void client.destroy(error).catch(() => undefined);
      },
    };
    client.on('disconnect', () => {
      this.#forget(connection);
    });
    return connection;
  }
}

function close({ client }: Connection): void {
  if (!client.destroyed) void client.destroy().catch(() => undefined);
}
