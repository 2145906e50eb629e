/** The shell lines of docs/client-certificates.md, executed as they stand but for ports. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { tlsVariables } from '../../src/plugin/tls-variables.ts';
import { type CommandResult, runProcess } from '../command.ts';
import { type Gateway, startGateway } from '../gateway.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';

const page = await readFile(new URL('../../docs/client-certificates.md', import.meta.url), 'utf8');

describe('docs/client-certificates.md', () => {
  let directory: string;
  let upstream: TestUpstream;
  let gateway: Gateway;
  const run = async (name: string): Promise<CommandResult[]> => {
    const block = new RegExp(`<!-- example: ${name} -->\\n\`\`\`sh\\n(.+?)\`\`\``, 's').exec(page)?.[1];
    assert.ok(block !== undefined, `the page has no example ${name}`);
    const results: CommandResult[] = [];
    for (const line of block.trimEnd().split('\n')) {
      const ported = line
        .replaceAll('127.0.0.1:9180', `127.0.0.1:${gateway.ports.admin}`)
        .replaceAll('test.com:9443', `test.com:${gateway.ports.tls}`)
        .replaceAll('127.0.0.1:8081', upstream.node);
      results.push(await runProcess('sh', ['-c', ported], { cwd: directory }));
    }
    return results;
  };
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'gatewright-'));
    upstream = await startUpstream();
    gateway = await startGateway({ directory, settings: { deployment: { admin: { admin_key: null } } } });
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  });

  it('makes certificates, asks for them, and answers as it says', async () => {
    for (const { code, stderr } of await run('certificates')) assert.equal(code, 0, stderr);
    const [, ssl, route] = await run('configuration');
    assert.match(ssl?.stdout ?? '', /^\{"key":"\/apisix\/ssls\/1","value":/);
    assert.match(route?.stdout ?? '', /^\{"key":"\/apisix\/routes\/1","value":/);

    const [shown, open, nothing] = await run('requests');
    assert.match(shown?.stdout ?? '', /^HTTP\/1\.1 200 OK\r\n/);
    assert.match(open?.stdout ?? '', /^HTTP\/1\.1 200 OK\r\n/);
    assert.match(nothing?.stdout ?? '', /^HTTP\/1\.1 400 Bad Request\r\n/);
    const [first, second] = upstream.requests.map(({ headers }) => headers);
    assert.deepEqual([first?.['x-ssl-client-s-dn'], first?.['x-ssl-client-verify']], ['CN=CLIENT', 'SUCCESS']);
    const certificate = new X509Certificate(await readFile(join(directory, 'client.cer')));
    assert.equal(first?.['x-ssl-client-serial'], certificate.serialNumber);
    assert.deepEqual([second?.['x-ssl-client-s-dn'], second?.['x-ssl-client-verify']], ['', 'NONE']);
    assert.equal(upstream.requests.length, 2);
    assert.match(gateway.output(), /request refused.*CLIENT_CERTIFICATE_REFUSED.*client certificate was not present/);
  });

  it('names every variable', () => {
    const named = page.match(/`ssl_[a-z_]+`/g) ?? [];
    const variables = Object.keys(tlsVariables).map((name) => `\`${name}\``);
    assert.deepEqual(new Set(named.filter((name) => name !== '`ssl_session_tickets`')), new Set(variables));
  });
});
