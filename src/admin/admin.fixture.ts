/** An Admin API over a memory store and some built-in plugins, for tests: no socket is opened. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import type { AnyPlugin } from '../plugin/plugin.ts';
import { basicAuth } from '../plugins/basic-auth/index.ts';
import { consumerRestriction } from '../plugins/consumer-restriction/index.ts';
import { keyAuth } from '../plugins/key-auth/index.ts';
import { prometheus } from '../plugins/prometheus/index.ts';
import { requestId } from '../plugins/request-id/index.ts';
import { MemoryStore } from '../store/memory.ts';
import { createAdminServer, type AdminDeps } from './server.ts';

const plugins = new Map<string, AnyPlugin>(
  [keyAuth, basicAuth, consumerRestriction, prometheus, requestId].map((plugin: AnyPlugin) => [plugin.name, plugin]),
);

export const adminKey = 'b7a0b4c2d1e84f0fa3f0c9d2e6a1b5c8';
export const viewerKey = '0f9e8d7c6b5a4f3e2d1c0b9a8f7e6d5c';

/** A commit that takes a turn of the event loop, as one on a disk does: what is not serialised interleaves. */
class SlowStore extends MemoryStore {
  override async commit(...commit: Parameters<MemoryStore['commit']>): ReturnType<MemoryStore['commit']> {
    await setImmediate();
    return super.commit(...commit);
  }
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- the answers are what the tests look into
  readonly body: any;
}

export interface Admin {
  readonly server: FastifyInstance;
  readonly store: MemoryStore;
  /** Revisions given to `publish`, in order. */
  readonly published: number[];
  readonly logged: string[];
  /** `path` starts after `/apisix/admin`. An object body is sent as JSON, with curl's default Content-Type. */
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  /** Like call, and asserts a 2xx answer. */
  done(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
}

export function startAdmin(t: TestContext, overrides: Partial<AdminDeps> = {}, slow = false): Admin {
  const logged: string[] = [];
  const published: number[] = [];
  const write = (message: string, fields?: Record<string, unknown>): void => {
    logged.push(`${message} ${JSON.stringify(fields ?? {})}`);
  };
  const store = new (slow ? SlowStore : MemoryStore)({ onError: write, onWarning: write });
  const server = createAdminServer({
    store,
    registry: { get: (name) => plugins.get(name), list: () => plugins.values() },
    publish: (revision) => {
      published.push(revision);
      return Promise.resolve();
    },
    keys: [
      { name: 'admin', key: adminKey, role: 'admin' },
      { name: 'viewer', key: viewerKey, role: 'viewer' },
    ],
    keyRequired: true,
    allowAdmin: ['127.0.0.0/24'],
    version: '0.0.0',
    log: { error: write, warn: write, info: write },
    ...overrides,
  });
  t.after(async () => {
    await server.close();
    await store.close();
  });
  const call: Admin['call'] = async (method, path, body, headers) => {
    const answer = await server.inject({
      method: method as 'GET',
      url: `/apisix/admin${path}`,
      headers: {
        'x-api-key': adminKey,
        ...(body === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
        ...headers,
      },
      ...(body === undefined ? {} : { payload: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = answer.body;
    return { status: answer.statusCode, headers: answer.headers, body: text === '' ? undefined : JSON.parse(text) };
  };
  return {
    server,
    store,
    published,
    logged,
    call,
    async done(...request) {
      const answer = await call(...request);
      assert.ok(
        answer.status < 300,
        `${request[0]} ${request[1]}: ${String(answer.status)} ${JSON.stringify(answer.body)}`,
      );
      return answer;
    },
  };
}
