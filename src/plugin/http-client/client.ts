/**
 * The http client that plugins are given: checked options → pooled connections of one identity → requests with a deadline and
 * safe retries. Clients whose identity and pool settings are the same share their connections, in one worker.
 */
import { createHash } from 'node:crypto';
import type { PluginLog } from '../plugin.ts';
import type { Shared, SharedResources } from '../shared-resources.ts';
import { Call } from './call.ts';
import { type AddressesOf, lookupBy } from './connect.ts';
import { Connections } from './connections.ts';
import type { HttpClient, HttpClients, HttpRequest, HttpResponse } from './http-client.ts';
import { HttpClientError } from './http-client-error.ts';
import { Identity } from './identity.ts';
import { type CheckedOptions, checkOptions } from './options.ts';
import { checkRequest, mayRepeat } from './outgoing.ts';
import { sourceKey, type PemSource } from './pem-source.ts';

export interface HttpClientsOptions {
  readonly shared: SharedResources;
  /** Hears of certificates that were renewed and cannot be used. */
  readonly log: PluginLog;
  /** PEM file of the authorities where a client names none; undefined: the system's. */
  readonly trustedCertificateFile?: string | undefined;
  /** The gateway's resolver; undefined: the system's. None: the name has no address. */
  readonly addressesOf?: AddressesOf | undefined;
}

export function createHttpClients(options: HttpClientsOptions): HttpClients {
  const { shared, log, trustedCertificateFile, addressesOf } = options;
  const lookup = addressesOf === undefined ? undefined : lookupBy(addressesOf);
  const authorities: PemSource | undefined =
    trustedCertificateFile === undefined
      ? undefined
      : { name: `ssl_trusted_certificate (${trustedCertificateFile})`, kind: 'file', value: trustedCertificateFile };
  return {
    client: (clientOptions = {}) => {
      const checked = checkOptions(clientOptions);
      // Now, so that a configuration that takes another's place takes over its connections.
      const connections = shared.acquire(`http-client ${poolName(checked)}`, () => {
        const value = new Connections(new Identity(checked, authorities, log), checked, lookup);
        return {
          value,
          close: () => {
            value.close();
          },
        };
      });
      return new PooledClient(checked, connections);
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
  const identity = [verify, sourceKey(cert), sourceKey(key), sourceKey(ca), serverName ?? '', protocols];
  const text = JSON.stringify([identity, keepAlive, keepAliveTimeoutMs, keepAlivePool]);
  return createHash('sha256').update(text).digest('base64url');
}

class PooledClient implements HttpClient {
  readonly #options: CheckedOptions;
  readonly #connections: Shared<Connections>;
  #closed = false;

  constructor(options: CheckedOptions, connections: Shared<Connections>) {
    this.#options = options;
    this.#connections = connections;
  }

  async request(request: HttpRequest): Promise<HttpResponse> {
    if (this.#closed) throw new HttpClientError('CLOSED', 'the plugin has closed this client');
    const { timeoutMs, connectTimeoutMs, retries } = this.#options;
    return new Call(this.#connections.value, checkRequest(request, this.#options), {
      timeoutMs: request.timeoutMs ?? timeoutMs,
      connectTimeoutMs,
      retries,
      repeatable: mayRepeat(request),
      signal: request.signal,
    }).run();
  }

  close(): void {
    this.#closed = true;
    this.#connections.release();
  }
}
