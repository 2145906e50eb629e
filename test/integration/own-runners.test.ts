/** The plugins of docs/writing-a-runner-plugin.md, through the gateway, in both runners: started by it, and found by their socket. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startGateway, type Gateway } from '../gateway.ts';
import { conf, putRoute } from '../runners/route.ts';
import { skipUnless } from '../services/requirements.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';

const root = path.resolve(import.meta.dirname, '../..');
const python = ['python3', '-m', 'gatewright_runner', '--plugins'];
const environment = { PYTHONPATH: path.join(root, 'runners/python'), PYTHONDONTWRITEBYTECODE: '1' };

/** The examples, by the file that their first line names, in a folder for each language. */
async function writeExamples(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'gatewright-runner-docs-'));
  const text = await readFile(path.join(root, 'docs/writing-a-runner-plugin.md'), 'utf8');
  for (const [, language = '', name = '', code = ''] of text.matchAll(
    /```(python|ts)\n(?:#|\/\/) (\S+)\n([^]*?)```/g,
  )) {
    await mkdir(path.join(folder, language), { recursive: true });
    await writeFile(path.join(folder, language, name), code);
  }
  return folder;
}

describe('the plugins of docs/writing-a-runner-plugin.md', { skip: skipUnless('python3') }, () => {
  let folder: string;
  let gateway: Gateway;
  let upstream: TestUpstream;
  before(async () => {
    folder = await writeExamples();
    upstream = await startUpstream();
    const node = [process.execPath, path.join(root, 'runners/node/main.ts'), '--plugins', path.join(folder, 'ts')];
    gateway = await startGateway({
      settings: {
        nginx_config: { envs: Object.keys(environment) },
        'ext-plugin': { cmd: [...python, path.join(folder, 'python')], runners: { node: { cmd: node } } },
      },
      env: environment,
    });
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  test('stop.py, written for Apache’s runner, answers 201 with its header and body', async () => {
    await putRoute(gateway, 'extPlugin', upstream.node, { 'ext-plugin-pre-req': conf('stop') });
    const response = await fetch(`${gateway.url}/extPlugin`);
    assert.equal(response.status, 201);
    assert.equal(response.headers.get('x-resp-a6-runner'), 'Python');
    assert.equal(await response.text(), 'Hello 127.0.0.1, Python Runner of APISIX');
  });

  test('tenant.py refuses, rewrites, and judges the response', async () => {
    const plugin = conf('tenant', { allowed: ['acme'] });
    await putRoute(gateway, 'orders', upstream.node, { 'ext-plugin-pre-req': plugin, 'ext-plugin-post-resp': plugin });
    assert.equal((await fetch(`${gateway.url}/orders?tenant=other`)).status, 403);
    const response = await fetch(`${gateway.url}/orders?tenant=acme&page=2`);
    assert.equal(response.status, 200);
    const body = await response.text();
    assert.equal(body, 'GET /tenants/orders?page=2\n');
    assert.equal(response.headers.get('x-length'), String(body.length));
    assert.equal(upstream.requests.at(-1)?.headers['x-tenant'], 'acme');
  });

  test('a configuration that does not fit lets no request pass', async () => {
    await putRoute(gateway, 'unfit', upstream.node, { 'ext-plugin-pre-req': conf('tenant', { allow: [] }) }).catch(
      (error: unknown) => assert.match(String(error), /refus/),
    );
    assert.ok((await fetch(`${gateway.url}/unfit`)).status >= 400);
  });

  test('greeting.ts answers and rewrites in the Node runner', async () => {
    const plugin = { ...conf('greeting', { greeting: 'Hi' }), runner: 'node' };
    await putRoute(gateway, 'greeting', upstream.node, { 'ext-plugin-pre-req': plugin });
    const response = await fetch(`${gateway.url}/greeting`);
    assert.equal(await response.text(), 'Hi, 127.0.0.1\n');
    assert.equal((await fetch(`${gateway.url}/greeting?as=header`)).status, 200);
    assert.equal(upstream.requests.at(-1)?.headers['x-greeting'], 'Hi');
  });

  test('a runner that runs already is found by path_for_test', async () => {
    const socket = path.join(folder, 'runner.sock');
    const runner = spawn(python[0] ?? '', [...python.slice(1), path.join(folder, 'python')], {
      env: { ...process.env, ...environment, APISIX_LISTEN_ADDRESS: `unix:${socket}` },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    try {
      let said = '';
      for await (const piece of runner.stderr) if ((said += String(piece)).includes('loaded stop.py')) break;
      await using other = await startGateway({ settings: { 'ext-plugin': { path_for_test: socket } } });
      await putRoute(other, 'extPlugin', upstream.node, { 'ext-plugin-pre-req': conf('stop') });
      assert.equal((await fetch(`${other.url}/extPlugin`)).status, 201, said);
    } finally {
      const exit = once(runner, 'exit');
      runner.kill('SIGTERM');
      await exit;
    }
  });
});
