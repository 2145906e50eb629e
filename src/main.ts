/**
 * The wiring: settings → store → workers → Admin API, control, status and metrics servers. The only place that knows everything.
 * Order of start: what can fail for a person's mistake comes first (settings, ports, store); nothing is served before all of it stands.
 */
import { existsSync } from 'node:fs';
import type { Server } from 'node:http';
import { createAdminServer } from './admin/server.ts';
import { compactHeap } from './compact-heap.ts';
import { createControlServer } from './control/control-server.ts';
import { createMetricsServer } from './control/metrics-server.ts';
import { createStatusServer } from './control/status-server.ts';
import { createEnabledRegistry, pluginAttributes } from './enabled-registry.ts';
import { Feed } from './feed.ts';
import { nodeMetrics } from './gateway-metrics.ts';
import { announceAdmin, forgetAdmin } from './history/admin-address.ts';
import type { ChangingRegistry, PluginFiles } from './plugin-files/plugin-files.ts';
import { createLogger, type Logger } from './observability/error-log.ts';
import type { MetricsSnapshot } from './observability/metrics.ts';
import type { PluginRegistry } from './plugins/registry.ts';
import { listenMessage, probe, type ListenAddress } from './proxy/listener/listener.ts';
import { createNameResolver } from './proxy/upstream/discovery/name-resolver.ts';
import { createHealthMonitor } from './proxy/upstream/health/health-monitor.ts';
import { Secrets } from './secrets/secrets.ts';
import { resolveAsked } from './secret-asks.ts';
import { ensureAdminKey } from './settings/admin-key.ts';
import { substituteEnvironment } from './settings/environment.ts';
import { readSettings } from './settings/read-settings.ts';
import type { AdminKey, Settings } from './settings/settings.ts';
import { encryptStore } from './store/encrypted-store.ts';
import { openStore, type StoreKind } from './store/open.ts';
import type { Store } from './store/store.ts';
import { openRunners, settingsRunners } from './runner-processes.ts';
import { version } from './version.ts';
import { Workers } from './workers.ts';

export interface StartOptions {
  readonly configFile: string | undefined;
  readonly dataDir: string | undefined;
  readonly resourcesFile: string | undefined;
}

