/**
 * One request of a plugin: its attempts, within one deadline.
 *
 *   take a connection ──▶ send ──answer──▶ done
 *     ▲                    └──failed, and safe to send again──┐
 *     └───────────────────────────────────────────────────────┘        time up, given up: the connection is destroyed
 */
import { type Outgoing, sendOnce } from './attempt.ts';
import type { Connection, Connections } from './connections.ts';
import type { HttpResponse } from './http-client.ts';
import { HttpClientError } from './http-client-error.ts';

export interface CallOptions {
  readonly timeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly retries: number;
  /** A server may see it twice. */
  readonly repeatable: boolean;
  readonly signal: AbortSignal | undefined;
}

/** Before a request is sent again, doubled each time; a pooled connection that had gone stale is replaced at once. */
const retryDelayMs = 25;

export class Call {
  readonly #connections: Connections;
  readonly #outgoing: Outgoing;
  readonly #options: CallOptions;
  #connection: Connection | undefined;
  /** Why it ended before its answer. */
  #stopped: HttpClientError | undefined;

  constructor(connections: Connections, outgoing: Outgoing, options: CallOptions) {
    this.#connections = connections;
    this.#outgoing = outgoing;
    this.#options = options;
  }

  /** Rejects with HttpClientError. Called once. */
  async run(): Promise<HttpResponse> {
    const { timeoutMs, signal } = this.#options;
    const { host } = this.#outgoing.url;
    const { promise: stopped, reject } = Promise.withResolvers<never>();
    const stop = (error: HttpClientError): void => {
      this.#stopped ??= error;
      reject(this.#stopped);
      this.#connection?.destroy(this.#stopped);
    };
    const onAbort = (): void => {
      stop(new HttpClientError('ABORTED', `${host}: the plugin gave the request up`));
    };
    const timer = setTimeout(() => {
      stop(new HttpClientError('TIMEOUT', `${host}: no whole answer within ${timeoutMs} ms`));
    }, timeoutMs);
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted === true) onAbort();
    try {
      return await Promise.race([this.#attempts(), stopped]);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  async #attempts(): Promise<HttpResponse> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#attempt(attempt > 0);
      } catch (error) {
        if (!(error instanceof RetryableError)) throw error;
        if (attempt >= this.#options.retries) throw error.failure;
        if (!error.stale) await new Promise((resolve) => setTimeout(resolve, retryDelayMs * 2 ** attempt));
      }
    }
  }

  async #attempt(again: boolean): Promise<HttpResponse> {
    this.#assertWanted();
    const connection = await this.#connections.take(this.#outgoing.url, this.#options.connectTimeoutMs, again);
    const progress = { answered: false };
    try {
      // The time may be up since.
      this.#assertWanted();
      this.#connection = connection;
      const response = await sendOnce(connection, this.#outgoing, progress);
      this.#connections.giveBack(connection);
      return response;
    } catch (error) {
      connection.destroy(new HttpClientError('CLOSED', 'the connection is of no more use'));
      this.#assertWanted();
      throw error instanceof HttpClientError && this.#mayRepeat(error, connection, progress.answered)
        ? new RetryableError(error, connection.reused)
        : error;
    } finally {
      this.#connection = undefined;
    }
  }

  #mayRepeat({ code }: HttpClientError, { connected }: Connection, answered: boolean): boolean {
    if (connected === undefined) return code === 'CONNECT_FAILED' || code === 'TIMEOUT';
    return code === 'CONNECTION_CLOSED' && this.#options.repeatable && !answered;
  }

  #assertWanted(): void {
    if (this.#stopped !== undefined) throw this.#stopped;
  }
}

/** The request may be sent again. Never leaves this file. */
class RetryableError extends Error {
  readonly failure: HttpClientError;
  /** It was sent on a connection that the server had closed meanwhile, as servers do. */
  readonly stale: boolean;

  constructor(failure: HttpClientError, stale: boolean) {
    super(failure.message, { cause: failure });
    this.failure = failure;
    this.stale = stale;
  }
}
