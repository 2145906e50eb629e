/** The shell lines of docs/custom-verification.md, executed as they stand but for ports and folders, with the example function. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type CommandResult, runProcess } from '../command.ts';
import { type Gateway, startGateway } from '../gateway.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';

const root = new URL('../../', import.meta.url).pathname;

describe('the first verification function', () => {
  let directory: string;
  let upstream: TestUpstream;
  let gateway: Gateway;
  const results: CommandResult[] = [];
  before(async () => {
    const page = await readFile(join(root, 'docs/custom-verification.md'), 'utf8');
    const block = /<!-- example: first -->\n```sh\n(.+?)```/s.exec(page)?.[1];
    assert.ok(block !== undefined);
    directory = await mkdtemp(join(tmpdir(), 'gatewright-'));
    upstream = await startUpstream();
    gateway = await startGateway({
      directory,
      settings: {
        deployment: { admin: { admin_key: null } },
        gatewright: { functions: { directory: join(root, 'examples/functions') } },
      },
    });
    for (const line of block.trimEnd().split('\n')) {
      const ported = line
        .replaceAll('127.0.0.1:9180', `127.0.0.1:${gateway.ports.admin}`)
        .replaceAll('127.0.0.1:9080', `127.0.0.1:${gateway.ports.data}`)
        .replaceAll('127.0.0.1:8081', upstream.node);
      results.push(await runProcess('sh', ['-c', ported], { cwd: directory }));
    }
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  });

  it('is asked by a route with the configuration of the cloud gateway', () => {
    assert.match(results[0]?.stdout ?? '', /^\{"key":"\/apisix\/routes\/1","value":/);
  });

  it('refuses in its own words, lets pass, and is remembered', () => {
    assert.match(results[1]?.stdout ?? '', /^HTTP\/1\.1 401 [^]*\{"message":"Say the word"\}\n$/);
    for (const result of results.slice(2, 4)) assert.match(result.stdout, /^HTTP\/1\.1 200 OK\r\n/);
    assert.equal(upstream.requests.length, 2);
    for (const { headers } of upstream.requests) assert.equal(headers['x-tenant'], 'a');
  });

  it('is forgotten by a line', () => {
    assert.equal(results[4]?.stdout, '{"purged":"all"}');
  });
});
