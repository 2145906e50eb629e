/**
 * One data-plane thread: snapshot, proxy, listeners. Wiring only; told what to do by the control plane (`workers.ts`).
 * Order of life: changes until the first full configuration → listen → serve → stop: drain, exit.
 */
import type { Server } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import { compileAddressMatcher } from './address/cidr.ts';
import { observeProxy } from './gateway-metrics.ts';
import { explain } from './explain/explain.ts';
import { FunctionHost, listedEnvironment } from './functions/function-host.ts';
import type { FromWorker, ToWorker } from './messages.ts';
import { createAccessLog } from './observability/access-log.ts';
import { createLogger } from './observability/error-log.ts';
import { createMetrics } from './observability/metrics.ts';
import { openCounters, type CounterMemory } from './plugin/counters/counters.ts';
import { createHttpClients } from './plugin/http-client/client.ts';
import type { PluginDeps } from './plugin/plugin.ts';
import { noRunners } from './plugin/runners/runners.ts';
import { ResourcePool, WorkerSignals } from './plugin/shared-resources.ts';
import { createTimers, type PluginTimers } from './plugin/timers.ts';
import { createValueCache } from './plugin/value-cache.ts';
import { compileVariable } from './plugin/variables.ts';
import { compactHeap } from './compact-heap.ts';
import { SecretAsks } from './secret-asks.ts';
import { VerdictCache } from './plugin/verdict-cache/verdict-cache.ts';
import { createEnabledRegistry, pluginAttributes } from './enabled-registry.ts';
import { createDeadlines } from './proxy/http1/deadlines.ts';
import { WriteQueue } from './proxy/http1/write-queue.ts';
import { Certificates } from './proxy/listener/certificates.ts';
import { listen, ListenError } from './proxy/listener/listener.ts';
import { TlsFront } from './proxy/listener/tls-front.ts';
import { Proxy } from './proxy/proxy.ts';
import { createNameResolver } from './proxy/upstream/discovery/name-resolver.ts';
import { createHealthView } from './proxy/upstream/health/health-view.ts';
import { ConnectionPool } from './proxy/upstream/pool.ts';
import { createProxyLog } from './proxy-log.ts';
import type { WorkerRunners } from './runners/runners.ts';
import type { Settings } from './settings/settings.ts';
import { CredentialTable } from './snapshot/credentials.ts';
import { Snapshot } from './snapshot/snapshot.ts';
import { serverToken } from './version.ts';

/** Between sweeps of time-outs. */
const deadlineIntervalMs = 100;
/** For plugins to send what they kept back, when a stop has taken its whole time; the control plane waits a second longer. */
const lastFlushMs = 700;

const port = parentPort;
if (port === null) throw new Error('worker.ts runs as a worker thread');
const { settings, number, running, counterMemory, verdictMemory, runnerPaths } = workerData as {
  settings: Settings;
  number: number;
  /** Which plugin's file runs: for the control plane, where this thread does not answer. */
  running: Int32Array;
  counterMemory: CounterMemory;
  verdictMemory: SharedArrayBuffer;
  /** Sockets of the runners that run, by name. */
  runnerPaths: ReadonlyMap<string, string>;
};
const send = (message: FromWorker): void => {
  port.postMessage(message);
};

const log = createLogger({
  level: settings.errorLog.level,
  write: (line) => {
    send({ type: 'log', line });
  },
});
const accessLog = settings.accessLog.enabled ? createAccessLog(settings.accessLog) : undefined;
const metrics = createMetrics();
const { registry } = createEnabledRegistry(settings);
const credentials = new CredentialTable(
  (name) => registry.get(name),
  (plugin, consumers) => {
    log.error('consumers hold the same key: it lets nobody in', { plugin, consumers: consumers.join(' ') });
  },
);
const metadata = new Map<string, Readonly<Record<string, unknown>>>();
const health = createHealthView();
const resolver = createNameResolver({
  servers: settings.dns.servers,
  timeoutMs: settings.dns.timeoutMs,
  ...(settings.dns.ttlMs === undefined ? {} : { validSeconds: settings.dns.ttlMs / 1000 }),
});
const tlsProtocol = {
  minVersion: settings.tls.minVersion,
  maxVersion: settings.tls.maxVersion,
  ciphers: settings.tls.ciphers,
};
const certificates = new Certificates(tlsProtocol, settings.tls.fallbackSni);
const tlsFront = new TlsFront({
  certificates,
  protocol: tlsProtocol,
  sessionTickets: settings.tls.sessionTickets,
  onRefused: (why) => {
    log.warn('handshake refused', { ...why });
  },
});