/** Runs the gateway until a signal ends it; resolves to the exit code. Rejects with what a person must put right. */
export async function start(options: StartOptions): Promise<number> {
  const { settings, warnings } = load(options);
  const writeLog = (line: string): void => {
    process.stderr.write(line);
  };
  const log = createLogger({ level: settings.errorLog.level, write: writeLog });
  for (const warning of warnings) log.warn(warning);
  const registry = registryOf(settings, log);

  const pluginFiles = await openPluginFiles(settings, registry, log);
  for (const address of addressesOf(settings, registry)) await probe(address);
  const opened = await openStore(storeKind(settings), {
    onError: (message) => {
      log.error('store', { message });
    },
    onWarning: (message) => {
      log.warn('store', { message });
    },
  });
  const announced = settings.store === 'memory' || settings.store === 'sqlite' ? settings.store : undefined;
  if (announced !== undefined) forgetAdmin(settings.dataDir, announced);
  const store = withEncryption(opened, settings, registry, log);
  const { key: madeKey, keys } = adminKeys(settings);

  const resolver = createNameResolver({
    servers: settings.dns.servers,
    timeoutMs: settings.dns.timeoutMs,
    ...(settings.dns.ttlMs === undefined ? {} : { validSeconds: settings.dns.ttlMs / 1000 }),
  });
  const monitor = createHealthMonitor({ resolver });
  const secrets = new Secrets({ env: process.env, log });
  const feed = new Feed({ store, registry, monitor, log, healthChecks: !settings.disableUpstreamHealthCheck, secrets });
  const workers = new Workers({
    settings,
    log,
    writeLog,
    load: () => feed.load(),
    plugins: () => pluginFiles?.bundles ?? [],
    // Code that people bring may run without end: a worker that does is found, and the log says in which plugin.
    ...(pluginFiles === undefined && !settings.codeInConfig
      ? {}
      : {
          pluginNames: () => registry.list().flatMap(({ name, timeoutMs }) => (timeoutMs === undefined ? [] : [name])),
          heartbeatMs: 1000,
        }),
    healthNow: () => monitor.snapshot(),
    onOutcome: (key, label, outcome) => {
      monitor.report(key, label, outcome);
    },
    onRunnerSilent: (name) => {
      runners?.suspect(name);
    },
    onSecret: (reference) => resolveAsked(secrets, reference),
    onRejected: (errors) => {
      for (const { key, message } of errors) log.error('resource refused, its last good value stays', { key, message });
    },
  });
  const runners = await openRunners(settings, log, (name, path) => workers.moveRunner(name, path));
  monitor.onChange((key, label, healthy, settled) => {
    log.warn(healthy ? 'node is healthy' : 'node is unhealthy', { upstream: key, node: label });
    workers.health({ type: 'health', key, label, healthy, settled });
  });
  feed.follow(
    (revision, changes) => {
      workers.send(revision, changes);
    },
    (changes) => {
      workers.resend(changes);
    },
  );
  const servers: { close(): Promise<void> }[] = [];
  let withdraw: (() => void) | undefined;
  const stop = async (): Promise<void> => {
    withdraw?.();
    await Promise.all([workers.stop(), ...servers.map((server) => server.close())]);
    await runners?.stop();
    pluginFiles?.close();
    monitor.dispose();
    secrets.dispose();
    resolver.dispose();
    await store.close();
  };
  try {
    await runners?.start();
    await workers.start();
    pluginFiles?.follow({
      stored: async () => (await store.list('')).entries,
      publish: async ({ bundles, removed }) => {
        await workers.swapPlugins(bundles, removed);
        feed.judgeAgain();
      },
    });
    if (servesAdmin(settings)) {
      const admin = createAdminServer({
        store,
        registry: { ...registry, attributes: (name) => pluginAttributes(settings, name) },
        publish: (revision) => workers.publish(revision),
        runnerRefusal: async (plugins) => runners?.refusal(plugins),
        verdicts: workers.verdicts,
        reloadPlugins: () => pluginFiles?.reload() ?? Promise.resolve(),
        keys,
        keyRequired: settings.admin.keyRequired,
        allowAdmin: settings.admin.allow ?? [],
        cors: settings.admin.cors,
        version,
        log,
      });
      servers.push({ close: () => admin.close() });
      const { listen } = settings.admin;
      await admin.listen({ host: listen.ip, port: listen.port }).catch((error: unknown) => {
        throw new Error(listenMessage(listen, error as Error), { cause: error });
      });
      if (announced !== undefined)
        withdraw = announceAdmin(settings.dataDir, announced, listen.ip, admin.server.address(), log);
    }
    compactHeap(feed.loaded);
    if (settings.control !== undefined) {
      servers.push(
        await serve(createControlServer({ store, workers, monitor, pluginFiles, registry }), settings.control),
      );
    }
    if (settings.status !== undefined) {
      const status = createStatusServer(() => workers.notReady());
      servers.push(await serve(status, settings.status));
    }
    const { prometheus } = settings;
    if (prometheus.listen !== undefined && registry.get('prometheus') !== undefined) {
      const collect = async (): Promise<MetricsSnapshot[]> => [
        ...(await workers.metrics()),
        nodeMetrics(prometheus.prefix, {
          revision: workers.served.revision,
          verdictEvictions: workers.verdicts.evictions,
        }),
      ];
      servers.push(await serve(createMetricsServer(collect, prometheus), prometheus.listen));
    }

    announce(settings, madeKey, feed.routeCount);
    const signal = await untilSignal(() => {
      workers.reopenLogs();
      void runners?.reload();
      void pluginFiles?.reload();
      void opened.reload?.().catch((error: unknown) => {
        log.error('reload failed', { error: String(error) });
      });
    });
    log.info('stopping', { signal });
  } finally {
    await stop();
  }
  return 0;
}

