/** Plugin configurations of one place → compiled plugins, and compiled plugins → a pipeline. Once a change, never on a request. */
import { ConfigError } from '../errors/gateway-error.ts';
import { compileExpression } from '../expression/expression.ts';
import type { Exchange } from '../plugin/exchange.ts';
import type { AnyPlugin, MaybeAsync, PluginDeps, Reply } from '../plugin/plugin.ts';
import { findReference } from '../plugin/secret-reference.ts';
import { compileVariable } from '../plugin/variables.ts';
import type { CompiledPlugin, Pipeline, Step } from '../proxy/pipeline/compiled.ts';
import { defaultsOf } from '../resources/defaults.ts';
import type { Json, PluginConfigs } from '../resources/resource.ts';
import { withDeadline } from './phase-deadline.ts';
import { markRunning } from './running-mark.ts';

export interface PluginSource {
  find(name: string): AnyPlugin | undefined;
  /** What plugin `name` at `scope` is given; its timers are ended with its state. */
  deps(name: string, scope: string): PluginDeps;
  /** Where to mark which plugin with a deadline runs; see running-mark.ts. */
  readonly running?: Int32Array;
}

/** With what releases its state. */
export interface BoundPlugin extends CompiledPlugin {
  readonly dispose: (() => void) | undefined;
}

/**
 * Leaves out what `_meta.disable` turns off, and auth plugins a consumer carries (those are credentials).
 * Throws ConfigError for an unknown plugin: nothing that was asked for is dropped in silence.
 */
export function compilePlugins(
  configs: PluginConfigs,
  scope: string,
  source: PluginSource,
  fromConsumer: boolean,
): BoundPlugin[] {
  const bound: BoundPlugin[] = [];
  try {
    for (const [name, config] of Object.entries(configs)) {
      const plugin = source.find(name);
      if (plugin === undefined) throw new ConfigError(`unknown plugin [${name}]`);
      if (fromConsumer && plugin.type === 'auth') continue;
      const meta = config['_meta'] as { [key: string]: Json } | undefined;
      if (meta?.['disable'] === true) continue;
      const reference = findReference(config);
      bound.push(
        reference === undefined
          ? bind(plugin, config, meta, scope, source, fromConsumer)
          : refuser(plugin, reference, meta, fromConsumer),
      );
    }
  } catch (error) {
    for (const plugin of bound) plugin.dispose?.();
    throw error;
  }
  return bound;
}

function bind(
  found: AnyPlugin,
  config: Record<string, Json>,
  meta: { [key: string]: Json } | undefined,
  scope: string,
  source: PluginSource,
  fromConsumer: boolean,
): BoundPlugin {
  const { running } = source;
  const plugin = running === undefined || found.timeoutMs === undefined ? found : markRunning(found, running);
  defaultsOf(plugin.schema)(config);
  const deps = source.deps(plugin.name, scope);
  let state: unknown;
  try {
    state = plugin.compile(config, deps);
  } catch (error) {
    deps.timers.dispose();
    throw error;
  }
  const limitMs = plugin.timeoutMs === undefined ? undefined : timeoutOf(plugin.timeoutMs, deps.attributes);
  const phase = (name: 'rewrite' | 'access' | 'beforeProxy' | 'upstreamResponse'): CompiledPlugin['rewrite'] => {
    const run = plugin[name]?.bind(plugin);
    if (run === undefined) return undefined;
    const bound = (exchange: Exchange): MaybeAsync => run(state, exchange);
    return limitMs === undefined ? bound : withDeadline(bound, `${plugin.name}, ${name},`, limitMs);
  };
  const headerFilter = plugin.headerFilter?.bind(plugin);
  const bodyFilter = plugin.filtersBody?.(state) === false ? undefined : plugin.bodyFilter?.bind(plugin);
  const log = plugin.log?.bind(plugin);
  const dispose = plugin.dispose?.bind(plugin);
  const filter = meta?.['filter'];
  const priority = meta?.['priority'];
  return {
    name: plugin.name,
    priority: typeof priority === 'number' ? priority : plugin.priority,
    filter:
      Array.isArray(filter) && filter.length > 0 ? compileExpression<Exchange>(filter, compileVariable) : undefined,
    errorResponse: (meta?.['error_response'] ?? undefined) as string | object | undefined,
    isAuth: plugin.type === 'auth',
    fromConsumer,
    rewrite: phase('rewrite'),
    access: phase('access'),
    beforeProxy: phase('beforeProxy'),
    upstreamResponse: phase('upstreamResponse'),
    headerFilter:
      headerFilter === undefined
        ? undefined
        : (exchange) => {
            headerFilter(state, exchange);
          },
    bodyFilter:
      bodyFilter === undefined ? undefined : (exchange, chunk, last) => bodyFilter(state, exchange, chunk, last),
    log:
      log === undefined
        ? undefined
        : (exchange) => {
            log(state, exchange);
          },
    dispose: () => {
      deps.timers.dispose();
      dispose?.(state);
    },
  };
}

/** `plugin_attr.<name>.timeout_ms` goes before what the plugin says. */
function timeoutOf(timeoutMs: number, attributes: Readonly<Record<string, unknown>>): number {
  const { timeout_ms: asked } = attributes;
  return typeof asked === 'number' && asked > 0 && asked < 2 ** 31 ? asked : timeoutMs;
}

