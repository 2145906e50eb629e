/**
 * The Node runner as a gateway meets it: its processes, a real socket, and on the other side the gateway's own client of runners;
 * raw bytes where a gateway would never send them.
 */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createConf, RunnerClient } from '../../src/runners/client.ts';
import {
  decodeError,
  decodeHttpReqCall,
  decodeHttpRespCall,
  encodeHttpReqCall,
  encodeHttpRespCall,
  methodCode,
  type HttpReqCallAnswer,
} from '../../src/runners/wire/messages.ts';
import { FrameReader, type Frame } from '../../src/runners/wire/frame-reader.ts';
import { FrameWriter } from '../../src/runners/wire/writer.ts';
import type { RunnerInformation, TextEntry } from '../../src/plugin/runners/runners.ts';

const main = path.resolve(import.meta.dirname, '../../runners/node/main.ts');
const patienceMs = 30_000;

const plugins = {
  'answers.ts': `
    import { definePlugin } from 'gatewright/plugin';
    export default definePlugin({
      name: 'answers', priority: 1, schema: { type: 'object', properties: { body: { type: 'string', default: 'hello' } }, additionalProperties: false },
      compile: (config: { body: string }) => config,
      access: async ({ body }, exchange) => ({
        status: 201,
        headers: { 'X-Runner': 'node' },
        body: [body, exchange.method, exchange.path, exchange.query, exchange.remoteAddress, exchange.headers.getAll('X-MANY').join('+'),
          exchange.arg('q'), exchange.cookie('c'), exchange.host, await exchange.variable('host'),
          Buffer.from(await exchange.body(100)).toString()].join('|'),
      }),
    });`,
  'rewrites.ts': `
    export default {
      name: 'rewrites', priority: 1, schema: { type: 'object' },
      rewrite(_: unknown, exchange: any) {
        exchange.headers.set('x-set', '1');
        exchange.headers.append('x-many', '3');
        exchange.headers.remove('x-secret');
        exchange.upstream.path = '/b%20c';
        exchange.upstream.query = 'q=2&new=%C3%BC';
        exchange.upstream.host = 'b.example';
        exchange.response.headers.set('x-seen', 'yes');
        exchange.replaceBody(Buffer.from('new'));
      },
    };`,
  'plain.js': `export default { name: 'plain', priority: 1, schema: { type: 'object' }, access() {} };`,
  'throws.ts': `
    import { GatewayError } from 'gatewright/plugin';
    export default { name: 'throws', priority: 1, schema: { type: 'object' },
      async access({ how }: { how: string }, exchange: any) {
        if (how === 'sync') throw new Error('on purpose');
        if (how === 'consumer') return exchange.consumer;
        if (how === 'body') return exchange.body(1);
        if (how === 'stray') { setTimeout(() => { throw new Error('stray'); }); return; }
        if (how === 'never') await new Promise(() => undefined);
        if (how === 'split') exchange.headers.set('x', 'a\\r\\nb: c');
      } };`,
  'loops.ts': `export default { name: 'loops', priority: 1, schema: { type: 'object' }, async access() { await undefined; for (;;); } };`,
  'responds.ts': `
    export default { name: 'responds', priority: 1, schema: { type: 'object' },
      async headerFilter(_: unknown, exchange: any) {
        exchange.response.status = 418;
        exchange.response.headers.remove('set-cookie');
        exchange.response.headers.set('x-uri', await exchange.variable('uri'));
      },
      bodyFilter: (_: unknown, __: unknown, chunk: Uint8Array) => Buffer.from(chunk).reverse() };`,
  'checks.ts': `
    import { ConfigError } from 'gatewright/plugin';
    export default { name: 'checks', priority: 1, schema: { type: 'object', required: ['limit'], properties: { limit: { type: 'integer' } } },
      compile(config: { limit: number }) { if (config.limit > 9) throw new ConfigError('limit: too much'); return config; },
      access: () => ({ status: 204 }) };`,
  'authenticates.ts': `export default { name: 'authenticates', priority: 1, schema: { type: 'object' }, log() {}, access() {} };`,
};

class Runner {
  readonly folder: string;
  readonly socket: string;
  readonly child: ChildProcess;
  readonly lines: string[] = [];
  #heard: (() => void)[] = [];