/** Validates the settings and, where resources come from a file, every resource in it. Prints what is wrong. */
export async function check(options: StartOptions): Promise<number> {
  const { settings, warnings } = load(options);
  for (const warning of warnings) process.stderr.write(`warning: ${warning}\n`);
  const log = createLogger({
    level: 'warn',
    write: (line) => {
      process.stderr.write(line);
    },
  });
  const registry = registryOf(settings, log);
  const pluginFiles = await openPluginFiles(settings, registry, log);
  if (settings.store === 'yaml' || settings.store === 'json') {
    const problems: string[] = [];
    const onError = (message: string): void => void problems.push(message);
    const store = await openStore(storeKind(settings), {
      onError,
      onWarning: (message) => process.stderr.write(`warning: ${message}\n`),
    });
    // What it refuses is printed below.
    const silent = createLogger({ level: 'error', write: () => undefined });
    const feed = new Feed({
      store,
      registry,
      monitor: undefined,
      log: silent,
      healthChecks: false,
      secrets: undefined,
    });
    await drain(feed.load());
    await store.close();
    problems.push(...(await feed.problems()).map((problem) => `${settings.resourcesFile}: ${problem}`));
    if (problems.length > 0) {
      for (const problem of problems) process.stderr.write(`${problem}\n`);
      return 1;
    }
  }
  // What is wrong with them has been logged.
  if (pluginFiles?.status().some(({ state }) => state === 'failed') === true) return 1;
  process.stdout.write(`${settings.configFile ?? 'the default settings'}: ok\n`);
  return 0;
}

/** Reads a load to its end for its findings. */
async function drain(pieces: AsyncIterable<unknown>): Promise<void> {
  const iterator = pieces[Symbol.asyncIterator]();
  while (!((await iterator.next()).done ?? false));
}

/** APISIX keeps its settings in conf/config.yaml under the working directory. */
const defaultConfigFile = 'conf/config.yaml';

export function load(options: StartOptions): { settings: Settings; warnings: readonly string[] } {
  const configFile = options.configFile ?? (existsSync(defaultConfigFile) ? defaultConfigFile : undefined);
  const { settings, warnings } = readSettings({ configFile, dataDir: options.dataDir, env: process.env });
  const { resourcesFile } = options;
  if (resourcesFile !== undefined && settings.store !== 'yaml' && settings.store !== 'json')
    throw new Error(
      `--resources ${resourcesFile}: the settings do not read resources from a file (deployment.role: data_plane does)`,
    );
  return {
    settings: { ...settings, resourcesFile: resourcesFile ?? settings.resourcesFile, ...role(settings) },
    warnings,
  };
}

/** A control plane alone serves no traffic. */
function role({ role: name, tls }: Settings): Partial<Settings> {
  return name === 'control_plane' ? { workers: 0, listen: [], tls: { ...tls, enabled: false } } : {};
}

export function registryOf(settings: Settings, log: Logger): ChangingRegistry {
  const { registry, missing } = createEnabledRegistry(settings);
  if (missing.length > 0 && settings.pluginDirs.length === 0)
    log.warn('plugins that the settings list and that do not exist here', { plugins: missing.join(' ') });
  return Object.assign(registry, {
    runners: settingsRunners(settings),
    attributes: (name: string) => pluginAttributes(settings, name),
  });
}

/** The user's own plugins, loaded; undefined where the settings name no directory of them. */
export async function openPluginFiles(
  settings: Settings,
  registry: ChangingRegistry,
  log: Logger,
): Promise<PluginFiles | undefined> {
  if (settings.pluginDirs.length === 0) return undefined;
  const { PluginFiles: Files } = await import('./plugin-files/plugin-files.ts');
  const files = new Files({ dirs: settings.pluginDirs, listed: settings.plugins, registry, log });
  await files.start();
  const missing = registry.unknown.filter((name) => !files.names.has(name));
  if (missing.length > 0)
    log.warn('plugins that the settings list and that do not exist here', { plugins: missing.join(' ') });
  return files;
}

export function storeKind(settings: Settings): StoreKind {
  switch (settings.store) {
    case 'sqlite':
      return { kind: 'sqlite', dataDir: settings.dataDir, history: settings.history };
    case 'memory':
      return { kind: 'memory', history: settings.history };
    default:
      return {
        kind: 'yaml',
        file: settings.resourcesFile,
        substitute: (text) => substituteEnvironment(text, process.env),
      };
  }
}

