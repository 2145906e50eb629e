/** Clients that must show a certificate (`ssl.client`): who passes, by which name and path, and what becomes of it when the item changes. */
import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import type { ConnectionOptions } from 'node:tls';
import { after, before, beforeEach, describe, it } from 'node:test';
import { type Authority, type Certificate, createAuthority, createCertificate } from '../certificates.ts';
import { type Gateway, startGateway } from '../gateway.ts';
import { put as putResource } from '../resources.ts';
import { connectTls, statusOverTls } from '../tls-client.ts';
import { until } from '../until.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';

const versions = ['TLSv1.2', 'TLSv1.3'] as const;

describe('a server name that asks for client certificates', () => {
  let gateway: Gateway;
  let upstream: TestUpstream;
  let server: Certificate;
  let root: Authority;
  let second: Authority;
  let stranger: Authority;
  let client: Certificate;
  before(async () => {
    [root, second, stranger, server] = await Promise.all([
      createAuthority('root'),
      createAuthority('second'),
      createAuthority('stranger'),
      createCertificate('gateway.test'),
    ]);
    client = await root.issue({ name: 'client' });
    upstream = await startUpstream();
    gateway = await startGateway({ settings: { nginx_config: { worker_processes: 1 } } });
    const headers = Object.fromEntries(
      ['verify', 's_dn', 'i_dn', 'serial', 'fingerprint', 'v_end', 'escaped_cert'].map((name) => [
        `X-${name.replace('_', '-')}`,
        `$ssl_client_${name}`,
      ]),
    );
    await put('/routes/1', {
      uri: '/*',
      plugins: { 'proxy-rewrite': { headers: { set: { ...headers, 'X-Protocol': '$ssl_protocol' } } } },
      upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } },
    });
    await put('/routes/by-subject', {
      uri: '/by-subject',
      priority: 1,
      vars: [['ssl_client_s_dn', '==', 'CN=client']],
      plugins: { 'fault-injection': { abort: { http_status: 202 } } },
    });
    await put('/ssls/plain', { ...server, snis: ['plain.test', '*.wild.test'] });
    await put('/ssls/strict', { ...server, snis: ['strict.test'], client: { ca: root.cert } });
    await put('/ssls/other', { ...server, snis: ['other.test'], client: { ca: second.cert } });
    await put('/ssls/open', {
      ...server,
      snis: ['open.test', '*.open.test'],
      client: { ca: root.cert, skip_mtls_uri_regex: ['^/public/', '^/health$'] },
    });
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    upstream.requests.length = 0;
  });

  const put = (path: string, body: object): Promise<void> => putResource(gateway, path, body);
  const status = (options: ConnectionOptions & { host?: never; as?: string }, target?: string) =>
    statusOverTls(gateway.ports.tls, options, target);
  const untilLogged = (pattern: RegExp): Promise<void> => until(() => pattern.test(gateway.output()));

  for (const version of versions) {
    describe(`with ${version}`, () => {
      const only = { minVersion: version, maxVersion: version };

      it('lets a client pass whose certificate one of its authorities signed', async () => {
        assert.equal(await status({ servername: 'strict.test', ...client, ...only }), 200);
        assert.equal(upstream.requests[0]?.headers['x-protocol'], version);
      });

      it('ends the handshake of a client without a certificate, with an alert and a line in the log', async () => {
        const servername = version === 'TLSv1.2' ? 'strict.test' : 'other.test';
        assert.match(String(await status({ servername, ...only })), /_ALERT_/);
        await untilLogged(new RegExp(`handshake refused.*client_certificate_missing.*${servername}.*127\\.0\\.0\\.1`));
        assert.equal(upstream.requests.length, 0);
      });

      it('answers 400 to a certificate that is expired, of another authority, or without its intermediate', async () => {
        const below = await (await root.intermediate('below')).issue({ name: 'without its chain' });
        for (const [shown, why] of [
          [await root.issue({ name: 'late', expired: true }), 'CERT_HAS_EXPIRED'],
          [await stranger.issue({ name: 'client' }), 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
          [await second.issue({ name: 'client' }), 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
          [await createCertificate('self.test'), 'DEPTH_ZERO_SELF_SIGNED_CERT'],
          [below, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
        ] as const) {
          assert.equal(await status({ servername: 'strict.test', ...shown, ...only }, `/${why}`), 400);
          await untilLogged(new RegExp(`CLIENT_CERTIFICATE_REFUSED.*${why}.*path=/${why}`));
        }
        assert.equal(upstream.requests.length, 0);
      });
    });
  }

  it('is asked for by any spelling of the name, and other names ask for nothing', async () => {
    for (const servername of ['STRICT.test', 'strict.test.'])
      assert.match(String(await status({ servername })), /_ALERT_/);
    assert.equal(await status({ servername: 'plain.test' }), 200);
    assert.equal(await status({ servername: 'a.wild.test', ...(await stranger.issue()) }), 200);
    for (const { headers } of upstream.requests) {
      assert.equal(headers['x-verify'], 'NONE');
      assert.ok(!headers['x-s-dn']);
    }
  });

  it('takes each of several authorities in one text', async () => {
    await put('/ssls/several', { ...server, sni: 'several.test', client: { ca: `${second.cert}\n${root.cert}` } });
    for (const [authority, expected] of [
      [root, 200],
      [second, 200],
      [stranger, 400],
    ] as const)
      assert.equal(await status({ servername: 'several.test', ...(await authority.issue()) }), expected);
  });

  it('takes as many authorities between as `depth` says: one where it says nothing', async () => {
    const below = await root.intermediate('below');
    const twoBelow = await below.intermediate('two below');
    const shown = async (authority: Authority): Promise<Certificate> => {
      const { cert, key } = await authority.issue();
      return { cert: `${cert}${authority === root ? '' : authority.chain}`, key };
    };
    assert.ok(below.chain.includes('BEGIN') && twoBelow.chain.length > below.chain.length);
    const chains = [await shown(root), await shown(below), await shown(twoBelow)];
    for (const [depth, expected] of [
      [undefined, [200, 200, 400]],
      [0, [200, 400, 400]],
      [1, [200, 200, 400]],
      [2, [200, 200, 200]],
    ] as const) {
      const asked = { ca: root.cert, ...(depth === undefined ? {} : { depth }) };
      await put('/ssls/deep', { ...server, sni: 'deep.test', client: asked });
      const seen = [];
      for (const chain of chains) seen.push(await status({ servername: 'deep.test', ...chain }));
      assert.deepEqual(seen, expected, `depth ${depth ?? 'not set'}`);
    }
    assert.match(gateway.output(), /CERT_CHAIN_TOO_LONG/);
  });

  it('skip_mtls_uri_regex: without a certificate the paths that match pass, however they are spelt, and no other', async () => {
    for (const [target, expected] of [
      ['/public/a', 200],
      ['/health', 200],
      ['/x/../public/a', 200],
      ['/%70ublic/a', 200],
      ['/secret', 400],
      ['/public', 400],
      ['/public/../secret', 400],
      ['/public/%2e%2e/secret', 400],
      ['/public/..%2fsecret', 400],
      ['/secret?/public/', 400],
      ['/secret/public/', 400],
      ['https://open.test/secret', 400],
    ] as const)
      assert.equal(await status({ servername: 'open.test' }, target), expected, target);
    assert.equal(await status({ servername: 'open.test', ...client }, '/secret'), 200);
    assert.equal(await status({ servername: 'open.test', ...(await stranger.issue()) }, '/public/a'), 200);
    assert.match(String(upstream.requests.at(-1)?.headers['x-verify']), /^FAILED:UNABLE_TO/);
    assert.ok(!upstream.requests.at(-1)?.headers['x-fingerprint']);
  });

  it('judges each request of a connection', async () => {
    using connection = await connectTls(gateway.ports.tls, { servername: 'open.test' });
    const seen = [];
    for (const target of ['/public/a', '/secret', '/health', '/secret'])
      seen.push((await connection.get('open.test', target)).status);
    assert.deepEqual(seen, [200, 400, 200, 400]);
  });

  it('is not got around with another Host than server name', async () => {
    for (const [servername, as, target, expected] of [
      ['plain.test', 'strict.test', '/', 400],
      ['plain.test', 'STRICT.TEST:443', '/', 400],
      ['plain.test', 'strict.test.', '/', 400],
      ['plain.test', 'plain.test', 'https://strict.test/', 400],
      ['plain.test', 'x.open.test', '/', 400],
      // No ssl item takes these names, a route's `*.open.test` does.
      ['plain.test', 'x.y.open.test', '/', 400],
      ['plain.test', 'x!.open.test', '/', 400],
      ['plain.test', 'open.test', '/health', 200],
      // Nor does a Host that asks for nothing help who was asked for a certificate and has none.
      ['open.test', 'plain.test', '/secret', 400],
      ['open.test', 'nobody.test', '/secret', 400],
      ['open.test', 'nobody.test', '/health', 200],
    ] as const)
      assert.equal(await status({ servername, as }, target), expected, `${servername} ${as} ${target}`);
    assert.match(gateway.output(), /the handshake was for plain\.test, and the host asks for a client certificate/);
    // What one name has verified says nothing of another that asks.
    assert.equal(await status({ servername: 'strict.test', as: 'other.test', ...client }), 400);
    assert.equal(await status({ servername: 'a.open.test', as: 'b.open.test', ...client }), 400);
    assert.equal(await status({ servername: 'strict.test', as: 'plain.test', ...client }), 200);
  });

  it('gives variables of the certificate, as openssl tells of it', async () => {
    assert.equal(await status({ servername: 'strict.test', ...client }), 200);
    const { headers } = upstream.requests[0]!;
    const certificate = new X509Certificate(client.cert);
    assert.deepEqual(
      [headers['x-verify'], headers['x-s-dn'], headers['x-i-dn'], headers['x-serial'], headers['x-v-end']],
      ['SUCCESS', 'CN=client', 'CN=root', certificate.serialNumber, certificate.validTo],
    );
    assert.equal(headers['x-fingerprint'], createHash('sha1').update(certificate.raw).digest('hex'));
    assert.equal(decodeURIComponent(String(headers['x-escaped-cert'])), client.cert);
    assert.equal(await status({ servername: 'strict.test', ...client }, '/by-subject'), 202);
    assert.equal(await status({ servername: 'plain.test' }, '/by-subject'), 200);
  });

  it('encodes a line break in a certificate where a header is made of it (CVE-2023-27493)', async () => {
    const shown = await root.issue({ name: 'a\\r\\nX-Injected: 1' });
    assert.match(new X509Certificate(shown.cert).raw.toString('latin1'), /a\r\nX-Injected: 1/);
    assert.equal(await status({ servername: 'strict.test', ...shown }), 200);
    assert.equal(upstream.requests[0]?.headers['x-s-dn'], String.raw`CN=a\0D\0AX-Injected: 1`);
    assert.equal(upstream.requests[0].headers['x-injected'], undefined);
  });

  describe('when its item changes', () => {
    const open = () => connectTls(gateway.ports.tls, { servername: 'changing.test', ...client });
    const item = (fields: object): Promise<void> =>
      put('/ssls/changing', { ...server, sni: 'changing.test', ...fields });

    it('what it asks is asked of connections that were there before: they end, and a new one is judged anew', async () => {
      await item({});
      using connection = await open();
      assert.equal((await connection.get('changing.test')).status, 200);
      await item({ client: { ca: second.cert } });
      await connection.raw.untilEnd();
      assert.equal(await status({ servername: 'changing.test', ...client }), 400);
    });

    it('an authority that is no longer trusted ends the connections of its clients', async () => {
      await item({ client: { ca: root.cert } });
      using connection = await open();
      assert.equal((await connection.get('changing.test')).status, 200);
      await item({ client: { ca: second.cert } });
      await connection.raw.untilEnd();
    });

    it('an item that is deleted or disabled ends them too', async () => {
      for (const end of [
        () => item({ client: { ca: root.cert }, status: 0 }),
        () => gateway.admin('DELETE', '/ssls/changing'),
      ]) {
        await item({ client: { ca: root.cert } });
        using connection = await open();
        assert.equal((await connection.get('changing.test')).status, 200);
        await end();
        await connection.raw.untilEnd();
        await assert.rejects(open());
      }
    });

    it('a renewed certificate, and other paths that need none, end no connection', async () => {
      await item({ client: { ca: root.cert, skip_mtls_uri_regex: ['^/a'] } });
      using connection = await open();
      using anonymous = await connectTls(gateway.ports.tls, { servername: 'changing.test' });
      const both = async (target: string): Promise<number[]> => [
        (await connection.get('changing.test', target)).status,
        (await anonymous.get('changing.test', target)).status,
      ];
      assert.deepEqual(
        [await both('/a'), await both('/b')],
        [
          [200, 200],
          [200, 400],
        ],
      );
      await put('/ssls/changing', {
        ...(await createCertificate('changing.test')),
        sni: 'changing.test',
        client: { ca: root.cert, skip_mtls_uri_regex: ['^/b'] },
      });
      assert.deepEqual(
        [await both('/a'), await both('/b')],
        [
          [200, 400],
          [200, 200],
        ],
      );
    });
  });

  it('is served with the item that asks where another claims the name, and with the other once it is gone', async () => {
    await put('/ssls/asks', { ...server, sni: 'twice.test', client: { ca: root.cert } });
    await put('/ssls/asks-nothing', { ...server, sni: 'twice.test' });
    assert.match(String(await status({ servername: 'twice.test' })), /_ALERT_/);
    assert.equal((await gateway.admin('DELETE', '/ssls/asks')).status, 200);
    assert.equal(await status({ servername: 'twice.test' }), 200);
  });

  it('plain HTTP asks for nothing, as in APISIX', async () => {
    const response = await fetch(`${gateway.url}/x`);
    assert.equal(response.status, 200);
    assert.equal(upstream.requests[0]?.headers['x-verify'] ?? '', '');
  });
});
