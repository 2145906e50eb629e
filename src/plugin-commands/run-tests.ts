/**
 * Runs the tests of plugins with node:test, each file in a process of its own, in which `gatewright/plugin` is this gateway's.
 */
import { existsSync, globSync, statSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';

/** Of one test. */
const testLimitMs = 60_000;
const hooks = new URL(`./own-modules.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url);

/** `paths`: test files, or folders with them. Resolves to the exit code: 0 when at least one test ran and none failed. */
export async function runPluginTests(paths: readonly string[]): Promise<number> {
  const files = [...new Set(paths.flatMap(testFilesOf))].sort();
  if (files.length === 0) throw new Error(`there is no test (*.test.ts) in ${paths.map(shown).join(', ')}`);
  // Where a test starts this command, its run is one of its own.
  delete process.env['NODE_TEST_CONTEXT'];
  let passed = 0;
  let failed = 0;
  const stream = run({ files, timeout: testLimitMs, execArgv: ['--import', hooks.href] });
  stream.on('test:summary', ({ file, counts, success }) => {
    if (file !== undefined) return;
    passed = counts.passed;
    if (!success) failed++;
  });
  for await (const piece of stream.compose(spec)) process.stdout.write(String(piece));
  return failed === 0 && passed > 0 ? 0 : 1;
}

function testFilesOf(path: string): string[] {
  const absolute = resolve(path);
  if (!existsSync(absolute)) throw new Error(`there is no ${shown(path)}`);
  if (!statSync(absolute).isDirectory()) return [absolute];
  return globSync('**/*.test.{ts,mts,js,mjs}', { cwd: absolute, exclude: (name) => name === 'node_modules' }).map(
    (name) => join(absolute, name),
  );
}

function shown(path: string): string {
  return relative('', path) || '.';
}
