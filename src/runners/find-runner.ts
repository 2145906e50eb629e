/** Which runner a configuration means, and whether it may: for the workers, and for the control plane, which calls none. */
import { ConfigError } from '../errors/gateway-error.ts';
import type { TextEntry } from '../plugin/runners/runners.ts';
import { defaultRunner } from '../settings/runners.ts';
import type { RunnerSettings } from '../settings/settings.ts';

/** Throws ConfigError where there is no such runner, or the settings say that it lacks one of the plugins. */
export function findRunner(
  runners: readonly RunnerSettings[],
  name: string | undefined,
  entries: readonly TextEntry[],
): RunnerSettings {
  const runner = runners.find((one) => one.name === (name ?? defaultRunner));
  if (runner === undefined) {
    if (name === undefined) throw new ConfigError('there is no plugin runner: set ext-plugin.cmd in the settings');
    const known = runners.map((one) => one.name).join(', ');
    throw new ConfigError(
      `property "runner" validation failed: the settings know no runner ${name}${known === '' ? '' : `, only ${known}`}`,
    );
  }
  for (const [index, [plugin]] of entries.entries()) {
    if (runner.plugins !== undefined && !runner.plugins.includes(plugin))
      throw new ConfigError(
        `property "conf" validation failed: item ${String(index + 1)}: the runner ${runner.name} has no plugin ${plugin}`,
      );
  }
  return runner;
}
