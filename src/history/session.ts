/**
 * The Admin API as the command line uses it: of the gateway that runs, so that its workers serve what is changed; or made for
 * the occasion, over a store that no gateway has open. Both answer the same, for it is one and the same code.
 */
import { randomBytes } from 'node:crypto';
import type { PluginRegistry } from '../resources/plugin-check.ts';
import { createAdminServer } from '../admin/server.ts';
import type { Store } from '../store/store.ts';

export interface Answer {
  readonly status: number;
  /** Parsed JSON. */
  readonly body: unknown;
}

export interface AdminSession {
  /** `path` is below `/apisix/admin`. Rejects where nobody answers. */
  call(method: 'GET' | 'POST', path: string, body?: object, headers?: Record<string, string>): Promise<Answer>;
  close(): Promise<void>;
}

const prefix = '/apisix/admin';
/** A rollback of 10,000 resources is judged and served in some seconds. */
const answerLimitMs = 120_000;

/** `key`: undefined where none is asked for. */
export function remoteSession(url: string, key: string | undefined): AdminSession {
  return {
    async call(method, path, body, headers) {
      let response;
      try {
        response = await fetch(`${url}${prefix}${path}`, {
          method,
          headers: { ...headers, ...(key === undefined ? {} : { 'X-API-KEY': key }) },
          signal: AbortSignal.timeout(answerLimitMs),
          redirect: 'error',
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
      } catch (error) {
        throw new Error(`the Admin API at ${url} does not answer`, { cause: error });
      }
      return { status: response.status, body: parse(await response.text()) };
    },
    close: () => Promise.resolve(),
  };
}

/** Takes over `store` and closes it. In the history, the command line is who made a change. */
export async function localSession(store: Store, registry: PluginRegistry, version: string): Promise<AdminSession> {
  const key = randomBytes(16).toString('hex');
  const quiet = (): void => undefined;
  const server = createAdminServer({
    store,
    registry,
    // The gateway reads the store when it starts.
    publish: () => Promise.resolve(),
    keys: [{ name: 'command line', key, role: 'admin', local: true }],
    keyRequired: true,
    allowAdmin: [],
    version,
    log: { error: quiet, warn: quiet, info: quiet },
  });
  await server.ready();
  return {
    async call(method, path, body, headers) {
      const answer = await server.inject({
        method,
        url: `${prefix}${path}`,
        headers: { ...headers, 'x-api-key': key },
        ...(body === undefined ? {} : { payload: JSON.stringify(body) }),
      });
      return { status: answer.statusCode, body: parse(answer.body) };
    },
    async close() {
      await server.close();
      await store.close();
    },
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