const counters = openCounters(counterMemory, number);
const shared = new ResourcePool();
const signals = new WorkerSignals();
const functions = new FunctionHost({
  ...settings.functions,
  env: listedEnvironment(settings.envs, process.env),
  log: log.child({ plugin: 'functions' }),
});
const verdicts = new VerdictCache(verdictMemory, number);
const http = createHttpClients({
  shared,
  log,
  trustedCertificateFile: settings.tls.trustedCertificateFile,
  addressesOf: async (name) => {
    const resolved = resolver.name(name);
    await resolver.ensure(resolved);
    return resolved.addresses;
  },
});

// Loaded where there is one, and only then.
const runners: WorkerRunners =
  settings.runners.runners.length === 0
    ? { ...noRunners, moved: () => Promise.resolve(), close: () => undefined }
    : (await import('./runners/runners.ts')).createRunners(settings.runners, runnerPaths, (name) => {
        send({ type: 'runner-silent', name });
      });

const secretAsks = new SecretAsks((id, reference) => {
  send({ type: 'secret', id, reference });
});

const pluginDeps = (
  name: string,
  scope: string,
  timers: PluginTimers = createTimers(log.child({ plugin: name, scope })),
): PluginDeps => ({
  credentials: credentials.indexOf(name),
  scope,
  metadata: () => metadata.get(name),
  attributes: pluginAttributes(settings, name),
  log: log.child({ plugin: name, scope }),
  metrics,
  counters,
  shared,
  http,
  functions,
  verdicts,
  events: signals,
  timers,
  cache: createValueCache,
  secrets: secretAsks,
  runners,
  plugins: {
    get: (other) => registry.get(other),
    list: () => registry.list(),
    deps: (other) => pluginDeps(other, scope, timers),
  },
});

const snapshot = new Snapshot({
  routerMode: settings.router,
  plugins: { find: (name) => registry.get(name), deps: pluginDeps, running },
  credentials,
  metadata,
  target: { resolver, health, compileVariable },
  upstreamDefaults: {
    poolSize: settings.upstreamPool.keepAlive,
    poolIdleTimeoutMs: settings.upstreamPool.keepAliveTimeoutMs,
    poolRequests: settings.upstreamPool.keepAliveRequests,
  },
  onSsl: (id, ssl, problem) => {
    try {
      if (ssl === undefined) certificates.remove(id);
      else if (problem !== undefined) certificates.refuse(id, ssl, problem);
      else certificates.put(id, ssl);
    } finally {
      tlsFront.certificatesChanged(proxy.connections);
    }
  },
});

const deadlines = createDeadlines(deadlineIntervalMs);
const writes = new WriteQueue();
const pool = new ConnectionPool(deadlines, writes, settings.tls.trustedCertificateFile);
const { client } = settings;
const trust = {
  realIpFrom: compileAddressMatcher(settings.realIp.from),
  realIpHeader: settings.realIp.header,
  realIpRecursive: settings.realIp.recursive,
  forwardedFrom: compileAddressMatcher(settings.trustedAddresses),
  underscoresInHeaders: settings.underscoresInHeaders,
  servletPaths: settings.normalizeUriLikeServlet,
};
const proxy = new Proxy({
  table: snapshot,
  trust,
  pool,
  serverToken: serverToken(settings.serverTokens),
  showUpstreamStatus: settings.showUpstreamStatus,
  maxBodyBytes: client.bodyBytes,
  log: createProxyLog(log, accessLog),
  clientRefusal: (exchange) => tlsFront.refusal(exchange),
  onOutcome: (upstream, endpoint, outcome) => {
    const passive = upstream.target.passiveOutcome(endpoint, outcome);
    if (passive !== undefined) send({ type: 'outcome', key: upstream.key, label: endpoint.label, outcome: passive });
  },
});

const servers: Server[] = [];

