import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { TestExchange, type TestExchangeInit } from '../plugin/testing/exchange.ts';
import { defaultAccessLogFormat } from '../settings/keys.ts';
import { compileLogFormat, createAccessLog, type AccessLog } from './access-log.ts';
import type { LogEscape } from './log-escape.ts';

function lineOf(format: string, escape: LogEscape, init: TestExchangeInit): string {
  return compileLogFormat(format, escape)(new TestExchange(init));
}

async function withLog(run: (log: AccessLog, file: string) => void | Promise<void>, format = '$uri'): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'gatewright-access-'));
  const file = join(directory, 'logs', 'access.log');
  const log = createAccessLog({ file, format, escape: 'default', bufferBytes: 64 });
  try {
    await run(log, file);
  } finally {
    log.close();
    rmSync(directory, { recursive: true });
  }
}

test("the default format writes APISIX's line", () => {
  const line = lineOf(defaultAccessLogFormat, 'default', {
    target: '/get?a=1',
    headers: { 'User-Agent': 'curl/8' },
    response: { status: 200 },
    times: { start: 0, upstreamStart: 1, upstreamEnd: 5, end: 6 },
    upstreamNode: '127.0.0.1:1980',
  });
  assert.match(
    line,
    /^127\.0\.0\.1 - - \[\d\d\/\w{3}\/\d{4}:[\d:]{8} [+-]\d{4}\] example\.com "GET \/get\?a=1 HTTP\/1\.1" 200 0 0\.006 "-" "curl\/8" 127\.0\.0\.1:1980 - 0\.004 "http:\/\/example\.com"\n$/,
  );
});

test('a value cannot forge a line or leave its quotes, in any escape', () => {
  const init = { target: '/x%0A%0D%22%5C%E2%80%A8%C2%85y', headers: { 'User-Agent': 'a" 200 "b\\' } };
  assert.equal(lineOf('"$uri"', 'default', init), '"/x\\x0A\\x0D\\x22\\x5C\\xE2\\x80\\xA8\\x85y"\n');
  assert.equal(lineOf('"$http_user_agent"', 'default', init), '"a\\x22 200 \\x22b\\x5C"\n');
  const json = lineOf('{"uri":"$uri","agent":"$http_user_agent"}', 'json', init);
  assert.deepEqual(JSON.parse(json), { uri: '/x\n\r"\\\u2028\u0085y', agent: 'a" 200 "b\\' });
  assert.doesNotMatch(json.slice(0, -1), /[\n\r\u2028\u0085]/);
  assert.doesNotMatch(lineOf('$uri', 'none', init).slice(0, -1), /[\n\r\u2028\u0085]/);
});

test('a surrogate pair is escaped as the four bytes of its character', () => {
  assert.equal(lineOf('$uri', 'default', { target: '/%F0%9F%98%80' }), '/\\xF0\\x9F\\x98\\x80\n');
});

test('a variable without a value is a dash by default, and empty in JSON', () => {
  assert.equal(lineOf('[$http_referer][$upstream_addr]', 'default', {}), '[-][-]\n');
  assert.equal(lineOf('[$http_referer][$upstream_addr]', 'json', {}), '[][]\n');
  assert.equal(lineOf('[$http_referer]', 'none', {}), '[]\n');
});

test('line ends in the format itself do not split the line', () => {
  assert.equal(lineOf('a\n  $uri\n', 'default', {}), 'a /\n');
});

test('lines wait for the buffer, a flush or the close', async () => {
  await withLog((log, file) => {
    log.write(new TestExchange({ target: '/1' }));
    assert.equal(readFileSync(file, 'utf8'), '');
    log.flush();
    assert.equal(readFileSync(file, 'utf8'), '/1\n');
    log.write(new TestExchange({ target: `/${'x'.repeat(64)}` }));
    assert.equal(readFileSync(file, 'utf8').split('\n').length, 3);
    log.write(new TestExchange({ target: '/last' }));
    log.close();
    assert.match(readFileSync(file, 'utf8'), /\n\/last\n$/);
    assert.equal(statSync(file).mode & 0o007, 0);
  });
});

test('after a rotation, reopen goes on in a new file', async () => {
  await withLog((log, file) => {
    log.write(new TestExchange({ target: '/old' }));
    renameSync(file, `${file}.1`);
    log.reopen();
    log.write(new TestExchange({ target: '/new' }));
    log.flush();
    assert.equal(readFileSync(`${file}.1`, 'utf8'), '/old\n');
    assert.equal(readFileSync(file, 'utf8'), '/new\n');
  });
});

test(
  'a log that cannot be written reports the loss and the gateway goes on',
  { skip: !existsSync('/dev/full') },
  () => {
    const reports: number[] = [];
    const log = createAccessLog({
      file: '/dev/full',
      format: '$uri',
      escape: 'default',
      bufferBytes: 1,
      onError: (_, lost) => reports.push(lost),
    });
    log.write(new TestExchange());
    log.write(new TestExchange());
    log.close();
    assert.deepEqual(reports, [1]);
  },
);

test('threads that append to one file keep their lines whole', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'gatewright-access-'));
  const file = join(directory, 'access.log');
  const threads = 4;
  const count = 5000;
  try {
    const source = `
      const { workerData } = require('node:worker_threads');
      import(workerData.module).then(({ createLineFile }) => {
        const log = createLineFile({ file: workerData.file, bufferBytes: 1000, onError: (error) => { throw error; } });
        for (let i = 0; i < ${String(count)}; i++) log.append(workerData.letter.repeat(1 + (i % 300)) + '\\n');
        log.close();
      });`;
    await Promise.all(
      Array.from({ length: threads }, (_, index) => {
        const letter = String.fromCharCode(97 + index);
        const module = new URL('./line-file.ts', import.meta.url).href;
        return once(new Worker(source, { eval: true, workerData: { module, file, letter } }), 'exit');
      }),
    );
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
    assert.equal(lines.length, threads * count);
    for (const line of lines) assert.match(line, /^(.)\1*$/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
