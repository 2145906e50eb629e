/**
 * `npm test`: installs what the tests need, runs every test file, prints a line for each file and the failures in
 * full, and ends with the counts on a line of their own.
 *
 *   npm test                   everything
 *   npm test -- http1 store    the files whose path contains one of these
 *   npm test -- --spec         every test by its title
 *   npm test -- --root=DIR     the tests of another folder (for the runner's own test)
 *   npm test -- --limit=MS     how long one file may take before it is killed
 *
 * Exit code: 0 when at least one test ran and none failed; 130 when interrupted.
 */
import { glob } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { FileReport } from './services/file-report.ts';
import { installRequirements, TEST_REQUIREMENTS } from './services/requirements.ts';
import { Tally } from './services/tally.ts';
import { Watchdog } from './services/watchdog.ts';

/** A test that takes longer hangs. Fuzz and leak tests, the longest, take a tenth of this. */
const TEST_TIMEOUT_MS = 60_000;

/** One file, with all its tests, on a machine that does other things too. */
const FILE_LIMIT_MS = 5 * 60_000;

/** The whole run. */
const RUN_TIMEOUT_MS = 30 * 60_000;

const repository = path.resolve(import.meta.dirname, '..');
const root = option('root') ?? repository;

function option(name: string): string | undefined {
  return process.argv.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3);
}

async function main(args: readonly string[]): Promise<number> {
  const patterns = args.filter((arg) => !arg.startsWith('-'));
  const missing = installRequirements(TEST_REQUIREMENTS);
  for (const requirement of missing) {
    process.stderr.write(`${requirement.command} is missing (Debian package ${requirement.package})\n`);
  }
  if (missing.length > 0 && process.env['CI'] === 'true') return 1;

  const files = await testFiles(patterns);
  if (files.length === 0) {
    process.stderr.write(`no test file matches ${patterns.join(' ')}\n`);
    return 1;
  }
  return runFiles(files, args.includes('--spec'));
}

async function testFiles(patterns: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for await (const file of glob('{src,test,bench,bin,tools}/**/*.test.ts', { cwd: root })) {
    if (patterns.length === 0 || patterns.some((pattern) => file.includes(pattern))) found.push(file);
  }
  return found.sort();
}

/** Runs the files, each in its own process; resolves to the exit code once all output is written. */
async function runFiles(files: readonly string[], everyTitle: boolean): Promise<number> {
  const interrupted = new AbortController();
  const interrupt = (): void => {
    interrupted.abort();
  };
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);

  const tally = new Tally();
  const report = everyTitle ? undefined : new FileReport(root, process.stdout);
  const stream = run({
    files: files.map((file) => path.join(root, file)),
    cwd: root,
    concurrency: Math.max(1, availableParallelism()),
    timeout: TEST_TIMEOUT_MS,
    execArgv: ['--import', path.join(repository, 'test/services/leftovers.ts')],
    signal: AbortSignal.any([interrupted.signal, AbortSignal.timeout(RUN_TIMEOUT_MS)]),
  });
  stream.on('test:pass', (result) => report?.result(result, tally.add(result, false)));
  stream.on('test:fail', (result) => report?.result(result, tally.add(result, true)));
  stream.on('test:stdout', (output) => report?.output(output));
  stream.on('test:stderr', (output) => report?.output(output));
  const watchdog = new Watchdog(Number(option('limit') ?? FILE_LIMIT_MS), (file, seconds) => {
    process.stderr.write(`${path.relative(root, file)} is killed: it took longer than ${seconds} s\n`);
  });
  // Of the file itself, that is: a test's name is not its file's.
  stream.on('test:dequeue', ({ name, file }) => {
    if (file !== undefined && name === file) watchdog.started(file);
  });
  stream.on('test:complete', ({ name, file }) => {
    if (file !== undefined && name === file) watchdog.ended(file);
  });
  const outcome = { success: true };
  stream.on('test:summary', (summary) => {
    if (summary.file === undefined) outcome.success = summary.success;
    else report?.endOfFile(summary);
  });
  if (everyTitle) for await (const chunk of stream.compose(spec)) process.stdout.write(String(chunk));
  else for await (const _ of stream);

  watchdog.stop();
  process.removeListener('SIGINT', interrupt).removeListener('SIGTERM', interrupt);
  report?.failures();
  if (tally.passed + tally.failed === 0) process.stderr.write('no test ran\n');
  process.stdout.write(`\n${tally.line()}\n`);
  if (interrupted.signal.aborted) return 130;
  return outcome.success && tally.failed === 0 && tally.passed > 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
