/** The gateway under measurement: its settings, its resources, start and stop. One worker, on the server's core. */
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import path from 'node:path';
import { createRegistry } from '../src/plugins/registry.ts';
import { checkResource } from '../src/resources/check.ts';
import type { JsonObject, ResourceKind } from '../src/resources/resource.ts';
import { openStore } from '../src/store/open.ts';
import { freePorts, SERVER_CORE, startChild, temporaryFolder, waitUntil } from './child.ts';
import { apiKey, routePath, TARGET, type RunningSystem, type System } from './system.ts';

export const ADMIN_KEY = 'bench-admin-key-of-the-loopback';

type Resource = Readonly<Record<string, unknown>>;

/** Resources by their key in the store: `routes/1`. */
export type Resources = ReadonlyMap<string, Resource>;

export interface GatewayOptions {
  readonly resources: Resources;
  readonly accessLog?: boolean;
  /** sqlite: with the Admin API; the resources are put in the data folder before the start. */
  readonly store?: 'standalone' | 'sqlite';
  /** Added to the settings. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

export interface RunningGateway extends RunningSystem {
  readonly adminPort: number;
  /** From the start of the process to the first 200 of /status/ready. */
  readonly readyMs: number;
}

/** The first start after an installation strips types and compiles; every further one finds that in Node's compile cache. */
let firstStart: Promise<void> | undefined;

/** A start as every one is but the first. */
export async function startGateway(options: GatewayOptions): Promise<RunningGateway> {
  firstStart ??= launch({ resources: new Map(), store: 'sqlite' }).then((gateway) => gateway.stop());
  await firstStart;
  return launch(options);
}

async function launch(options: GatewayOptions): Promise<RunningGateway> {
  const { folder, remove } = await temporaryFolder();
  const [port = 0, adminPort = 0, controlPort = 0, statusPort = 0, metricsPort = 0] = await freePorts(5);
  const standalone = options.store !== 'sqlite';
  const settings = {
    apisix: {
      node_listen: [{ ip: '127.0.0.1', port }],
      ssl: { enable: false },
      enable_control: true,
      control: { ip: '127.0.0.1', port: controlPort },
      status: { ip: '127.0.0.1', port: statusPort },
    },
    nginx_config: {
      worker_processes: 1,
      http: {
        enable_access_log: options.accessLog === true,
        access_log: path.join(folder, 'access.log'),
        keepalive_timeout: '600s',
        upstream: { keepalive: 64, keepalive_requests: 1_000_000_000, keepalive_timeout: '600s' },
      },
    },
    deployment: {
      ...(standalone ? { role: 'data_plane', role_data_plane: { config_provider: 'yaml' } } : { role: 'traditional' }),
      admin: {
        admin_key: [{ name: 'admin', key: ADMIN_KEY, role: 'admin' }],
        admin_listen: { ip: '127.0.0.1', port: adminPort },
      },
    },
    plugin_attr: { prometheus: { export_addr: { ip: '127.0.0.1', port: metricsPort } } },
    ...options.settings,
  };
  // JSON is YAML.
  await writeFile(path.join(folder, 'config.yaml'), JSON.stringify(settings, null, 2));
  const dataDir = path.join(folder, 'data');
  const args = ['bin/gatewright.ts', 'start', '--config', path.join(folder, 'config.yaml'), '--data-dir', dataDir];
  if (standalone) {
    const file = path.join(folder, 'apisix.json');
    await writeFile(file, standaloneDocument(options.resources));
    args.push('--resources', file);
  } else {
    await mkdir(dataDir, { recursive: true });
    await fillStore(dataDir, options.resources);
  }
  const from = performance.now();
  // As `npm start` does.
  const child = startChild(SERVER_CORE, process.execPath, ['--max-semi-space-size=2', ...args], {
    NODE_COMPILE_CACHE: 'node_modules/.cache/gatewright',
  });
  const stop = async (): Promise<void> => {
    await child.stop();
    await remove();
  };
  try {
    await waitUntil(child, () => answersOk(statusPort, '/status/ready'), 180_000);
  } catch (error) {
    await stop();
    throw error;
  }
  return { pid: child.pid, port, adminPort, readyMs: performance.now() - from, stop };
}