  private constructor(folder: string, options: readonly string[]) {
    this.folder = folder;
    this.socket = path.join(folder, 'runner.sock');
    this.child = spawn(process.execPath, [main, '--plugins', path.join(folder, 'plugins'), ...options], {
      env: { ...process.env, APISIX_LISTEN_ADDRESS: `unix:${this.socket}` },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.lines.push(...text.split('\n'));
        this.#wake();
      });
    }
    this.child.once('exit', () => this.#wake());
  }

  #wake(): void {
    for (const wake of this.#heard.splice(0)) wake();
  }

  static async start(files: Readonly<Record<string, string>>, ...options: string[]): Promise<Runner> {
    const folder = await mkdtemp(path.join(tmpdir(), 'gatewright-node-runner-'));
    mkdirSync(path.join(folder, 'plugins'));
    for (const [name, text] of Object.entries(files)) writeFileSync(path.join(folder, 'plugins', name), text);
    const runner = new Runner(folder, options);
    await runner.line('listening on');
    return runner;
  }

  /** Replaces a file at once. */
  write(name: string, text: string): void {
    const beside = path.join(this.folder, `${name}.new`);
    writeFileSync(beside, text);
    renameSync(beside, path.join(this.folder, 'plugins', name));
  }

  /** Until `count` lines hold the text. */
  async line(text: string, count = 1): Promise<string> {
    const deadline = AbortSignal.timeout(patienceMs);
    for (;;) {
      const found = this.lines.filter((line) => line.includes(text));
      if (found.length >= count) return found.at(-1) ?? '';
      assert.ok(!deadline.aborted && this.child.exitCode === null, `no line "${text}" in\n${this.lines.join('\n')}`);
      await new Promise<void>((resolve) => {
        this.#heard.push(resolve);
        deadline.addEventListener('abort', () => resolve(), { once: true });
      });
    }
  }

  client(): RunnerClient {
    return new RunnerClient('node', this.socket, {
      connectTimeoutMs: 5000,
      timeoutMs: patienceMs,
      confExpireMs: 3_600_000,
      maxConnections: 64,
    });
  }

  /** Bytes out, frames back until `frames` came or the runner closed. */
  async raw(bytes: Buffer, frames: number): Promise<{ frames: Frame[]; closed: boolean }> {
    const socket = connect(this.socket);
    const reader = new FrameReader();
    const got: Frame[] = [];
    const closed = new Promise<boolean>((resolve) => socket.once('close', () => resolve(true)));
    const enough = new Promise<boolean>((resolve) => {
      socket.on('data', (piece: Buffer) => {
        reader.push(piece);
        for (let frame = reader.next(); frame !== undefined; frame = reader.next()) got.push(frame);
        if (got.length >= frames) resolve(false);
      });
    });
    socket.on('error', () => undefined);
    socket.write(bytes);
    try {
      return { closed: await Promise.race([closed, ...(frames === 0 ? [] : [enough])]), frames: got };
    } finally {
      socket.destroy();
    }
  }

  async stop(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const exit = once(this.child, 'exit');
      this.child.kill('SIGTERM');
      await exit;
    }
    await rm(this.folder, { recursive: true, force: true });
  }
}

interface Given {
  readonly conf: readonly TextEntry[];
  readonly headers?: readonly TextEntry[];
  readonly args?: readonly TextEntry[];
  readonly body?: Buffer;
}

const information = (body: Buffer): RunnerInformation => ({
  variable: (name) => (name === 'missing' ? undefined : `the ${name}`),
  requestBody: () => Promise.resolve(body),
  responseBody: () => Promise.resolve(body),
});

function request(client: RunnerClient, given: Given): Promise<HttpReqCallAnswer> {
  return client.call(
    createConf(given.conf),
    (writer, confToken, id) =>
      encodeHttpReqCall(writer, {
        id,
        confToken,
        sourceAddress: Buffer.from([127, 0, 0, 1]),
        method: methodCode('POST') ?? 0,
        path: '/a\xc3\xbc',
        args: given.args ?? [],
        headers: given.headers ?? [],
      }),
    decodeHttpReqCall,
    information(given.body ?? Buffer.alloc(0)),
  );
}

function conf(name: string, value: object = {}): readonly TextEntry[] {
  return [[name, JSON.stringify(value)]];
}

const refusal = (failure: string) => (error: unknown) => (error as { failure?: string }).failure === failure;