function adminKeys(settings: Settings): { key: string | undefined; keys: readonly AdminKey[] } {
  if (settings.admin.keys.length > 0 || !servesAdmin(settings)) return { key: undefined, keys: settings.admin.keys };
  const { key, created } = ensureAdminKey(settings.dataDir);
  return { key: created ? key : undefined, keys: [{ name: 'admin', key, role: 'admin' }] };
}

/** APISIX ships this keyring with its settings: it hides nothing from anybody. */
const publishedKeyring = ['qeddd145sfvddff3', 'edd1c9f0985e76a2'];

/** Secret fields are encrypted where the settings give a keyring. A file that a person writes stays as it is. */
export function withEncryption(store: Store, settings: Settings, registry: PluginRegistry, log: Logger): Store {
  const { enabled, keyring } = settings.dataEncryption;
  if (!enabled || keyring.length === 0 || !store.writable) return store;
  if (publishedKeyring.includes(keyring[0] ?? ''))
    log.warn('apisix.data_encryption.keyring starts with a key that everyone knows: put one of your own before it');
  return encryptStore(store, keyring, registry);
}

/** Every port this gateway wants, to be tried before anything is opened: SO_REUSEPORT would let two gateways share one unnoticed. */
function addressesOf(settings: Settings, registry: PluginRegistry): ListenAddress[] {
  const { tls, admin, control, status, prometheus } = settings;
  const addresses: (ListenAddress | undefined)[] = [
    ...settings.listen,
    ...(tls.enabled ? tls.listen : []),
    servesAdmin(settings) ? admin.listen : undefined,
    control,
    status,
    registry.get('prometheus') === undefined ? undefined : prometheus.listen,
  ];
  return addresses.filter((address) => address !== undefined);
}

/** A file that others write cannot be changed through the Admin API. */
function servesAdmin({ admin, role, store }: Settings): boolean {
  return admin.enabled && role !== 'data_plane' && store !== 'yaml' && store !== 'json';
}

async function serve(server: Server, address: ListenAddress): Promise<{ close(): Promise<void> }> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      reject(new Error(listenMessage(address, error), { cause: error }));
    });
    server.listen({ host: address.ip, port: address.port }, () => {
      resolve();
    });
  });
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}

function announce(settings: Settings, madeKey: string | undefined, routes: number): void {
  const at = (address: ListenAddress | undefined): string =>
    address === undefined ? 'off' : `${address.ip}:${address.port}`;
  const requests = [
    ...settings.listen.map((address) => `http://${at(address)}`),
    ...(settings.tls.enabled ? settings.tls.listen.map((address) => `https://${at(address)}`) : []),
  ];
  const lines = [
    `Gatewright ${version}, ${settings.workers} worker${settings.workers === 1 ? '' : 's'}, ${routes} route${routes === 1 ? '' : 's'}`,
    `  requests   ${requests.length === 0 ? 'off' : requests.join('  ')}`,
    `  Admin API  ${servesAdmin(settings) ? `http://${at(settings.admin.listen)}/apisix/admin` : 'off'}`,
    `  control    ${at(settings.control)}    status ${at(settings.status)}    metrics ${at(settings.prometheus.listen)}`,
    `  settings   ${settings.configFile ?? '(defaults)'}`,
    `  resources  ${settings.store === 'yaml' || settings.store === 'json' ? settings.resourcesFile : settings.store === 'memory' ? 'in memory, gone when this process ends' : settings.dataDir}`,
  ];
  if (madeKey !== undefined)
    lines.push(`  admin key  ${madeKey}    (made now, shown once; kept in ${settings.dataDir}/admin.key)`);
  process.stdout.write(`${lines.join('\n')}\n`);
}

/** SIGHUP calls `reload`; SIGTERM and SIGINT end the wait. A second one ends the process at once. */
function untilSignal(reload: () => void): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    process.on('SIGHUP', reload);
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.once(signal, () => {
        for (const again of ['SIGTERM', 'SIGINT'] as const)
          process.once(again, () => process.exit(again === 'SIGTERM' ? 143 : 130));
        resolve(signal);
      });
    }
  });
}
