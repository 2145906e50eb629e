/** docs/mutual-tls.md, executed: its plugin through a real gateway, from files and from references, against a server that demands certificates. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { httpClientErrors } from '../../src/plugin/http-client/http-client-error.ts';
import { httpClientSchema } from '../../src/plugin/http-client/index.ts';
import { type CommandResult, runProcess } from '../command.ts';
import { type Gateway, startGateway } from '../gateway.ts';
import { request } from '../request.ts';
import { until } from '../until.ts';
import { createCertificates, startTls, type TestServer } from './http-client.fixture.ts';

const page = readFileSync(new URL('../../docs/mutual-tls.md', import.meta.url), 'utf8');

function example(name: string): string {
  const block = new RegExp(`<!-- example: ${name} -->\\n\`\`\`\\w+\\n(.+?)\`\`\``, 's').exec(page)?.[1];
  assert.ok(block !== undefined, `the page has no example ${name}`);
  return block;
}

describe('docs/mutual-tls.md', () => {
  const endings: (() => Promise<void>)[] = [];
  let certificates: Awaited<ReturnType<typeof createCertificates>>;
  let target: TestServer;
  let gateway: Gateway;

  before(async () => {
    certificates = await createCertificates();
    const { server, clientRoot, serverRoot, one, two } = certificates;
    target = await startTls(
      { after: (end) => void endings.push(end) },
      { ...server, ca: clientRoot.cert, requestCert: true, rejectUnauthorized: true },
      ({ client, path }, response) => response.end(`${client} asked for ${path}`),
    );
    gateway = await startGateway({
      settings: { plugin_dirs: ['plugins'] },
      files: {
        'plugins/mtls-request.ts': example('plugin'),
        'client.crt': one.cert,
        'client.key': one.key,
        'ca.crt': serverRoot.cert,
      },
      env: { TARGET_CERT: two.cert, TARGET_KEY: two.key },
    });
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    for (const end of endings) await end();
  });

  /** The page's lines, but for ports, folders and the target. */
  const run = (name: string): Promise<CommandResult> =>
    runProcess(
      'sh',
      [
        '-c',
        example(name)
          .replaceAll('127.0.0.1:9180', `127.0.0.1:${gateway.ports.admin}`)
          .replaceAll('127.0.0.1:9080', `127.0.0.1:${gateway.ports.data}`)
          .replaceAll('https://target.server', target.url)
          .replaceAll('/path/to', gateway.directory),
      ],
      { env: { ADMIN_KEY: gateway.adminKey } },
    );

  it('the plugin answers with what the target answers, which saw its certificate', async () => {
    const { stdout } = await run('route');
    assert.match(stdout, /HTTP\/1\.1 200 OK\r\n[^]*one asked for \/api\/endpoint$/);
  });

  it('a renewed certificate is used without a restart', async () => {
    const { two } = certificates;
    await writeFile(join(gateway.directory, 'client.crt'), two.cert);
    await writeFile(join(gateway.directory, 'client.key'), two.key);
    await until(async () => (await request(gateway, '/report')).body === 'two asked for /api/endpoint');
  });

  it('certificate and key may be references to secrets', async () => {
    await writeFile(join(gateway.directory, 'client.key'), 'gone');
    const { stdout } = await run('references');
    assert.match(stdout, /HTTP\/1\.1 200 OK\r\n[^]*two asked for \/api\/endpoint$/);
    const { body } = await gateway.admin('GET', '/routes/1?show_secrets=true');
    assert.match(JSON.stringify(body), /"ssl_key":"\$env:\/\/TARGET_KEY"/);
  });

  it('a misspelt option is refused in the words of the page', async () => {
    const { stdout } = await run('misspelt');
    const [, printed = ''] = /<!-- example: misspelt -->[^]*?```json\n(.+?)\n```/.exec(page) ?? [];
    assert.deepEqual(JSON.parse(stdout), JSON.parse(printed));
  });

  it('without a certificate the client reads 502, and the log says that the server demands one', async () => {
    const { stdout } = await run('without');
    assert.match(stdout, /HTTP\/1\.1 502 Bad Gateway\r\n[^]*\{"error_msg":"502 Bad Gateway"\}/);
    const [, line = ''] = /```\n(request refused reason=mtls.+)\n```/.exec(page) ?? [];
    const expected = line.split(' … ').map((part) => part.replace('target.server', `127.0.0.1:${target.port}`));
    assert.equal(expected.length, 2);
    for (const part of expected) await until(() => gateway.output().includes(part));
  });

  it('PEM text with a damaged line is refused with the line, and keys are masked in answers', async () => {
    const { one } = certificates;
    const config = { url: target.url, ssl_cert: one.cert, ssl_key: one.key };
    const damaged = { ...config, ssl_cert: one.cert.replace(/\n./, '\n*') };
    const put = (plugin: object) =>
      gateway.admin('PUT', '/routes/4', { uri: '/text', plugins: { 'mtls-request': plugin } });
    const { status, body } = await put(damaged);
    assert.equal(status, 400);
    assert.match(String(body['error_msg']), /err: ssl_cert: line 2: is not base64$/);
    const { status: created } = await put(config);
    assert.equal(created, 201);
    const { body: shown } = await gateway.admin('GET', '/routes/4');
    assert.doesNotMatch(JSON.stringify(shown), /PRIVATE KEY/);
  });

  it('the tables are those of the code', () => {
    const table = (head: string, rows: readonly (readonly [string, string])[]): string =>
      [`| ${head} | |`, '|---|---|', ...rows.map(([name, text]) => `| \`${name}\` | ${text} |`)].join('\n');
    const errors = table('code', Object.entries(httpClientErrors));
    const options = table(
      'option',
      Object.entries(httpClientSchema).map(([name, { description }]) => [name, description]),
    );
    assert.ok(page.includes(`${errors}\n\n`), `the page should have:\n${errors}`);
    assert.ok(page.includes(`${options}\n\n`), `the page should have:\n${options}`);
  });
});