describe('the Node runner', () => {
  let runner: Runner;
  let client: RunnerClient;
  before(async () => {
    runner = await Runner.start(plugins, '--timeout-ms', '700', '--processes', '2');
    client = runner.client();
  });
  after(async () => {
    client.close();
    await runner.stop();
  });

  test('a plugin of the gateway’s own interface answers a request, with all that the protocol carries', async () => {
    const answer = await request(client, {
      conf: conf('answers', {}),
      headers: [
        ['host', 'A.example:80'],
        ['x-many', '1'],
        ['x-many', '2'],
        ['cookie', 'a=b; c=d'],
      ],
      args: [
        ['q', 'a b'],
        ['flag', undefined],
      ],
      body: Buffer.from('body'),
    });
    assert.ok(answer.action === 'stop');
    assert.equal(answer.status, 201);
    assert.deepEqual(answer.headers, [['X-Runner', 'node']]);
    assert.equal(answer.body?.toString(), 'hello|POST|/aü|q=a%20b&flag|127.0.0.1|1+2|a b|d|a.example|the host|body');
  });

  test('what a plugin changes goes back, and nothing else', async () => {
    const headers: TextEntry[] = [
      ['x-secret', '1'],
      ['x-many', '1'],
      ['x-kept', '1'],
    ];
    const answer = await request(client, {
      conf: conf('rewrites'),
      headers,
      args: [
        ['q', '1'],
        ['gone', '1'],
      ],
    });
    assert.ok(answer.action === 'rewrite');
    assert.deepEqual(answer.headers, [
      ['x-set', '1'],
      ['x-many', '1'],
      ['x-many', '3'],
      ['x-secret', undefined],
      ['host', 'b.example'],
    ]);
    assert.deepEqual(answer.args, [
      ['gone', undefined],
      ['q', '2'],
      ['new', '\xc3\xbc'],
    ]);
    assert.equal(answer.path, '/b c');
    assert.deepEqual(answer.responseHeaders, [['x-seen', 'yes']]);
    assert.equal(answer.body?.toString(), 'new');
  });

  test('a request that no plugin changes goes on; the first reply ends it', async () => {
    assert.equal((await request(client, { conf: [...conf('plain'), ...conf('plain')] })).action, 'none');
    const answer = await request(client, {
      conf: [...conf('plain'), ...conf('checks', { limit: 1 }), ...conf('throws', { how: 'sync' })],
    });
    assert.ok(answer.action === 'stop');
    assert.equal(answer.status, 204);
  });

  test('headerFilter and bodyFilter see and change the response', async () => {
    const answer = await client.call(
      createConf(conf('responds')),
      (writer, confToken, id) =>
        encodeHttpRespCall(writer, {
          id,
          confToken,
          status: 200,
          headers: [
            ['set-cookie', 'a=1'],
            ['x', 'y'],
          ],
        }),
      decodeHttpRespCall,
      information(Buffer.from('abc')),
    );
    assert.equal(answer.status, 418);
    assert.deepEqual(answer.headers, [
      ['set-cookie', undefined],
      ['x-uri', 'the uri'],
    ]);
    assert.equal(answer.body?.toString(), 'cba');
  });

  test('a plugin that throws, never answers, or asks for what a runner has not is an error that names it', async () => {
    for (const how of ['sync', 'consumer', 'never', 'split'])
      await assert.rejects(request(client, { conf: conf('throws', { how }) }), refusal('runner_refused'), how);
    await runner.line('plugin throws: Error: on purpose');
    await runner.line('exchange.consumer is not to be had in a runner');
    await runner.line('plugin throws: Error: no answer within 700 ms');
    await runner.line('invalid value of header x');
  });

  test('what a plugin throws outside of every call is logged and harms nobody', async () => {
    assert.equal((await request(client, { conf: conf('throws', { how: 'stray' }) })).action, 'none');
    await runner.line('Error: stray');
    assert.equal((await request(client, { conf: conf('plain') })).action, 'none');
  });

  test('a body beyond the bound that a plugin gave is answered as the gateway would', async () => {
    const answer = await request(client, { conf: conf('throws', { how: 'body' }), body: Buffer.from('too long') });
    assert.ok(answer.action === 'stop');
    assert.equal(answer.status, 413);
  });

  test('a plugin without a phase for the call is an error, not skipped', async () => {
    await assert.rejects(request(client, { conf: conf('responds') }), refusal('runner_refused'));
    await runner.line('plugin responds: Error: it has no phase for requests');
  });

  test('an unknown plugin, one that a runner cannot run, and a wrong configuration are errors when they are prepared', async () => {
    const cases: [readonly TextEntry[], string][] = [
      [conf('unknown'), 'plugin unknown is not known'],
      [conf('authenticates'), 'plugin authenticates: log: only the gateway itself can run these'],
      [conf('checks'), 'plugin checks: property "limit" is required'],
      [conf('checks', { limit: 10 }), 'plugin checks: limit: too much'],
      [conf('answers', { bodi: 1 }), 'plugin answers: additional properties forbidden'],
      [[['plain', '{']], 'plugin plain: the configuration is not JSON'],
    ];
    for (const [entries, words] of cases) {
      await assert.rejects(client.prepare(createConf(entries)), refusal('runner_refused'), words);
      await runner.line(words);
    }
  });

  test('a plugin that blocks its process ends that process alone, by name', async () => {
    const other = runner.client();
    try {
      const hung = assert.rejects(request(client, { conf: conf('loops') }));
      await hung;
      await runner.line('plugin loops, the last that began: it blocks for more than 700 ms');
      await runner.line('ended by SIGKILL, another starts');
      assert.equal((await request(other, { conf: conf('plain') })).action, 'none');
    } finally {
      other.close();
    }
  });

  test('every process knows every token', async () => {
    const others = Array.from({ length: 6 }, () => runner.client());
    try {
      for (const other of others) assert.equal((await request(other, { conf: conf('plain') })).action, 'none');
      const call = encodeHttpReqCall(new FrameWriter(), {
        id: 5,
        confToken: 12_345,
        sourceAddress: Buffer.alloc(16),
        method: 0,
        path: '/',
        args: [],
        headers: [],
      });
      const { frames } = await runner.raw(call, 1);
      assert.equal(decodeError(frames[0]?.payload ?? Buffer.alloc(0)), 2);
    } finally {
      for (const other of others) other.close();
    }
  });

  test('frames that cannot be read, or of another type, are an error and the end of their connection', async () => {
    const frame = (type: number, payload: Buffer) =>
      Buffer.concat([
        Buffer.from([type, payload.length >> 16, (payload.length >> 8) & 255, payload.length & 255]),
        payload,
      ]);
    const broken = [
      frame(9, Buffer.alloc(0)),
      frame(3, Buffer.alloc(0)),
      frame(2, Buffer.from('ffffffff', 'hex')),
      frame(1, Buffer.alloc(20, 0xff)),
      Buffer.from('02ffffff', 'hex'),
    ];
    broken[4] = Buffer.concat([Buffer.from('02ffffff', 'hex'), Buffer.alloc(5 * 1024 * 1024)]);
    for (const bytes of broken) {
      const { frames, closed } = await runner.raw(bytes, 2);
      assert.ok(closed);
      assert.deepEqual(
        frames.map(({ type, payload }) => [type, decodeError(payload)]),
        [[0, 0]],
      );
    }
    assert.equal((await request(client, { conf: conf('plain') })).action, 'none');
  });

  test('the frames of the vectors, a byte at a time and all at once, are understood', async () => {
    const file = path.resolve(import.meta.dirname, '../vectors/ext-plugin/frames.json');
    const { vectors } = JSON.parse(readFileSync(file, 'utf8')) as {
      vectors: { name: string; from: string; type: number; hex: string }[];
    };
    const calls = vectors.filter(({ from, type }) => from === 'gateway' && [2, 4].includes(type));
    assert.ok(calls.length >= 3);
    for (const { name, hex } of calls) {
      const { frames } = await runner.raw(Buffer.from(hex, 'hex'), 1);
      // Read to the end: its token is not known.
      assert.deepEqual(
        frames.map(({ type, payload }) => [type, decodeError(payload)]),
        [[0, 2]],
        name,
      );
    }
    const empty = vectors.find(({ name }) => name === 'PrepareConf without plugins')?.hex ?? '';
    const { frames } = await runner.raw(Buffer.from(empty, 'hex'), 1);
    assert.equal(frames[0]?.type, 1);
  });

  test('garbage and half frames on many connections harm nobody', async () => {
    const garbage = Buffer.from(Array.from({ length: 300 }, (_, i) => (i * 7919) % 256));
    await Promise.all(
      Array.from({ length: 60 }, async (_, i) => {
        const socket = connect(runner.socket)
          .on('error', () => undefined)
          .resume();
        socket.end(garbage.subarray(i, i + 40));
        await once(socket, 'close');
      }),
    );
    assert.equal((await request(client, { conf: conf('plain') })).action, 'none');
  });
});

