/** Apache's Go plugin runner beside a real gateway, in both start modes. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Gateway, startGateway } from '../gateway.ts';
import { request } from '../request.ts';
import { goRunner } from '../runners/go-runner.ts';
import { conf, putRoute } from '../runners/route.ts';
import { skipUnless } from '../services/requirements.ts';
import { until } from '../until.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';

const skip = skipUnless('go');

describe('a runner that the gateway starts (ext-plugin.cmd)', { skip, timeout: 300_000 }, () => {
  let gateway: Gateway;
  let upstream: TestUpstream;
  before(async () => {
    upstream = await startUpstream((_, response) => {
      response.writeHead(200, { 'Content-Type': 'text/plain', 'X-Up': 'yes', 'Set-Cookie': ['a=1', 'b=2'] });
      response.end('from upstream');
    });
    gateway = await startGateway({
      settings: { 'ext-plugin': { cmd: [goRunner()] }, nginx_config: { worker_processes: 2, error_log_level: 'info' } },
    });
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
  });

  const route = (id: string, plugins: Record<string, unknown>): Promise<void> =>
    putRoute(gateway, id, upstream.node, plugins, `/${id}*`);

  it('answers in the gateway’s place where the plugin says so (Stop)', async () => {
    await route('say', { 'ext-plugin-pre-req': conf('say', { body: 'hello from Go' }) });
    const response = await request(gateway, '/say');
    assert.equal(response.status, 200);
    assert.equal(response.headers['x-resp-a6-runner'], 'Go');
    assert.equal(response.body, 'hello from Go');
    assert.equal(upstream.requests.length, 0);
  });

  it('is not asked by explain, which says so', async () => {
    await route('told', { 'ext-plugin-pre-req': conf('say', { body: 'hello from Go' }) });
    const response = await fetch(`http://127.0.0.1:${gateway.ports.control}/v1/explain`, {
      method: 'POST',
      body: JSON.stringify({ method: 'GET', url: `${gateway.url}/told`, headers: [] }),
    });
    const { steps } = (await response.json()) as { steps: { plugin: string; verdict: string; detail: string }[] };
    assert.deepEqual(
      steps.map(({ plugin, verdict }) => [plugin, verdict]),
      [['ext-plugin-pre-req', 'passed']],
    );
    assert.match(steps[0]?.detail ?? '', /^ext-plugin-pre-req would ask its runner/);
  });

  it('rewrites path, arguments, headers and Host, and adds to the response (Rewrite)', async () => {
    await route('rw', {
      'ext-plugin-pre-req': conf('rewrite', {
        path: '/new path/ü',
        headers: { 'X-Set': 'v1', 'X-Gone': '', Host: 'inner.example' },
        args: { added: 'a b&c', gone: '' },
        resp_headers: { 'X-From-Runner': 'yes' },
      }),
    });
    const response = await request(gateway, '/rw?kept=1&gone=2&kept=%2F', { 'X-Gone': '1', 'X-Kept': '2' });
    assert.equal(response.status, 200);
    assert.equal(response.headers['x-from-runner'], 'yes');
    assert.equal(response.headers['x-up'], 'yes');
    const seen = upstream.requests.at(-1);
    assert.equal(seen?.url, '/new%20path/%C3%BC?kept=1&kept=%2F&added=a%20b%26c');
    assert.equal(seen.headers.host, 'inner.example');
    assert.equal(seen.headers['x-set'], 'v1');
    assert.equal(seen.headers['x-gone'], undefined);
    assert.equal(seen.headers['x-kept'], '2');
  });

  it('gives the runner method, path, arguments, headers, the client’s address, variables and the body (ExtraInfo)', async () => {
    await route('inspect', { 'ext-plugin-pre-req': conf('inspect', { variable: 'request_method' }) });
    const body = 'x'.repeat(70_000);
    const response = await request(
      gateway,
      '/inspect/%C3%BC%20y?a=1&a=2&flag',
      { 'X-A': ['1', '2'] },
      { method: 'PUT', body },
    );
    const seen = JSON.parse(response.body) as Record<string, unknown> & { headers: Record<string, string[]> };
    assert.equal(seen['method'], 'PUT');
    assert.equal(seen['path'], '/inspect/ü y');
    assert.equal(seen['address'], '127.0.0.1');
    assert.deepEqual(seen['args'], { a: ['1', '2'], flag: [''] });
    assert.deepEqual(seen.headers['X-A'], ['1', '2']);
    assert.equal(seen['variable'], 'PUT');
    assert.equal(seen['body'], body);
  });

  it('sees in ext-plugin-post-req what the other plugins made of the request', async () => {
    await gateway.admin('PUT', '/consumers', { username: 'jack', plugins: { 'key-auth': { key: 'jack-key' } } });
    await route('post', {
      'key-auth': {},
      'proxy-rewrite': { uri: '/rewritten?x=1' },
      'ext-plugin-post-req': conf('inspect', { variable: 'consumer_name' }),
    });
    const refused = await request(gateway, '/post');
    assert.equal(refused.status, 401);
    const response = await request(gateway, '/post', { apikey: 'jack-key' });
    const seen = JSON.parse(response.body) as Record<string, unknown> & { headers: Record<string, string[]> };
    assert.equal(seen['path'], '/rewritten');
    assert.deepEqual(seen['args'], { x: ['1'] });
    assert.equal(seen['variable'], 'jack');
    assert.deepEqual(seen.headers['X-Consumer-Username'], ['jack']);
  });

  it('changes status, headers and body of the upstream’s response (HTTPRespCall)', async () => {
    await route('resp', {
      'ext-plugin-post-resp': conf('respond', { status: 203, headers: { 'X-New': '1', 'X-Up': '' } }),
    });
    const response = await request(gateway, '/resp');
    assert.equal(response.status, 203);
    assert.equal(response.body, 'FROM UPSTREAM');
    assert.equal(response.headers['x-new'], '1');
    assert.equal(response.headers['x-up'], undefined);
    assert.equal(response.headers['set-cookie'], 'a=1, b=2');
    assert.equal(response.headers['content-length'], '13');
  });

  it('refuses a plugin that the runner would skip, or whose value it cannot read, each time it is written', async () => {
    const put = (plugins: object) =>
      gateway.admin('PUT', '/routes/skipped', {
        uri: '/skipped',
        plugins,
        upstream: { nodes: { [upstream.node]: 1 } },
      });
    for (let i = 0; i < 2; i++) {
      const { conf: items } = conf('say', { body: 'x' });
      const unknown = await put({ 'ext-plugin-pre-req': { conf: [...items, { name: 'säy', value: '' }] } });
      assert.equal(unknown.status, 400, JSON.stringify(unknown.body));
      assert.match(String(unknown.body['error_msg']), /"conf".*item 2.*does not know the plugin säy/);
      const unreadable = await put({ 'ext-plugin-pre-req': conf('say', '{') });
      assert.equal(unreadable.status, 400, JSON.stringify(unreadable.body));
    }
    assert.equal((await put({ 'ext-plugin-pre-req': conf('say', { body: 'x' }) })).status, 201);
  });

  it('warns that the runner skips what it does not know', () => {
    assert.match(gateway.output(), /the runner skips plugins that it does not know.*runner=default/);
  });

  it('writes what the runner prints to the error log, with its name', async () => {
    await until(() => /runner.*runner=default.*listening to/.test(gateway.output()));
  });

  it('starts the runner again when it is killed, and prepares its configuration anew', async () => {
    const [before] = runnerPids(gateway);
    assert.notEqual(before, undefined);
    process.kill(before as number, 'SIGKILL');
    await until(async () => (await request(gateway, '/say')).status !== 200 || runnerPids(gateway)[0] !== before);
    await until(async () => (await request(gateway, '/say')).status === 200);
    const response = await request(gateway, '/say');
    assert.equal(response.body, 'hello from Go');
    assert.notEqual(runnerPids(gateway)[0], before);
  });
});

describe('a runner that runs already (ext-plugin.path_for_test)', { skip, timeout: 300_000 }, () => {
  it('is used where it listens; without it requests end with 503, and with it they pass again', async () => {
    const directory = await mkdtemp(path.join(tmpdir(), 'runner-'));
    const socket = path.join(directory, 'runner.sock');
    await using gateway = await startGateway({ settings: { 'ext-plugin': { path_for_test: socket } } });
    await putRoute(gateway, 'say', '127.0.0.1:1', { 'ext-plugin-pre-req': conf('say', { body: 'hi' }) });
    const missing = await request(gateway, '/say');
    assert.equal(missing.status, 503);
    assert.equal(missing.body, '{"error_msg":"503 Service Unavailable"}\n');
    for (let round = 0; round < 2; round++) {
      const runner = spawn(goRunner(), [], { env: { APISIX_LISTEN_ADDRESS: `unix:${socket}` }, stdio: 'ignore' });
      await until(() => existsSync(socket));
      await until(async () => (await request(gateway, '/say')).status === 200);
      assert.equal((await request(gateway, '/say')).body, 'hi');
      runner.kill('SIGKILL');
      await once(runner, 'exit');
      assert.equal((await request(gateway, '/say')).status, 503);
      await rm(socket, { force: true });
    }
    await rm(directory, { recursive: true, force: true });
  });
});

function runnerPids(gateway: Gateway): number[] {
  return [...gateway.output().matchAll(/runner started.*?pid=(\d+)/g)].map((match) => Number(match[1])).reverse();
}
