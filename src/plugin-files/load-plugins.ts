/** A worker's side of plugin files: bundles in, plugins out. Nothing is read from the disk: all workers run the same text. */
import type { Logger } from '../observability/error-log.ts';
import type { AnyPlugin } from '../plugin/plugin.ts';
import type { PluginBundle } from './bundle.ts';
import { readDefinition } from './definition.ts';
import { loadBundle } from './load-bundle.ts';
import { outliveStrayErrors } from './stray-errors.ts';

/** `errors`: of those that could not be loaded, by file; the version before stays. */
export async function loadPlugins(
  bundles: readonly PluginBundle[],
  log: Logger,
): Promise<{ plugins: AnyPlugin[]; errors: { key: string; message: string }[] }> {
  outliveStrayErrors(log);
  const plugins: AnyPlugin[] = [];
  const errors: { key: string; message: string }[] = [];
  await Promise.all(
    bundles.map(async (bundle) => {
      try {
        plugins.push(readDefinition((await loadBundle(bundle))['default']));
      } catch (error) {
        errors.push({
          key: bundle.file,
          message: error instanceof Error ? (error.stack ?? error.message) : String(error),
        });
      }
    }),
  );
  return { plugins, errors };
}