describe('the Node runner’s folder of plugins', () => {
  const text = (body: string) =>
    `export default { name: 'x', priority: 1, schema: { type: 'object' }, access: () => ({ status: 200, body: '${body}' }) };`;
  const bodyOf = async (client: RunnerClient): Promise<string | undefined> => {
    const answer = await request(client, { conf: conf('x') });
    return answer.action === 'stop' ? answer.body?.toString() : answer.action;
  };

  test('a changed file takes effect for tokens that there are; one that does not load keeps the last good one', async () => {
    const runner = await Runner.start({ 'x.ts': text('one') });
    const client = runner.client();
    try {
      assert.equal(await bodyOf(client), 'one');
      runner.write('x.ts', text('two'));
      await runner.line('loaded', 2);
      while ((await bodyOf(client)) !== 'two') assert.equal(runner.child.exitCode, null);
      runner.write('x.ts', 'export default {\n  name: ;\n};');
      assert.match(await runner.line('does not load, the version before it stays'), /x\.ts:\d/);
      assert.equal(await bodyOf(client), 'two');
    } finally {
      client.close();
      await runner.stop();
    }
  });

  test('a name that two files claim belongs to neither', async () => {
    const runner = await Runner.start({ 'x.ts': text('one'), 'y.ts': text('two') });
    const client = runner.client();
    try {
      await runner.line('plugin x is in');
      await assert.rejects(bodyOf(client), refusal('runner_refused'));
    } finally {
      client.close();
      await runner.stop();
    }
  });
});