async function startListening(): Promise<void> {
  const options = {
    handler: proxy,
    deadlines,
    writes,
    limits: {
      maxHeadBytes: client.headerBytes,
      maxFields: client.headerCount,
      headerTimeoutMs: client.headerTimeoutMs,
      bodyTimeoutMs: client.bodyTimeoutMs,
      keepAliveTimeoutMs: client.keepAliveTimeoutMs,
      sendTimeoutMs: client.sendTimeoutMs,
      maxRequests:
        client.keepAliveTimeoutMs === 0 ? 1 : client.keepAliveRequests === 0 ? Infinity : client.keepAliveRequests,
    },
  };
  try {
    for (const address of settings.listen) servers.push(await listen(address, undefined, options));
    if (settings.tls.enabled)
      for (const address of settings.tls.listen) servers.push(await listen(address, tlsFront, options));
    send({ type: 'listening' });
  } catch (error) {
    const failure = error instanceof ListenError ? error : undefined;
    send({
      type: 'listen-failed',
      setting: failure?.setting ?? '',
      message: error instanceof Error ? error.message : String(error),
    });
  }
}

function stop(timeoutMs: number): void {
  for (const server of servers) server.close();
  for (const connection of proxy.connections) connection.stop();
  const finish = (): void => {
    for (const connection of proxy.connections) connection.destroy();
    pool.close();
    runners.close();
    accessLog?.close();
    deadlines.dispose();
    process.exit(0);
  };
  // Plugins send what they kept back; they too have an end.
  const flush = (limitMs: number): void => {
    clearTimeout(deadline);
    clearInterval(watch);
    for (const connection of proxy.connections) connection.destroy();
    setTimeout(finish, limitMs);
    void signals.stop().then(finish);
  };
  const started = performance.now();
  const deadline = setTimeout(flush, timeoutMs, lastFlushMs);
  const watch = setInterval(() => {
    if (proxy.connections.size === 0) flush(timeoutMs - (performance.now() - started) + lastFlushMs);
  }, 10);
}

async function swapPlugins({ id, bundles, removed }: Extract<ToWorker, { type: 'plugins' }>): Promise<void> {
  // Loaded where there are any, and only then.
  const { loadPlugins } = await import('./plugin-files/load-plugins.ts');
  const { plugins, errors } = await loadPlugins(bundles, log);
  for (const plugin of plugins) registry.put(plugin);
  for (const name of removed) registry.remove(name);
  const refused = snapshot.pluginsChanged([...plugins.map(({ name }) => name), ...removed]);
  send({ type: 'plugins-loaded', id, errors: [...errors, ...refused] });
}

/** Messages that came while plugins were being loaded: changes are applied in order. */
let waiting: ToWorker[] | undefined;

function take(message: ToWorker): void {
  if (waiting !== undefined && message.type !== 'stop') waiting.push(message);
  else if (message.type === 'plugins') {
    waiting = [];
    void swapPlugins(message).then(() => {
      const due = waiting ?? [];
      waiting = undefined;
      for (const one of due) take(one);
    });
  } else handle(message);
}

port.on('message', take);

/** Resources that came before the first request. */
let loaded = 0;

function handle(message: Exclude<ToWorker, { type: 'plugins' }>): void {
  switch (message.type) {
    case 'changes':
      loaded += message.changes.length;
      send({ type: 'applied', revision: message.revision, errors: snapshot.apply(message.changes) });
      break;
    case 'listen':
      compactHeap(loaded);
      void startListening();
      break;
    case 'secret':
      secretAsks.answered(message.id, message.value);
      break;
    case 'ping':
      send({ type: 'pong' });
      break;
    case 'health':
      health.apply(message.message);
      break;
    case 'metrics':
      observeProxy(metrics, proxy, settings.prometheus.prefix);
      send({ type: 'metrics', id: message.id, metrics: metrics.snapshot() });
      break;
    case 'explain':
      void explain(message.request, { snapshot, trust }).then((report) => {
        send({ type: 'explained', id: message.id, report });
      });
      break;
    case 'reopen-logs':
      accessLog?.reopen();
      signals.reopen((error) => {
        log.error('a log file cannot be opened anew', { error: String(error) });
      });
      break;
    case 'runner':
      void runners.moved(message.name, message.path).then(() => {
        send({ type: 'runner-moved', id: message.id });
      });
      break;
    case 'stop':
      stop(message.timeoutMs);
      break;
  }
}
