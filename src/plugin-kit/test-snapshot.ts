/** Resources as a person writes them → a snapshot as a worker has it: checked as the Admin API does, defaults filled in, no store. */
import { ConfigError } from '../errors/gateway-error.ts';
import type { AnyPlugin, PluginDeps, PluginLog } from '../plugin/plugin.ts';
import { createLocalCounters } from '../plugin/counters/counters.ts';
import { ResourcePool, TestMetrics, testDeps, WorkerSignals } from '../plugin/testing/index.ts';
import { createTimers } from '../plugin/timers.ts';
import { compileVariable } from '../plugin/variables.ts';
import { createLocalVerdicts } from '../plugin/verdict-cache/verdict-cache.ts';
import { guardPlugin } from '../plugin-files/guarded-plugin.ts';
import { builtInPlugins, createRegistry } from '../plugins/registry.ts';
import { createNameResolver } from '../proxy/upstream/discovery/name-resolver.ts';
import { createHealthView } from '../proxy/upstream/health/health-view.ts';
import { checkResource } from '../resources/check.ts';
import type { PluginRegistry } from '../resources/plugin-check.ts';
import type { Json, JsonObject, ResourceKind } from '../resources/resource.ts';
import { CredentialTable } from '../snapshot/credentials.ts';
import { Snapshot } from '../snapshot/snapshot.ts';

export interface TestSnapshotOptions {
  readonly plugins: readonly AnyPlugin[];
  readonly attributes: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly secrets: Readonly<Record<string, string>>;
  readonly log: PluginLog;
}

export class TestSnapshot {
  readonly metrics = new TestMetrics();
  readonly table: Snapshot;
  /** As configuration is checked when it is written. */
  readonly #checking: PluginRegistry;
  readonly #secrets: TestSnapshotOptions['secrets'];
  readonly #keys = new Set<string>();

  constructor({ plugins, attributes, secrets, log }: TestSnapshotOptions) {
    this.#secrets = secrets;
    for (const { name, replacesBuiltIn } of plugins)
      if (replacesBuiltIn !== true && builtInPlugins.some((builtIn) => builtIn.name === name))
        throw new ConfigError(
          `${name} is a built-in plugin; one that is to stand in its place says replacesBuiltIn: true`,
        );
    const registry = createRegistry(undefined, plugins);
    const guarded = new Map(plugins.map((plugin) => [plugin.name, guardPlugin(plugin)]));
    this.#checking = {
      get: (name) => guarded.get(name) ?? registry.get(name),
      list: () => registry.list(),
      http: registry.http,
      attributes: (name) => attributes[name] ?? {},
    };
    const credentials = new CredentialTable((name) => registry.get(name));
    const metadata = new Map<string, Readonly<Record<string, unknown>>>();
    const options = {
      counters: createLocalCounters(),
      shared: new ResourcePool(),
      verdicts: createLocalVerdicts(),
      events: new WorkerSignals(),
      secrets,
    };
    const deps = (name: string, scope: string, timers = createTimers(log)): PluginDeps => {
      const plugin = registry.get(name);
      if (plugin === undefined) throw new ConfigError(`unknown plugin [${name}]`);
      return {
        ...testDeps(plugin, { ...options, attributes: attributes[name] ?? {}, scope }, this.metrics),
        credentials: credentials.indexOf(name),
        metadata: () => metadata.get(name),
        log,
        timers,
        plugins: {
          get: (other) => registry.get(other),
          list: () => registry.list(),
          deps: (other) => deps(other, scope, timers),
        },
      };
    };
    this.table = new Snapshot({
      routerMode: 'radixtree_uri',
      plugins: { find: (name) => registry.get(name), deps },
      credentials,
      metadata,
      target: { resolver: createNameResolver(), health: createHealthView(), compileVariable },
      upstreamDefaults: { poolSize: 320, poolIdleTimeoutMs: 60_000, poolRequests: 1000 },
      onSsl: () => undefined,
    });
  }

  /** `key` as in the store: `routes/1`, `consumers/jack/credentials/c1`. Throws ConfigError where it is refused. */
  put(key: string, resource: JsonObject): void {
    const value = structuredClone(resource);
    const [kind = '', id = '', inner] = key.split('/');
    // As the Admin API does; a consumer's id is its username.
    if (kind !== 'consumers' || inner !== undefined) value['id'] ??= key.slice(key.lastIndexOf('/') + 1);
    const problem = checkResource((inner ?? kind) as ResourceKind, value, this.#checking, id);
    if (problem !== undefined) throw new ConfigError(problem);
    this.#keys.add(key);
    const errors = this.table.apply([{ key, value: JSON.stringify(this.#resolve(value)) }]);
    for (const { message } of errors) throw new ConfigError(message);
  }

  /** Nothing is configured any more: every plugin's state is disposed of, with its timers. */
  dispose(): void {
    this.table.apply([...this.#keys].map((key) => ({ key, value: undefined })));
  }

  /** Secret references → what the test gave for them. */
  #resolve(value: Json): Json {
    if (typeof value === 'string') return this.#secrets[value] ?? value;
    if (Array.isArray(value)) return value.map((item) => this.#resolve(item));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, this.#resolve(item)]));
  }
}
