/** A verified client certificate where it is used: by a user's plugin, in headers and in the access log. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Authority, type Certificate, createAuthority, createCertificate } from '../certificates.ts';
import { type Gateway, startGateway } from '../gateway.ts';
import { request } from '../request.ts';
import { put } from '../resources.ts';
import { connectTls } from '../tls-client.ts';
import { until } from '../until.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';

const plugin = `
import { definePlugin } from 'gatewright/plugin';

export default definePlugin({
  name: 'who',
  priority: 500,
  schema: { type: 'object' },
  compile: () => undefined,
  access(_state, { clientCertificate, tls, scheme }) {
    const { subject = null, fingerprint256 = null } = clientCertificate ?? {};
    return {
      status: 200,
      body: { scheme, subject, fingerprint256, verify: tls?.clientVerify ?? null, name: tls?.serverName ?? null, protocol: tls?.protocol ?? null },
    };
  },
});
`;

describe('a verified client certificate', () => {
  let directory: string;
  let gateway: Gateway;
  let upstream: TestUpstream;
  let root: Authority;
  let client: Certificate;
  let hostile: Certificate;
  before(async () => {
    root = await createAuthority('root');
    [client, hostile] = await Promise.all([root.issue({ name: 'client' }), root.issue({ name: 'a\\r\\nb: 1' })]);
    upstream = await startUpstream();
    directory = await mkdtemp(join(tmpdir(), 'gatewright-'));
    gateway = await startGateway({
      directory,
      settings: {
        plugin_dirs: ['plugins'],
        nginx_config: {
          worker_processes: 1,
          http: {
            enable_access_log: true,
            access_log: join(directory, 'access.log'),
            access_log_buffer: 0,
            access_log_format:
              '$ssl_client_verify|$ssl_client_s_dn|$ssl_client_serial|$ssl_server_name|$ssl_client_raw_cert|end',
          },
        },
      },
      files: { 'plugins/who.ts': plugin },
    });
    const nodes = { upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } } };
    const rewrite = (value: string): object => ({ 'proxy-rewrite': { headers: { set: { 'X-Cert': value } } } });
    for (const [path, body] of [
      ['/routes/who', { uri: '/who', plugins: { who: {} } }],
      ['/routes/raw', { uri: '/raw', plugins: rewrite('$ssl_client_raw_cert'), ...nodes }],
      ['/routes/name', { uri: '/name', plugins: rewrite('$ssl_client_s_dn'), ...nodes }],
      [
        '/ssls/1',
        {
          ...(await createCertificate('a.test')),
          sni: 'a.test',
          client: { ca: root.cert, skip_mtls_uri_regex: ['.'] },
        },
      ],
    ] as const)
      await put(gateway, path, body);
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  });
  const get = async (target: string, shown: object = {}): Promise<{ status: number; body: Buffer }> => {
    using connection = await connectTls(gateway.ports.tls, { servername: 'A.test', ...shown });
    return await connection.get('a.test', target);
  };
  const who = async (shown: object = {}): Promise<unknown> => JSON.parse((await get('/who', shown)).body.toString());

  it("is a plugin's to read; one that is not verified is not there, on a path that asks for none", async () => {
    const { subject, fingerprint256 } = new X509Certificate(client.cert);
    const known = { scheme: 'https', name: 'a.test', protocol: 'TLSv1.3' };
    assert.deepEqual(await who(client), { ...known, subject, fingerprint256, verify: 'SUCCESS' });
    assert.deepEqual(await who(), { ...known, subject: null, fingerprint256: null, verify: 'NONE' });
    const stranger = await (await createAuthority('stranger')).issue({ name: 'client' });
    assert.deepEqual(await who(stranger), {
      ...known,
      subject: null,
      fingerprint256: null,
      verify: 'FAILED:UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    });
    assert.deepEqual(JSON.parse((await request(gateway, '/who', { Host: 'a.test' })).body), {
      scheme: 'http',
      subject: null,
      fingerprint256: null,
      verify: null,
      name: null,
      protocol: null,
    });
  });

  it('breaks no header and no line of the access log with what is written in it (apisix#13787, CVE-2023-27493)', async () => {
    assert.equal((await get('/name', hostile)).status, 200);
    assert.equal(upstream.requests.at(-1)?.headers['x-cert'], String.raw`CN=a\0D\0Ab: 1`);
    assert.equal((await get('/raw', hostile)).status, 200);
    assert.equal(upstream.requests.at(-1)?.headers['x-cert'], hostile.cert.replaceAll('\n', '%0A'));
    const log = (): Promise<string> => readFile(join(directory, 'access.log'), 'utf8');
    await until(async () => (await log()).split('\n').length > 6);
    for (const line of (await log()).trimEnd().split('\n'))
      assert.match(line, /^[^|]*\|[^|]*\|[^|]*\|[^|]*\|[^|]*\|end$/);
    assert.equal((await log()).match(/\|CN=a\\/g)?.length, 2);
  });
});

describe('a name in a certificate that holds a NUL (CVE-2025-66220)', () => {
  let server: Server;
  let root: Authority;
  let directory: string;
  let gateway: Gateway;
  before(async () => {
    root = await createAuthority('root');
    // SEQUENCE { [2] "good.test\\0.evil.test" }
    const name = Buffer.from('good.test\0.evil.test', 'latin1');
    const namesDer = Buffer.concat([Buffer.from([0x30, name.length + 2, 0x82, name.length]), name]).toString('hex');
    const certificate = await root.issue({ name: 'x', namesDer });
    assert.match(new X509Certificate(certificate.cert).raw.toString('latin1'), /good\.test\0\.evil\.test/);
    server = createServer(certificate, (_incoming, response) => response.end('over TLS'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    directory = await mkdtemp(join(tmpdir(), 'gatewright-'));
    gateway = await startGateway({
      directory,
      settings: {
        apisix: { ssl: { ssl_trusted_certificate: join(directory, 'ca.pem') } },
        nginx_config: { worker_processes: 1 },
      },
      files: { 'ca.pem': root.cert },
    });
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    });
    await rm(directory, { recursive: true });
  });

  it('matches neither the name before it nor the one behind, at an upstream that is verified', async () => {
    const address = server.address();
    const node = `127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
    const ask = async (host: string, tls: object): Promise<number> => {
      const upstream = { type: 'roundrobin', scheme: 'https', nodes: { [node]: 1 }, ...tls };
      const { status } = await gateway.admin('PUT', '/routes/1', { uri: '/*', upstream });
      assert.ok(status < 300);
      return (await request(gateway, '/', { Host: host })).status;
    };
    for (const host of ['good.test', 'evil.test', 'x.evil.test', 'good.test.evil.test', '.evil.test'])
      assert.equal(await ask(host, { tls: { verify: true } }), 502, host);
    assert.equal(await ask('good.test', {}), 200);
  });
});
