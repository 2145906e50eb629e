/** Real files, real threads: what functions do well and badly. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { checkReference, FunctionError, type FunctionHandle } from '../plugin/functions.ts';
import { FunctionHost, listedEnvironment, type FunctionHostOptions } from './function-host.ts';

interface Kit {
  readonly logged: string[];
  readonly host: FunctionHost;
  write(file: string, source: string): void;
  remove(file: string): void;
  get(name: string, qualifier?: string): FunctionHandle;
}

function kit(t: TestContext, options: Partial<FunctionHostOptions> = {}): Kit {
  const directory = mkdtempSync(path.join(tmpdir(), 'gatewright-functions-'));
  const logged: string[] = [];
  const note = (message: string, fields: Record<string, unknown> = {}): void =>
    void logged.push(`${message} ${JSON.stringify(fields)}`);
  const host = new FunctionHost({
    directory,
    memoryBytes: 64 * 1_048_576,
    stallMs: 1000,
    env: {},
    log: { error: note, warn: note, info: note },
    ...options,
  });
  t.after(() => {
    host.close();
    rmSync(directory, { recursive: true, force: true });
  });
  return {
    logged,
    host,
    write(file, source) {
      mkdirSync(path.dirname(path.join(directory, file)), { recursive: true });
      writeFileSync(path.join(directory, file), source);
    },
    remove(file) {
      rmSync(path.join(directory, file));
    },
    get: (name, qualifier = '$LATEST') => host.acquire({ namespace: 'ns', name, qualifier }),
  };
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 10));
}

const failing = (code: string) => (error: unknown) => error instanceof FunctionError && error.code === code;
const event = '{"headers":{"token":"abc"}}';

test('calls a TypeScript function in a thread of its own and gives back what it returned', async (t) => {
  const { write, get } = kit(t);
  write(
    'ns/check.ts',
    `import { threadId } from 'node:worker_threads';
     interface Event { headers: Record<string, string> }
     export default async (event: Event, context: { name: string; qualifier: string }) =>
       ({ 'api-auth': event.headers.token === 'abc', thread: threadId, version: context.qualifier });`,
  );
  const answer = JSON.parse(await get('check').call(event, 5000)) as Record<string, unknown>;
  assert.equal(answer['api-auth'], true);
  assert.equal(answer['version'], '$LATEST');
  assert.ok(Number(answer['thread']) > 0);
});

test('finds the handler that cloud functions export, of modules and of CommonJS', async (t) => {
  const { write, get } = kit(t);
  write('ns/a.mjs', `export const main_handler = () => 'a';`);
  write('ns/b.cjs', `exports.handler = () => 'b';`);
  write('ns/c.cjs', `module.exports = () => 'c';`);
  for (const name of ['a', 'b', 'c']) assert.equal(await get(name).call(event, 5000), name);
});

test('versions run side by side by qualifier', async (t) => {
  const { write, get } = kit(t);
  write('ns/check.ts', `export default () => 'latest';`);
  write('ns/check@1.ts', `export default () => 'one';`);
  write('ns/check@2.0.ts', `export default () => 'two';`);
  assert.equal(await get('check').call(event, 5000), 'latest');
  assert.equal(await get('check', '1').call(event, 5000), 'one');
  assert.equal(await get('check', '2.0').call(event, 5000), 'two');
  await assert.rejects(get('check', '3').call(event, 5000), failing('missing'));
});

test('a function that is replaced is called anew, with what it imports, and its revision changes', async (t) => {
  const { write, get } = kit(t);
  write('ns/check.ts', `import { text } from '../lib/text.ts'; export default () => text;`);
  write('lib/text.ts', `export const text = 'before';`);
  const handle = get('check');
  const before = handle.revision();
  assert.equal(await handle.call(event, 5000), 'before');
  assert.equal(handle.revision(), before);
  write('lib/text.ts', `export const text = 'after';`);
  await until(async () => (await handle.call(event, 5000)) === 'after');
  assert.notEqual(handle.revision(), before);
});

test('a change that cannot be loaded leaves the function of before in place; its repair takes effect', async (t) => {
  const { write, get, logged } = kit(t);
  write('ns/check.ts', `export default () => 'good';`);
  const handle = get('check');
  assert.equal(await handle.call(event, 5000), 'good');
  write('ns/check.ts', `export default () => {`);
  await until(() => logged.some((line) => line.includes('load_failed')));
  assert.equal(await handle.call(event, 5000), 'good');
  write('ns/check.ts', `export default () => 'repaired';`);
  await until(async () => (await handle.call(event, 5000)) === 'repaired');
});

test('a function whose file is gone is gone', async (t) => {
  const { write, remove, get } = kit(t);
  write('ns/check.ts', `export default () => 'here';`);
  const handle = get('check');
  assert.equal(await handle.call(event, 5000), 'here');
  remove('ns/check.ts');
  await until(async () =>
    handle.call(event, 5000).then(
      () => false,
      (error: unknown) => failing('missing')(error),
    ),
  );
});

test('what cannot be loaded, or exports no function, refuses its calls', async (t) => {
  const { write, get } = kit(t);
  write('ns/broken.ts', `this is no program`);
  write('ns/empty.ts', `export const nothing = 1;`);
  write('ns/throws.ts', `throw new Error('at load');`);
  for (const name of ['broken', 'empty', 'throws'])
    await assert.rejects(get(name).call(event, 5000), failing('load_failed'));
});

test('a function that throws tells where, and repeats nothing of the request', async (t) => {
  const { write, get } = kit(t);
  write('ns/check.ts', `export default (event) => { throw new TypeError('saw ' + event.headers.token); };`);
  await assert.rejects(get('check').call(event, 5000), (error: Error) => {
    assert.ok(failing('threw')(error));
    assert.match(error.message, /TypeError at check\.ts:1:\d+/);
    assert.doesNotMatch(error.message, /abc/);
    return true;
  });
});

test('a function that loops for ever is ended, all its calls settle, and the next call finds it anew', async (t) => {
  const { write, get } = kit(t, { stallMs: 300 });
  write('ns/check.ts', `export default (event) => { if (event.loop) for (;;); return 'fine'; };`);
  const handle = get('check');
  assert.equal(await handle.call('{}', 5000), 'fine');
  const stuck = handle.call('{"loop":true}', 60_000);
  const behind = handle.call('{}', 60_000);
  await assert.rejects(stuck, failing('stalled'));
  await assert.rejects(behind, failing('stalled'));
  await until(async () =>
    handle.call('{}', 5000).then(
      (answer) => answer === 'fine',
      () => false,
    ),
  );
});

test('a function that never answers is waited for as long as the call says', async (t) => {
  const { write, get } = kit(t);
  write('ns/check.ts', `export default (event) => (event.wait ? new Promise(() => {}) : 'fine');`);
  const handle = get('check');
  assert.equal(await handle.call('{}', 5000), 'fine');
  await assert.rejects(handle.call('{"wait":true}', 50), failing('timeout'));
  assert.equal(await handle.call('{}', 5000), 'fine');
});

test('a function that takes all memory is ended: heap and buffers', async (t) => {
  // On a busy machine memory takes longer to fill than a thread may be stuck.
  const { write, get } = kit(t, { memoryBytes: 32 * 1_048_576, stallMs: 60_000 });
  write('ns/limit.ts', `import v8 from 'node:v8'; export default () => v8.getHeapStatistics().heap_size_limit;`);
  const limit = Number(await get('limit').call(event, 60_000));
  assert.ok(limit >= 32 * 1_048_576 && limit <= 64 * 1_048_576, String(limit));
  write('ns/heap.ts', `const kept = []; export default () => { for (;;) kept.push({ kept: [1, 2, 3] }); };`);
  write(
    'ns/buffers.ts',
    `const kept = [];
     export default async () => { for (;;) { kept.push(Buffer.alloc(1_048_576, 1)); await new Promise(setImmediate); } };`,
  );
  await assert.rejects(get('heap').call(event, 60_000), failing('out_of_memory'));
  await assert.rejects(get('buffers').call(event, 60_000), failing('out_of_memory'));
});

test('a function that ends its thread, or lets an error escape, ends its calls and no more', async (t) => {
  const { write, get } = kit(t);
  write('ns/exit.ts', `export default () => new Promise(() => { setTimeout(() => process.exit(0), 10); });`);
  write(
    'ns/escape.ts',
    `export default () => new Promise(() => { setTimeout(() => { throw new Error('x'); }, 10); });`,
  );
  await assert.rejects(get('exit').call(event, 5000), failing('exited'));
  await assert.rejects(get('escape').call(event, 5000), failing('exited'));
});

test('what cannot be told as JSON, or is too much, is refused', async (t) => {
  const { write, get } = kit(t);
  write('ns/ring.ts', `export default () => { const a = {}; a.a = a; return a; };`);
  write('ns/long.ts', `export default () => 'x'.repeat(2_000_000);`);
  write('ns/nothing.ts', `export default () => undefined;`);
  await assert.rejects(get('ring').call(event, 5000), failing('unusable_answer'));
  await assert.rejects(get('long').call(event, 5000), failing('unusable_answer'));
  assert.equal(await get('nothing').call(event, 5000), 'null');
});

test('calls beyond what may wait are refused at once', async (t) => {
  const { write, get } = kit(t);
  write('ns/check.ts', `export default () => new Promise(() => {});`);
  const handle = get('check');
  const waiting = Array.from({ length: 4096 }, () => handle.call('{}', 300).catch(() => undefined));
  await assert.rejects(handle.call('{}', 300), failing('busy'));
  await Promise.all(waiting);
  // Events count by their size too.
  const large = JSON.stringify('x'.repeat(40 * 1_048_576));
  const first = handle.call(large, 300).catch(() => undefined);
  await assert.rejects(handle.call(large, 300), failing('busy'));
  await first;
});

test('a function sees no environment but what it is given', async (t) => {
  const { write, get } = kit(t, {
    env: listedEnvironment(['TOKEN=t', 'HOME', 'NOT_SET'], { HOME: '/h', SECRET: 's' }),
  });
  write('ns/check.ts', `export default () => process.env;`);
  assert.deepEqual(JSON.parse(await get('check').call(event, 5000)), { TOKEN: 't', HOME: '/h' });
});

test('what it prints goes to the log', async (t) => {
  const { write, get, logged } = kit(t);
  write('ns/check.ts', `export default () => { console.log('hello'); return 1; };`);
  await get('check').call(event, 5000);
  await until(() => logged.some((line) => line.startsWith('function output') && line.includes('hello')));
});

test('names that lead elsewhere are refused', () => {
  const good = { namespace: 'ns', name: 'check', qualifier: '$LATEST' };
  checkReference(good);
  checkReference({ ...good, qualifier: '1.2.0' });
  for (const wrong of [
    '',
    '..',
    '.',
    'a/b',
    '../a',
    'a\\b',
    'a\0b',
    '.hidden',
    'a.',
    'a b',
    '$LATEST',
    'x'.repeat(200),
  ]) {
    assert.throws(() => {
      checkReference({ ...good, namespace: wrong });
    }, /func_namespace/);
    assert.throws(() => {
      checkReference({ ...good, name: wrong });
    }, /func_name/);
    if (wrong === '$LATEST') continue;
    assert.throws(() => {
      checkReference({ ...good, qualifier: wrong });
    }, /func_qualifier/);
  }
});

test('a file that is put there while others run is found at once', async (t) => {
  const { write, get } = kit(t);
  write('ns/one.ts', `export default () => 1;`);
  assert.equal(await get('one').call(event, 5000), '1');
  const handle = get('two');
  await assert.rejects(handle.call(event, 5000), failing('missing'));
  write('ns/two.ts', `export default () => 2;`);
  assert.equal(await handle.call(event, 5000), '2');
});
