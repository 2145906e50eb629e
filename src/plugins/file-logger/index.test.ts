import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { compilePlugin, ResourcePool, TestExchange, WorkerSignals } from '../../plugin/testing/index.ts';
import type { TestExchangeInit } from '../../plugin/testing/index.ts';
import { fileLogger } from './index.ts';

function logger(t: TestContext, config: object = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'gatewright-file-logger-'));
  const path = join(directory, 'access.log');
  const shared = new ResourcePool();
  const events = new WorkerSignals();
  t.after(async () => {
    await events.stop();
    rmSync(directory, { recursive: true });
  });
  const { state, logged } = compilePlugin(
    fileLogger,
    { path, log_format: { uri: '$uri' }, ...config },
    { shared, events },
  );
  const log = (init: TestExchangeInit = {}): void => {
    const exchange = new TestExchange(init);
    void fileLogger.access?.(state, exchange);
    fileLogger.log?.(state, exchange);
  };
  const read = (file = path): string[] => readFileSync(file, 'utf8').split('\n').slice(0, -1);
  return { path, directory, shared, events, logged, log, read, state };
}

test('each request is one line of JSON', async (t) => {
  const { log, events, read } = logger(t);
  for (let i = 0; i < 3; i++) log({ target: `/${String(i)}%0a` });
  await events.stop();
  assert.deepEqual(
    read().map((line) => (JSON.parse(line) as { uri: string }).uri),
    ['/0\n', '/1\n', '/2\n'],
  );
});

test('the file is opened anew after rotation, and no line is lost', async (t) => {
  const { path, log, events, read } = logger(t);
  log({ target: '/1' });
  await events.stop();
  renameSync(path, `${path}.1`);
  log({ target: '/2' });
  await events.stop();
  assert.deepEqual(read(`${path}.1`), ['{"uri":"/1"}']);
  renameSync(path, `${path}.2`);
  log({ target: '/3' });
  events.reopen(assert.ifError);
  log({ target: '/4' });
  await events.stop();
  const lines = [path, `${path}.2`].flatMap((file) => read(file));
  assert.deepEqual(lines.sort(), ['{"uri":"/2"}', '{"uri":"/3"}', '{"uri":"/4"}']);
});

test('only what matches is written', async (t) => {
  const { log, events, read } = logger(t, { match: [['request_method', '==', 'POST']] });
  log({ target: '/1' });
  log({ target: '/2', method: 'POST' });
  await events.stop();
  assert.deepEqual(read(), ['{"uri":"/2"}']);
});

test('a file that cannot be written is told once, and requests go on', async (t) => {
  const { log, logged, events } = logger(t, { path: '/proc/none/x.log' });
  for (let i = 0; i < 5; i++) log();
  await events.stop();
  assert.deepEqual(logged, ['error log entries could not be written']);
});

test('the file is closed with the last configuration that names it', async (t) => {
  const { log, shared, state } = logger(t);
  log();
  assert.equal(shared.size, 1);
  fileLogger.dispose?.(state);
  assert.equal(shared.size, 0);
});

test('a path and a well-formed match are required', () => {
  assert.throws(() => compilePlugin(fileLogger, {}));
  assert.throws(
    () => compilePlugin(fileLogger, { path: 'x', match: [['a']] }),
    /failed to validate the 'match' expression/,
  );
});
