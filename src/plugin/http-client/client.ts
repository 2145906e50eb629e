/**
 * The http client that plugins are given: checked options → pooled connections of one identity → requests with a deadline and
 * safe retries. Clients whose identity and pool settings are the same share their connections, in one worker.
 */
import { createHash } from 'node:crypto';
import type { PluginLog } from '../plugin.ts';
import type { Shared, SharedResources } from '../shared-resources.ts';
import { type Outgoing, sendOnce } from './attempt.ts';
import { Connections } from './connections.ts';
import type { HttpClient, HttpClients, HttpRequest, HttpResponse } from './http-client.ts';
import { HttpClientError, type HttpClientErrorCode } from './http-client-error.ts';
import { Identity } from './identity.ts';
import { type CheckedOptions, checkOptions } from './options.ts';
import { checkRequest, mayRepeat } from './outgoing.ts';
import { sourceName, type PemSource } from './pem-source.ts';

export interface HttpClientsOptions {
  readonly shared: SharedResources;
  /** Hears of certificates that were renewed and cannot be used. */
  readonly log: PluginLog;
  /** PEM file of the authorities where a client names none; undefined: the system's. */
  readonly trustedCertificateFile?: string | undefined;
}

export function createHttpClients({ shared, log, trustedCertificateFile }: HttpClientsOptions): HttpClients {
  const authorities: PemSource | undefined =
    trustedCertificateFile === undefined
      ? undefined
      : { field: 'ssl_trusted_certificate', kind: 'file', value: trustedCertificateFile };
  return {
    client: (options = {}) => {
      const checked = checkOptions(options);
      return new PooledClient(checked, () =>
        shared.acquire(`http-client ${poolName(checked)}`, () => {
          const value = new Connections(new Identity(checked, authorities, log), checked);
          return {
            value,
            close: () => {
              value.close();
            },
          };
        }),
      );
    },
  };
}

/** Checks options as the others do and sends nothing: for where configuration is only checked. */
export const checkingHttpClients: HttpClients = {
  client: (options = {}) => {
    checkOptions(options);
    return {
      request: () => Promise.reject(new HttpClientError('CLOSED', 'configuration is only checked here')),
      close: () => undefined,
    };
  },
};

/** Everything that makes connections different, and holds no key. */
function poolName(options: CheckedOptions): string {
  const { verify, cert, key, ca, serverName, protocols, keepAlive, keepAliveTimeoutMs, keepAlivePool } = options;
  const identity = [verify, sourceName(cert), sourceName(key), sourceName(ca), serverName ?? '', protocols];
  const text = JSON.stringify([identity, keepAlive, keepAliveTimeoutMs, keepAlivePool]);
  return createHash('sha256').update(text).digest('base64url');
}

/** Before an attempt that is not the first: doubled each time. */
const retryDelayMs = 25;

class PooledClient implements HttpClient {
  readonly #options: CheckedOptions;
  readonly #open: () => Shared<Connections>;
  #held: Shared<Connections> | undefined;
  #closed = false;

  constructor(options: CheckedOptions, open: () => Shared<Connections>) {
    this.#options = options;
    this.#open = open;
  }

  async request(request: HttpRequest): Promise<HttpResponse> {
    if (this.#closed) throw new HttpClientError('CLOSED', 'the plugin has closed this client');
    const { keepAlive, maxResponseBytes, timeoutMs } = this.#options;
    const outgoing = checkRequest(request, keepAlive, request.maxResponseBytes ?? maxResponseBytes);
    this.#held ??= this.#open();
    const run = new Run(this.#held.value, outgoing, this.#options, mayRepeat(request));
    return run.within(request.timeoutMs ?? timeoutMs, request.signal);
  }

  close(): void {
    this.#closed = true;
    this.#held?.release();
  }
}

/** One request, with its retries. */
class Run {
  readonly #connections: Connections;
  readonly #outgoing: Outgoing;
  readonly #options: CheckedOptions;
  readonly #repeatable: boolean;
  /** Set when its time is up or nobody wants the answer any more. */
  #over: HttpClientError | undefined;
  #end: ((error: HttpClientError) => void) | undefined;

  constructor(connections: Connections, outgoing: Outgoing, options: CheckedOptions, repeatable: boolean) {
    this.#connections = connections;
    this.#outgoing = outgoing;
    this.#options = options;
    this.#repeatable = repeatable;
  }

  async within(timeoutMs: number, signal: AbortSignal | undefined): Promise<HttpResponse> {
    const { host } = this.#outgoing.url;
    const stopped = new Promise<never>((_, reject) => {
      this.#end = reject;
    });
    stopped.catch(() => undefined);
    const timer = setTimeout(() => {
      this.#stop(new HttpClientError('TIMEOUT', `${host}: no answer within ${timeoutMs} ms`));
    }, timeoutMs);
    const onAbort = (): void => {
      this.#stop(new HttpClientError('ABORTED', `${host}: the plugin gave the request up`));
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted === true) onAbort();
    try {
      return await Promise.race([this.#attempts(), stopped]);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      this.#over ??= new HttpClientError('CLOSED', 'the request is over');
    }
  }

  #stop(error: HttpClientError): void {
    this.#over ??= error;
    this.#end?.(error);
    this.#cancel?.(error);
  }
  #cancel: ((error: HttpClientError) => void) | undefined;

  async #attempts(): Promise<HttpResponse> {
    for (let attempt = 0; ; attempt++) {
      const outcome = await this.#attempt(attempt > 0);
      if (!('error' in outcome)) return outcome.response;
      if (this.#over !== undefined) throw this.#over;
      if (attempt >= this.#options.retries || !outcome.again) throw outcome.error;
      if (!outcome.reused) await new Promise((resolve) => setTimeout(resolve, retryDelayMs * 2 ** attempt));
      if (this.#over !== undefined) throw this.#over;
    }
  }

  async #attempt(
    fresh: boolean,
  ): Promise<{ response: HttpResponse } | { error: unknown; again: boolean; reused: boolean }> {
    const connection = await this.#connections.take(this.#outgoing.url, this.#options.connectTimeoutMs, fresh);
    if (this.#over !== undefined) {
      connection.destroy(this.#over);
      throw this.#over;
    }
    this.#cancel = connection.destroy;
    const { response, answered } = sendOnce(connection, this.#outgoing);
    try {
      const whole = await response;
      this.#connections.giveBack(connection);
      return { response: whole };
    } catch (error) {
      const { reused } = connection;
      const unsent = connection.connected === undefined || isConnectError(error);
      const code = error instanceof HttpClientError ? error.code : undefined;
      connection.destroy(new HttpClientError('CLOSED', 'the connection is of no more use'));
      const again =
        (unsent && retriedUnsent.has(code)) || (code === 'CONNECTION_CLOSED' && this.#repeatable && !answered());
      return { error, again, reused };
    } finally {
      this.#cancel = undefined;
    }
  }
}

const retriedUnsent = new Set<HttpClientErrorCode | undefined>(['CONNECT_FAILED']);

function isConnectError(error: unknown): boolean {
  return error instanceof HttpClientError && error.code === 'CONNECT_FAILED';
}
