/** `gatewright plugin new NAME` and `gatewright plugin test [FILE…]`: an author's own plugins, in the folder that the settings name. */
import { existsSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { readSettings } from '../settings/read-settings.ts';
import { writePlugin } from './new-plugin.ts';
import { runPluginTests } from './run-tests.ts';

/** Where plugins are kept when no settings say so. */
const defaultDirectory = 'plugins';
/** As `gatewright start` has it. */
const defaultConfigFile = 'conf/config.yaml';

/** Returns the exit code. Rejects with what a person must put right: TypeError where the command line is wrong. */
export async function runPluginCommand(
  args: readonly string[],
  write: (text: string) => void = (text) => void process.stdout.write(text),
): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: { config: { type: 'string', short: 'c' }, dir: { type: 'string' } },
    allowPositionals: true,
    strict: true,
  });
  const [command, ...rest] = positionals;
  switch (command) {
    case 'new': {
      const [name, ...more] = rest;
      if (name === undefined || more.length > 0) throw new TypeError('plugin new takes one NAME, such as my-plugin');
      const [directory = defaultDirectory] = directoriesOf(values);
      const { pluginFile, testFile } = writePlugin(name, directory);
      const shown = (file: string): string => relative('', file);
      write(
        `${shown(pluginFile)}  the plugin\n${shown(testFile)}  its test: gatewright plugin test\n\n` +
          `The gateway loads it when its settings have\n\n  plugin_dirs: [${shown(directory) || '.'}]\n\n` +
          `and a route uses it: "plugins": { "${name}": { "value": "hello" } }\n`,
      );
      return 0;
    }
    case 'test':
      return runPluginTests(rest.length > 0 ? rest : directoriesOf(values));
    case undefined:
    default:
      throw new TypeError('plugin takes a command: plugin new NAME, plugin test [FILE…]');
  }
}

/** Absolute. `--dir` goes before the settings. */
function directoriesOf({ config, dir }: { config?: string; dir?: string }): readonly string[] {
  if (dir !== undefined) return [resolve(dir)];
  const configFile = config ?? (existsSync(defaultConfigFile) ? defaultConfigFile : undefined);
  const { pluginDirs } = readSettings({ configFile, dataDir: undefined, env: process.env }).settings;
  return pluginDirs.length > 0 ? pluginDirs : [resolve(defaultDirectory)];
}
