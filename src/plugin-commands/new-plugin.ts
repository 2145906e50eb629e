/** Writes the first version of a plugin and its test. Nothing that is there already is touched. */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { builtInPlugins } from '../plugins/registry.ts';
import { pluginSource, testSource } from './templates.ts';

const longestName = 60;

/** Throws Error that a person can act on: a name that cannot be, a file that is there. */
export function writePlugin(name: string, directory: string): { pluginFile: string; testFile: string } {
  checkName(name);
  const pluginFile = join(directory, `${name}.ts`);
  const testFile = join(directory, `${name}.test.ts`);
  const sameName = ['.ts', '.mts', '.js', '.mjs', ''].map((suffix) => join(directory, `${name}${suffix}`));
  const existing = [...sameName, testFile].find((file) => existsSync(file));
  if (existing !== undefined) throw new Error(`${relative('', existing)} is there already; nothing was written`);
  mkdirSync(directory, { recursive: true });
  writeFileSync(pluginFile, pluginSource(name), { flag: 'wx' });
  try {
    writeFileSync(testFile, testSource(name), { flag: 'wx' });
  } catch (error) {
    rmSync(pluginFile);
    throw error;
  }
  return { pluginFile, testFile };
}

function checkName(name: string): void {
  if (!/^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/.test(name) || name.length > longestName) {
    const near = name
      .replaceAll(/([a-z0-9])([A-Z])/g, '$1-$2')
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, '-')
      .replaceAll(/^[-0-9]+|-+$/g, '')
      .slice(0, longestName);
    const advice = near === '' || near === name ? '' : `: ${near}?`;
    throw new Error(
      `a plugin's name is lower case letters and digits in words joined by "-", at most ${longestName} characters${advice}`,
    );
  }
  if (builtInPlugins.some((plugin) => plugin.name === name))
    throw new Error(`${name} is a built-in plugin; choose another name`);
}