describe('the Node runner’s processes', () => {
  const slow = `export default { name: 'slow', priority: 1, schema: { type: 'object' }, async access() {
    console.log('began'); await new Promise((resolve) => setTimeout(resolve, 300)); return { status: 204 }; } };`;

  test('SIGTERM lets a call end, removes the socket and exits with 0', async () => {
    const runner = await Runner.start({ 'slow.ts': slow });
    const client = runner.client();
    try {
      assert.equal(statSync(runner.socket).mode & 0o777, 0o600);
      const answer = request(client, { conf: conf('slow') });
      await runner.line('began');
      const exit = once(runner.child, 'exit');
      runner.child.kill('SIGTERM');
      assert.equal((await answer).action, 'stop');
      assert.deepEqual(await exit, [0, null]);
      assert.equal(existsSync(runner.socket), false);
    } finally {
      client.close();
      await runner.stop();
    }
  });

  test('a log that nobody reads any more is no reason to end', async () => {
    const runner = await Runner.start(plugins, '--processes', '1');
    const client = runner.client();
    try {
      runner.child.stderr?.destroy();
      for (let i = 0; i < 3; i++) {
        // Refused, which is logged.
        await assert.rejects(request(client, { conf: conf('unknown', { i }) }), refusal('runner_refused'));
        assert.equal((await request(client, { conf: conf('plain') })).action, 'none');
      }
      assert.equal(runner.child.exitCode, null);
    } finally {
      client.close();
      await runner.stop();
    }
  });

  test('a socket that somebody serves, or a file, is not taken; a stale one is', async () => {
    const runner = await Runner.start({}, '--socket-mode', '666');
    const start = async (address: string): Promise<[number | null, string]> => {
      const child = spawn(process.execPath, [main, '--plugins', path.join(runner.folder, 'plugins')], {
        env: { ...process.env, APISIX_LISTEN_ADDRESS: address },
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      let said = '';
      child.stderr.setEncoding('utf8').on('data', (piece: string) => {
        said += piece;
        if (said.includes('listening on')) child.kill('SIGTERM');
      });
      const [code] = (await once(child, 'close')) as [number | null];
      return [code, said];
    };
    try {
      assert.equal(statSync(runner.socket).mode & 0o777, 0o666);
      const [code, said] = await start(`unix:${runner.socket}`);
      assert.equal(code, 1);
      assert.match(said, /is served by another process/);
      const file = path.join(runner.folder, 'file');
      writeFileSync(file, 'mine');
      chmodSync(file, 0o600);
      assert.match((await start(`unix:${file}`))[1], /is not a socket/);
      assert.equal(readFileSync(file, 'utf8'), 'mine');
      assert.match((await start('tcp:1'))[1], /an address is unix:/);
      const exit = once(runner.child, 'exit');
      runner.child.kill('SIGKILL');
      await exit;
      assert.ok(existsSync(runner.socket));
      const [again, listened] = await start(`unix:${runner.socket}`);
      assert.match(listened, /listening on/);
      assert.equal(again, 0);
    } finally {
      await runner.stop();
    }
  });
});