/**
 * Stands in for a plugin whose configuration refers to a secret that could not be read: it ends every request.
 * APISIX: uses the reference itself as the value.
 */
function refuser(
  plugin: AnyPlugin,
  reference: string,
  meta: { [key: string]: Json } | undefined,
  fromConsumer: boolean,
): BoundPlugin {
  const reply: Reply = {
    status: 503,
    body: { message: 'Service temporarily unavailable' },
    reason: `${plugin.name}.unresolved_secret`,
    detail: `${reference} cannot be resolved`,
  };
  const priority = meta?.['priority'];
  return {
    ...refusing(plugin.name, typeof priority === 'number' ? priority : plugin.priority, reply),
    // Without its filter, which may itself hold the reference: fail closed.
    errorResponse: (meta?.['error_response'] ?? undefined) as string | object | undefined,
    isAuth: plugin.type === 'auth',
    fromConsumer,
  };
}

/** Stands in for a global rule that cannot be used and never could: it ends every request, for without the rule all would pass. */
export function unusableRule(scope: string, error: unknown): BoundPlugin {
  return refusing(scope, 0, {
    status: 503,
    body: { error_msg: '503 Service Temporarily Unavailable' },
    reason: 'configuration.invalid',
    detail: `${scope}: ${error instanceof Error ? error.message : String(error)}`,
  });
}

function refusing(name: string, priority: number, reply: Reply): BoundPlugin {
  return {
    name,
    priority,
    filter: undefined,
    errorResponse: undefined,
    isAuth: false,
    fromConsumer: false,
    rewrite: () => reply,
    access: undefined,
    beforeProxy: undefined,
    upstreamResponse: undefined,
    headerFilter: undefined,
    bodyFilter: undefined,
    log: undefined,
    dispose: undefined,
  };
}

/** Sorts by priority, highest first; equal ones by name, so that every worker agrees. */
export function createPipeline(plugins: readonly BoundPlugin[]): Pipeline {
  const sorted = [...plugins].sort((a, b) => b.priority - a.priority || (a.name < b.name ? -1 : 1));
  const own = sorted.filter((plugin) => !plugin.fromConsumer);
  return {
    plugins: sorted,
    rewrite: steps(own, 'rewrite'),
    consumerRewrite: steps(
      sorted.filter((plugin) => plugin.fromConsumer),
      'rewrite',
    ),
    access: steps(sorted, 'access'),
    beforeProxy: steps(sorted, 'before_proxy'),
    ...responsePhases(sorted),
    users: 0,
    retired: false,
    dispose: disposer(plugins),
  };
}

/** The compiled plugins of one global rule, which successive pipelines share: disposed when the last of them lets go. */
export interface GlobalRulePlugins {
  readonly plugins: readonly BoundPlugin[];
  holders: number;
}

/** All global rules as one pipeline: rule by rule, rewrite then access, in its `access` list (APISIX: plugin run_global_rules). */
export function createGlobalPipeline(rules: readonly GlobalRulePlugins[]): Pipeline | undefined {
  const pipelines = rules.map((rule) => createPipeline(rule.plugins));
  const plugins = pipelines.flatMap((pipeline) => pipeline.plugins);
  if (plugins.length === 0) return undefined;
  for (const rule of rules) rule.holders++;
  return {
    plugins,
    rewrite: [],
    consumerRewrite: [],
    access: pipelines.flatMap((pipeline) => [...pipeline.rewrite, ...pipeline.access, ...pipeline.beforeProxy]),
    beforeProxy: [],
    ...responsePhases(plugins),
    users: 0,
    retired: false,
    dispose: () => {
      for (const rule of rules) if (--rule.holders === 0) disposer(rule.plugins)();
    },
  };
}

function responsePhases(
  plugins: readonly CompiledPlugin[],
): Pick<Pipeline, 'upstreamResponse' | 'headerFilter' | 'bodyFilter' | 'log'> {
  return {
    upstreamResponse: steps(plugins, 'upstream_response'),
    headerFilter: plugins.filter((plugin) => plugin.headerFilter !== undefined),
    bodyFilter: plugins.filter((plugin) => plugin.bodyFilter !== undefined),
    log: plugins.filter((plugin) => plugin.log !== undefined),
  };
}

function steps(plugins: readonly CompiledPlugin[], phase: Step['phase']): Step[] {
  return plugins.flatMap((plugin) => {
    const run = handlerOf(plugin, phase);
    return run === undefined ? [] : [{ plugin, phase, run }];
  });
}

function handlerOf(plugin: CompiledPlugin, phase: Step['phase']): Step['run'] | undefined {
  switch (phase) {
    case 'rewrite':
      return plugin.rewrite;
    case 'access':
      return plugin.access;
    case 'before_proxy':
      return plugin.beforeProxy;
    case 'upstream_response':
      return plugin.upstreamResponse;
  }
}

function disposer(plugins: readonly BoundPlugin[]): () => void {
  return () => {
    for (const plugin of plugins) plugin.dispose?.();
  };
}

/** Stops a pipeline from being used again; its states go when the last exchange on it has ended. */
export function retire(pipeline: Pipeline | undefined): void {
  if (pipeline === undefined || pipeline.retired) return;
  pipeline.retired = true;
  if (pipeline.users === 0) pipeline.dispose();
}
