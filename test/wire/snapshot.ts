/** Resources as a person would write them → a snapshot as a worker has it: checked, defaults filled in, all built-in plugins. */
import { compileVariable } from '../../src/plugin/variables.ts';
import type { PluginDeps } from '../../src/plugin/plugin.ts';
import { noRunners } from '../../src/plugin/runners/runners.ts';
import { createHttpClients } from '../../src/plugin/http-client/client.ts';
import { createTimers } from '../../src/plugin/timers.ts';
import { createValueCache } from '../../src/plugin/value-cache.ts';
import { createLocalCounters } from '../../src/plugin/counters/counters.ts';
import { FunctionHost } from '../../src/functions/function-host.ts';
import { createLocalVerdicts } from '../../src/plugin/verdict-cache/verdict-cache.ts';
import { ResourcePool, TestMetrics, WorkerSignals } from '../../src/plugin/testing/index.ts';
import { createRegistry } from '../../src/plugins/registry.ts';
import type { AnyPlugin } from '../../src/plugin/plugin.ts';
import { createNameResolver } from '../../src/proxy/upstream/discovery/name-resolver.ts';
import { createHealthView } from '../../src/proxy/upstream/health/health-view.ts';
import { checkResource } from '../../src/resources/check.ts';
import type { JsonObject, ResourceKind } from '../../src/resources/resource.ts';
import { CredentialTable } from '../../src/snapshot/credentials.ts';
import { Snapshot } from '../../src/snapshot/snapshot.ts';

/** Key as in the store (`routes/1`, `consumers/jack/credentials/c1`) → the resource. */
export type Resources = Readonly<Record<string, object>>;

export function createSnapshot(resources: Resources, added: readonly AnyPlugin[] = []): Snapshot {
  const registry = createRegistry(undefined, added);
  const credentials = new CredentialTable((name) => registry.get(name));
  const metadata = new Map<string, Readonly<Record<string, unknown>>>();
  const metrics = new TestMetrics();
  const counters = createLocalCounters();
  const shared = new ResourcePool();
  const events = new WorkerSignals();
  const log = { error: () => undefined, warn: () => undefined, info: () => undefined };
  const http = createHttpClients({ shared, log });
  const functions = new FunctionHost({ directory: 'functions', memoryBytes: 67_108_864, stallMs: 3000, env: {}, log });
  const verdicts = createLocalVerdicts();
  const deps = (name: string, scope: string): PluginDeps => ({
    credentials: credentials.indexOf(name),
    scope,
    metadata: () => metadata.get(name),
    attributes: {},
    log,
    metrics,
    counters,
    shared,
    http,
    functions,
    verdicts,
    events,
    timers: createTimers(log),
    cache: createValueCache,
    secrets: { resolve: () => Promise.reject(new Error('no secrets here')) },
    runners: noRunners,
    plugins: {
      get: (other) => registry.get(other),
      list: () => registry.list(),
      deps: (other) => deps(other, scope),
    },
  });
  const snapshot = new Snapshot({
    routerMode: 'radixtree_uri',
    plugins: { find: (name) => registry.get(name), deps },
    credentials,
    metadata,
    target: { resolver: createNameResolver(), health: createHealthView(), compileVariable },
    upstreamDefaults: { poolSize: 320, poolIdleTimeoutMs: 60_000, poolRequests: 1000 },
    onSsl: () => undefined,
  });
  const changes = Object.entries(resources).map(([key, resource]) => {
    const value = structuredClone(resource) as JsonObject;
    const [kind = '', id = '', inner] = key.split('/');
    // As the Admin API does; a consumer's id is its username.
    if (kind !== 'consumers' || inner !== undefined) value['id'] ??= key.slice(key.lastIndexOf('/') + 1);
    const problem = checkResource((inner ?? kind) as ResourceKind, value, registry, id);
    if (problem !== undefined) throw new Error(`${key}: ${problem}`);
    return { key, value: JSON.stringify(value) };
  });
  const errors = snapshot.apply(changes);
  if (errors.length > 0) throw new Error(JSON.stringify(errors));
  return snapshot;
}
