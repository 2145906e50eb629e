/** The test runner's own promises: real counts of leaf tests, an exit code to rely on, and no hang. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';

interface Outcome {
  readonly code: number | null;
  readonly lines: readonly string[];
}

/** Runs test/run.ts over one folder that holds the given test files. */
async function runTests(files: Readonly<Record<string, string>>, ...args: string[]): Promise<Outcome> {
  const root = await mkdtemp(path.join(tmpdir(), 'gatewright-runner-'));
  await mkdir(path.join(root, 'test'));
  for (const [name, code] of Object.entries(files)) await writeFile(path.join(root, 'test', name), code);
  // Without this variable the child is a runner of its own, not a part of this one.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const child = spawn(process.execPath, [path.join(import.meta.dirname, 'run.ts'), `--root=${root}`, ...args], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  await rm(root, { recursive: true });
  return { code, lines: output.trimEnd().split('\n') };
}

const PASSING = `
import { describe, test } from 'node:test';
describe('a suite is not a test', () => {
  test('one', () => {});
  describe('nor is a suite within', () => { test('two', () => {}); });
});
test('a test that holds others is not counted', async (t) => {
  await t.test('three', () => {});
  await t.test('four', () => {});
});
test('five', { skip: 'not here' }, () => {});
`;

const FAILING = `
import { describe, test } from 'node:test';
describe('suite', () => { test('fails', () => { throw new Error('the reason'); }); test('passes', () => {}); });
`;

describe('npm test', () => {
  test('counts leaf tests over all files and exits 0', async () => {
    const { code, lines } = await runTests({ 'a.test.ts': PASSING, 'b.test.ts': PASSING });
    assert.equal(lines.at(-1), '8 passed, 0 failed, 2 skipped');
    assert.equal(code, 0);
  });

  test('one failure is one failure, is shown with its reason, and exits 1', async () => {
    const { code, lines } = await runTests({ 'a.test.ts': FAILING, 'b.test.ts': PASSING });
    assert.equal(lines.at(-1), '5 passed, 1 failed, 1 skipped');
    assert.ok(lines.some((line) => line.includes('Error: the reason')));
    assert.equal(code, 1);
  });

  test('a file that cannot be loaded fails', async () => {
    const { code, lines } = await runTests({ 'a.test.ts': `import './missing.ts';`, 'b.test.ts': PASSING });
    assert.equal(lines.at(-1), '4 passed, 1 failed, 1 skipped');
    assert.equal(code, 1);
  });

  test('a file that leaves a socket open fails and says so', async () => {
    const leaves = `
import net from 'node:net';
import { test } from 'node:test';
test('listens', (t, done) => { net.createServer().listen(0, '127.0.0.1', done); });`;
    const { code, lines } = await runTests({ 'a.test.ts': leaves });
    assert.ok(lines.some((line) => line.includes('TCPServerWrap')));
    assert.equal(lines.at(-1), '1 passed, 1 failed');
    assert.equal(code, 1);
  });

  test('a file that loops without ever yielding is killed, and the others are run', async () => {
    const loops = `
import { test } from 'node:test';
test('loops', () => { for (;;); });`;
    const { code, lines } = await runTests({ 'a.test.ts': loops, 'b.test.ts': PASSING }, '--limit=4000');
    assert.ok(lines.includes('test/a.test.ts is killed: it took longer than 4 s'), lines.join('\n'));
    assert.equal(lines.at(-1), '4 passed, 1 failed, 1 skipped');
    assert.equal(code, 1);
  });

  test('no test at all is not a success', async () => {
    assert.equal((await runTests({ 'a.test.ts': '' })).code, 1);
    assert.equal((await runTests({ 'a.test.ts': PASSING }, 'no-such-file')).code, 1);
  });
});
