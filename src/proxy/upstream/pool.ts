/**
 * Idle upstream connections of one worker, newest first, kept apart by everything that makes them different:
 * address, port, TLS, SNI, verification and client certificate (apisix#13587).
 */
import type { Deadlines } from '../http1/deadlines.ts';
import type { WriteQueue } from '../http1/write-queue.ts';
import { type ResponseSink, UpstreamConnection } from './connection.ts';
import { type ContextOptions, SecureContexts } from './secure-contexts.ts';

export interface PoolLimits {
  /** Idle connections kept per key. */
  readonly size: number;
  readonly idleTimeoutMs: number;
  /** Requests on one connection before it is closed. */
  readonly maxRequests: number;
}

export class ConnectionPool {
  readonly #idle = new Map<string, UpstreamConnection[]>();
  readonly #limits = new Map<string, PoolLimits>();
  readonly #deadlines: Deadlines;
  readonly #writes: WriteQueue;
  readonly #contexts: SecureContexts;
  #closing = false;

  /** `authorities`: PEM file of those that upstreams are checked against; undefined: the system's. */
  constructor(deadlines: Deadlines, writes: WriteQueue, authorities?: string) {
    this.#deadlines = deadlines;
    this.#writes = writes;
    this.#contexts = new SecureContexts(authorities);
  }

  /** An idle connection, or undefined. It is the caller's until its response ends. */
  take(key: string, sink: ResponseSink): UpstreamConnection | undefined {
    const connection = this.#idle.get(key)?.pop();
    connection?.assign(sink);
    return connection;
  }

  /** Throws where the TLS side cannot be set up: a certificate, a key or a file of authorities that cannot be used. */
  connect(
    key: string,
    address: string,
    port: number,
    tls: ({ readonly servername: string } & ContextOptions) | undefined,
    connectTimeoutMs: number,
    limits: PoolLimits,
    sink: ResponseSink,
  ): UpstreamConnection {
    const secure = tls && { servername: tls.servername, verify: tls.verify, context: this.#contexts.find(tls) };
    this.#limits.set(key, limits);
    const connection = new UpstreamConnection(
      key,
      address,
      port,
      secure,
      connectTimeoutMs,
      sink,
      this.#deadlines,
      this.#writes,
      (released) => {
        this.#put(released);
      },
    );
    connection.onIdleClose = (closed) => {
      this.#forget(closed);
    };
    return connection;
  }

  /** Closes what is idle now, and everything else when its exchange ends. */
  close(): void {
    this.#closing = true;
    for (const connections of this.#idle.values()) for (const connection of connections) connection.destroy();
    this.#idle.clear();
  }

  #put(connection: UpstreamConnection): void {
    const limits = this.#limits.get(connection.poolKey);
    if (this.#closing || limits === undefined || connection.requests >= limits.maxRequests) {
      connection.destroy();
      return;
    }
    let connections = this.#idle.get(connection.poolKey);
    if (connections === undefined) this.#idle.set(connection.poolKey, (connections = []));
    if (connections.length >= limits.size) {
      connection.destroy();
      return;
    }
    connection.deadline = this.#deadlines.after(limits.idleTimeoutMs);
    connections.push(connection);
  }

  #forget(connection: UpstreamConnection): void {
    const connections = this.#idle.get(connection.poolKey);
    if (connections === undefined) return;
    const index = connections.indexOf(connection);
    if (index >= 0) connections.splice(index, 1);
    if (connections.length === 0) {
      this.#idle.delete(connection.poolKey);
      this.#limits.delete(connection.poolKey);
    }
  }
}
