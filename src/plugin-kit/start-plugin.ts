/**
 * One plugin in a real data plane, for its tests: parser, router, pipeline and upstream connections are the gateway's own, on loopback,
 * in the test's process, with no store and no other thread. Configuration is checked as the Admin API checks it.
 */
import type { Server } from 'node:net';
import type { AnyPlugin } from '../plugin/plugin.ts';
import type { TestMetrics } from '../plugin/testing/index.ts';
import { checkDefinition, readDefinition } from '../plugin-files/definition.ts';
import type { JsonObject } from '../resources/resource.ts';
import { createDeadlines } from '../proxy/http1/deadlines.ts';
import { WriteQueue } from '../proxy/http1/write-queue.ts';
import { listen } from '../proxy/listener/listener.ts';
import { Proxy } from '../proxy/proxy.ts';
import { ConnectionPool } from '../proxy/upstream/pool.ts';
import { recordProxy, type LogLine, type Refusal } from './record.ts';
import { startServer, type Answering, type TestServer } from './server.ts';
import { TestSnapshot } from './test-snapshot.ts';

export interface StartPluginOptions {
  /** What the upstream answers; default: 200 and `ok`. */
  readonly upstream?: Answering;
  /** Other plugins on the same route: name → configuration. Built-in ones, or those of `others`. */
  readonly plugins?: Readonly<Record<string, object>>;
  /** Fields of the route; default `uri`: every path. */
  readonly route?: Readonly<Record<string, unknown>>;
  /** Username → its plugins: `{ jack: { 'key-auth': { key: 'secret' } } }`. */
  readonly consumers?: Readonly<Record<string, Readonly<Record<string, object>>>>;
  /** Resources beside the route: `{ 'routes/2': { uri: '/usage', plugins: { 'public-api': {} } } }`. */
  readonly resources?: Readonly<Record<string, object>>;
  /** More plugins of one's own. */
  readonly others?: readonly object[];
  /** `plugin_attr` of the settings: name → attributes. */
  readonly attributes?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** Secret references of configurations and of `deps.secrets`: `{ '$env://TOKEN': 'value' }`. */
  readonly secrets?: Readonly<Record<string, string>>;
}

export interface PluginGateway extends AsyncDisposable {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  /** A request to the gateway; `path` begins with `/`. Redirects are handed back, not followed. */
  fetch(path: string, init?: RequestInit): Promise<Response>;
  /** What came through: `upstream.requests`, `upstream.last`. */
  readonly upstream: TestServer;
  /** What plugins logged, and what the gateway logged of them. */
  readonly logged: readonly LogLine[];
  /** Requests that were refused, with the reason that the client is not told. */
  readonly refusals: readonly Refusal[];
  readonly metrics: TestMetrics;
  /** Puts another configuration in the place of the first, as a write to the Admin API does. Throws ConfigError. */
  configure(config: object): void;
  /** Resolves once no request is under way: the log phase comes after the response. */
  idle(): Promise<void>;
}

const limits = {
  maxHeadBytes: 32_768,
  maxFields: 100,
  headerTimeoutMs: 60_000,
  bodyTimeoutMs: 60_000,
  keepAliveTimeoutMs: 60_000,
  sendTimeoutMs: 60_000,
  maxRequests: Infinity,
};
const sweepMs = 20;

/**
 * `plugin`: what its file exports. Rejects with PluginFileError where that is no plugin, with ConfigError where `config` is refused,
 * in the words that whoever writes it to the Admin API reads.
 */
export async function startPlugin(
  plugin: object,
  config: object = {},
  options: StartPluginOptions = {},
): Promise<PluginGateway> {
  const own = definitionOf(plugin);
  const { record, log, logged, refusals, onEnd } = recordProxy();
  const snapshot = new TestSnapshot({
    plugins: [own, ...(options.others ?? []).map(definitionOf)],
    attributes: options.attributes ?? {},
    secrets: options.secrets ?? {},
    log: record,
  });
  const upstream = await startServer(options.upstream);
  const routeWith = (ownConfig: object): JsonObject =>
    ({
      uri: '/*',
      upstream: { type: 'roundrobin', nodes: { [`127.0.0.1:${upstream.port}`]: 1 } },
      ...options.route,
      plugins: { ...options.plugins, [own.name]: ownConfig },
    }) as JsonObject;
  const deadlines = createDeadlines(sweepMs);
  const writes = new WriteQueue();
  const pool = new ConnectionPool(deadlines, writes);
  const proxy = new Proxy({
    table: snapshot.table,
    trust: {
      realIpFrom: () => false,
      realIpHeader: 'x-real-ip',
      realIpRecursive: false,
      forwardedFrom: () => false,
      underscoresInHeaders: true,
    },
    pool,
    serverToken: 'Gatewright',
    showUpstreamStatus: false,
    maxBodyBytes: 0,
    onOutcome: () => undefined,
    log,
  });
  let server: Server | undefined;
  const close = async (): Promise<void> => {
    for (const connection of proxy.connections) connection.destroy();
    pool.close();
    if (server !== undefined) await closed(server);
    deadlines.dispose();
    snapshot.dispose();
    await upstream[Symbol.asyncDispose]();
  };
  try {
    for (const [username, plugins] of Object.entries(options.consumers ?? {}))
      snapshot.put(`consumers/${username}`, { username, plugins } as JsonObject);
    for (const [key, resource] of Object.entries(options.resources ?? {})) snapshot.put(key, resource as JsonObject);
    snapshot.put('routes/1', routeWith(config));
    const address = { ip: '127.0.0.1', port: 0, setting: 'startPlugin' };
    server = await listen(address, undefined, { handler: proxy, limits, deadlines, writes });
  } catch (error) {
    await close();
    throw error;
  }
  const at = server.address();
  const url = `http://127.0.0.1:${typeof at === 'object' && at !== null ? at.port : 0}`;
  return {
    url,
    fetch: (path, init) => fetch(`${url}${path}`, { redirect: 'manual', ...init }),
    upstream,
    logged,
    refusals,
    metrics: snapshot.metrics,
    configure: (changed) => {
      snapshot.put('routes/1', routeWith(changed));
    },
    idle: async () => {
      while (proxy.inFlight > 0) await onEnd();
    },
    [Symbol.asyncDispose]: close,
  };
}

function definitionOf(plugin: object): AnyPlugin {
  checkDefinition(plugin);
  return readDefinition(plugin);
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => {
      resolve();
    });
  });
}
