/**
 * A plugin's file as the control plane uses it: its compile and the like run there too, to refuse configuration when it is written, and
 * must neither hold it up nor break it. Every failure becomes a ConfigError that names the plugin's line.
 */
import { ConfigError } from '../errors/gateway-error.ts';
import type { AnyPlugin } from '../plugin/plugin.ts';
import { pluginFrame } from './source-position.ts';
import { runWithin } from './run-within.ts';

/** One configuration's compile. */
const limitMs = 1000;

export function guardPlugin(plugin: AnyPlugin): AnyPlugin {
  const guarded = <T>(what: string, task: () => T): T => {
    let result: T;
    try {
      result = runWithin(limitMs, task);
    } catch (error) {
      if (error instanceof ConfigError) throw error;
      const { code } = error as { code?: unknown };
      const at = pluginFrame(error);
      const reason =
        code === 'ERR_SCRIPT_EXECUTION_TIMEOUT' ? `did not end within ${limitMs} ms` : `failed: ${String(error)}`;
      throw new ConfigError(`${what} ${reason}${at === undefined ? '' : ` (${at})`}`, { cause: error });
    }
    if (result instanceof Promise) {
      result.catch(() => undefined);
      throw new ConfigError(`${what} returned a promise: it cannot wait`);
    }
    return result;
  };
  const { credential } = plugin;
  return {
    ...plugin,
    compile: (config: unknown, deps) => guarded('compile', () => plugin.compile(config, deps) as unknown),
    ...(plugin.dispose === undefined
      ? {}
      : { dispose: (state: unknown) => guarded('dispose', () => plugin.dispose?.(state)) }),
    ...(plugin.nested === undefined
      ? {}
      : { nested: (config: unknown) => guarded('nested', () => [...(plugin.nested?.(config) ?? [])]) }),
    ...(credential === undefined
      ? {}
      : {
          credential: {
            compile: (config: unknown) => guarded('credential.compile', () => credential.compile(config)),
            complete: (config: unknown) => guarded('credential.complete', () => credential.complete?.(config)),
          },
        }),
  };
}
