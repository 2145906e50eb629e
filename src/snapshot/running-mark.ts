/**
 * Which plugin's code runs in a worker, where the control plane can read it when the worker no longer answers. One number in shared
 * memory; only plugins with a deadline (plugin files) pay for it. What runs after an `await` is not marked.
 */
import type { AnyPlugin } from '../plugin/plugin.ts';

const functions = [
  ...['compile', 'dispose', 'rewrite', 'access', 'beforeProxy', 'upstreamResponse'],
  ...['headerFilter', 'bodyFilter', 'log', 'filtersBody'],
] as const satisfies readonly string[] as readonly (keyof AnyPlugin)[];

type Handler = (first: unknown, second: unknown, third: unknown, fourth: unknown) => unknown;

/** The plugin, each of whose functions says in `running` that it runs. */
export function markRunning(plugin: AnyPlugin, running: Int32Array): AnyPlugin {
  const mark = markOf(plugin.name);
  const marked: Partial<Record<keyof AnyPlugin, unknown>> = {};
  for (const name of functions) {
    const run = Reflect.get(plugin, name) as Handler | undefined;
    if (typeof run !== 'function') continue;
    // As many as the longest has: a list of what came would be allocated for every call.
    marked[name] = (first?: unknown, second?: unknown, third?: unknown, fourth?: unknown): unknown => {
      const outer = running[0] ?? 0;
      running[0] = mark;
      try {
        return run.call(plugin, first, second, third, fourth);
      } finally {
        running[0] = outer;
      }
    };
  }
  return { ...plugin, ...marked } as AnyPlugin;
}

/** The name of the plugin that runs; undefined: none of these. */
export function markedPlugin(running: Int32Array, names: Iterable<string>): string | undefined {
  const mark = Atomics.load(running, 0);
  for (const name of names) if (markOf(name) === mark) return name;
  return undefined;
}

/** FNV-1a, never 0. */
function markOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return hash | 0 || 1;
}