async function answersOk(port: number, target: string): Promise<boolean> {
  const request = get({ host: '127.0.0.1', port, path: target, agent: false });
  try {
    const [response] = (await once(request, 'response')) as [{ statusCode?: number; resume(): void }];
    response.resume();
    return response.statusCode === 200;
  } catch {
    return false;
  }
}

/** The standalone file's shape: a list for each kind, each item with its id. */
function standaloneDocument(resources: Resources): string {
  const document: Record<string, unknown[]> = {};
  for (const [key, value] of resources) {
    const [kind = '', id] = key.split('/');
    (document[kind] ??= []).push(kind === 'consumers' ? value : { id, ...value });
  }
  return JSON.stringify(document);
}

/** What the Admin API would have stored, a thousand resources a commit: writing them is not what is measured. */
async function fillStore(dataDir: string, resources: Resources): Promise<void> {
  const report = (message: string): never => {
    throw new Error(message);
  };
  // Without history: one of this many changes would be shortened, in the background, while the gateway is measured.
  const history = { entries: 0, days: 0, bytes: 0 };
  const store = await openStore({ kind: 'sqlite', dataDir, history }, { onError: report, onWarning: report });
  const registry = createRegistry(undefined);
  const puts = Array.from(resources, ([key, resource]) => {
    const [kind, id] = key.split('/') as [ResourceKind, string];
    const value = structuredClone(kind === 'consumers' ? resource : { id, ...resource }) as JsonObject;
    // Writes the defaults into it, as the Admin API does.
    const problem = checkResource(kind, value, registry);
    if (problem !== undefined) throw new Error(`${key}: ${problem}`);
    return { type: 'put' as const, key, value: JSON.stringify(value) };
  });
  for (let at = 0; at < puts.length; at += 1000) await store.commit(puts.slice(at, at + 1000));
  await store.close();
}

export type Checks = 'none' | 'key-auth' | 'key-auth and metrics';

/**
 * `count` routes, each with its own path and, where it checks, its own consumer and a restriction to that consumer.
 * With a count of 1 it is the one that the load asks for.
 */
export function routesAndConsumers(count: number, checks: Checks, upstreamPort: number): Map<string, Resource> {
  const resources = new Map<string, Resource>();
  const first = count === 1 ? TARGET : 0;
  for (let index = first; index < first + count; index++) {
    const plugins: Record<string, unknown> = {};
    if (checks !== 'none') {
      plugins['key-auth'] = {};
      plugins['consumer-restriction'] = { whitelist: [`consumer_${index}`] };
      resources.set(`consumers/consumer_${index}`, {
        username: `consumer_${index}`,
        plugins: { 'key-auth': { key: apiKey(index) } },
      });
    }
    if (checks === 'key-auth and metrics') plugins['prometheus'] = {};
    resources.set(`routes/${index}`, {
      uri: routePath(index),
      plugins,
      upstream: { type: 'roundrobin', nodes: { [`127.0.0.1:${upstreamPort}`]: 1 } },
    });
  }
  return resources;
}

function gateway(name: string, what: string, count: number, checks: Checks, accessLog = false): System {
  return {
    name,
    what,
    start: (upstreamPort) =>
      startGateway({ store: 'sqlite', resources: routesAndConsumers(count, checks, upstreamPort), accessLog }),
  };
}

export const gateways: readonly System[] = [
  gateway('gatewright: proxy', 'one route, no plugin', 1, 'none'),
  gateway('gatewright: key-auth', 'key-auth + consumer-restriction, one route and consumer', 1, 'key-auth'),
  gateway(
    'gatewright: key-auth, metrics, log',
    'the same + prometheus + access log to a file',
    1,
    'key-auth and metrics',
    true,
  ),
  gateway('gatewright: key-auth, 10,000', 'key-auth + consumer-restriction, 10,000 of each', 10_000, 'key-auth'),
];
