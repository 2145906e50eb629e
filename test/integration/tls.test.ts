/** TLS on both sides: certificates by SNI towards clients, verification towards upstreams. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpsServer, request as httpsRequest, type Server } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { connect as connectTls } from 'node:tls';
import { after, before, describe, it } from 'node:test';
import { type Certificate, createCertificate } from '../certificates.ts';
import { type Gateway, startGateway } from '../gateway.ts';
import { request } from '../request.ts';
import { put } from '../resources.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';

describe('a gateway with certificates', () => {
  let gateway: Gateway;
  let upstream: TestUpstream;
  let exact: Certificate;
  let wildcard: Certificate;
  before(async () => {
    [exact, wildcard] = await Promise.all([createCertificate('a.exact.test'), createCertificate('*.wild.test')]);
    upstream = await startUpstream();
    gateway = await startGateway({ settings: { plugin_attr: { redirect: { https_port: 8443 } } } });
    for (const [path, body] of [
      ['/ssls/exact', { ...exact, sni: 'a.exact.test' }],
      ['/ssls/wild', { ...wildcard, snis: ['*.wild.test'] }],
      ['/routes/1', { uri: '/*', upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } } }],
      [
        '/routes/https',
        {
          uri: '/only-https',
          plugins: { redirect: { http_to_https: true } },
          upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } },
        },
      ],
    ] as const)
      await put(gateway, path, body);
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
  });

  /** The answer's status and the names of the certificate that was presented. */
  const get = (servername: string, ca: string, path = '/x'): Promise<{ status: number; names: string | undefined }> =>
    new Promise((resolve, reject) => {
      const options = {
        host: '127.0.0.1',
        port: gateway.ports.tls,
        path,
        ca,
        servername,
        agent: false,
        headers: { Host: servername },
      };
      httpsRequest(options, (response) => {
        const names = (response.socket as unknown as TLSSocket).getPeerCertificate().subjectaltname;
        response.resume().once('end', () => {
          resolve({ status: response.statusCode ?? 0, names });
        });
      })
        .once('error', reject)
        .end();
    });

  it('presents the certificate of the name the client asks for', async () => {
    assert.deepEqual(await get('a.exact.test', exact.cert), { status: 200, names: 'DNS:a.exact.test' });
    assert.equal(upstream.requests.at(-1)?.headers['x-forwarded-proto'], 'https');
    assert.equal(upstream.requests.at(-1)?.headers['x-forwarded-port'], String(gateway.ports.tls));
  });

  it('presents a wildcard for one label, and for no more', async () => {
    assert.deepEqual(await get('any.wild.test', wildcard.cert), { status: 200, names: 'DNS:*.wild.test' });
    assert.deepEqual(await get('ANY.Wild.Test', wildcard.cert), { status: 200, names: 'DNS:*.wild.test' });
    await assert.rejects(get('a.b.wild.test', wildcard.cert));
    await assert.rejects(get('wild.test', wildcard.cert));
  });

  it('ends the handshake for a name without a certificate, and for no name', async () => {
    await assert.rejects(get('other.test', exact.cert));
    const socket = connectTls({ host: '127.0.0.1', port: gateway.ports.tls, rejectUnauthorized: false });
    await new Promise<void>((resolve, reject) => {
      socket.once('error', () => {
        resolve();
      });
      socket.once('secureConnect', () => {
        reject(new Error('it was accepted'));
      });
    });
  });

  it('presents a certificate that was replaced, and none that was deleted, from the next handshake on', async () => {
    const next = await createCertificate('b.exact.test');
    assert.equal((await gateway.admin('PUT', '/ssls/next', { ...next, sni: 'b.exact.test' })).status, 201);
    assert.equal((await get('b.exact.test', next.cert)).status, 200);
    const later = await createCertificate('b.exact.test');
    assert.equal((await gateway.admin('PUT', '/ssls/next', { ...later, sni: 'b.exact.test' })).status, 200);
    assert.equal((await get('b.exact.test', later.cert)).status, 200);
    await assert.rejects(get('b.exact.test', next.cert));
    assert.equal((await gateway.admin('DELETE', '/ssls/next')).status, 200);
    await assert.rejects(get('b.exact.test', later.cert));
  });

  it('does not speak TLS 1.1', async () => {
    const socket = connectTls({
      host: '127.0.0.1',
      port: gateway.ports.tls,
      servername: 'a.exact.test',
      rejectUnauthorized: false,
      minVersion: 'TLSv1.1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    });
    await new Promise<void>((resolve, reject) => {
      socket.once('error', () => {
        resolve();
      });
      socket.once('secureConnect', () => {
        reject(new Error(socket.getProtocol() ?? ''));
      });
    });
  });

  it('redirects from HTTP to HTTPS with http_to_https, and serves HTTPS', async () => {
    const response = await request(gateway, '/only-https?a=1', { Host: 'a.exact.test' });
    assert.deepEqual(
      [response.status, response.headers['location']],
      [301, 'https://a.exact.test:8443/only-https?a=1'],
    );
    const posted = await request(gateway, '/only-https', { Host: 'a.exact.test' }, { method: 'POST', body: 'x' });
    assert.equal(posted.status, 308);
    assert.equal((await get('a.exact.test', exact.cert, '/only-https')).status, 200);
  });

  it('a client that speaks plain HTTP to the TLS port harms nobody', async () => {
    const response = await request({ ports: { ...gateway.ports, data: gateway.ports.tls } }, '/x').catch(
      (error: unknown) => error,
    );
    assert.ok(response instanceof Error);
    assert.equal((await get('a.exact.test', exact.cert)).status, 200);
  });
});

describe('an upstream that speaks TLS', () => {
  let gateway: Gateway;
  let certificate: Certificate;
  let server: Server;
  let node: string;
  let directory: string;
  const names: (string | false | null | undefined)[] = [];
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'gatewright-'));
    certificate = await createCertificate('upstream.test', 'client.test');
    server = createHttpsServer(certificate, (incoming, response) => {
      names.push((incoming.socket as unknown as TLSSocket).servername);
      response.end('over TLS');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    node = `127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
    await writeFile(join(directory, 'ca.pem'), certificate.cert);
    gateway = await startGateway({
      settings: { apisix: { ssl: { ssl_trusted_certificate: join(directory, 'ca.pem') } } },
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
  const answer = async (upstream: object, host: string): Promise<[number, string]> => {
    const { status, body } = await gateway.admin('PUT', '/routes/1', {
      uri: '/*',
      upstream: { type: 'roundrobin', scheme: 'https', nodes: { [node]: 1 }, ...upstream },
    });
    assert.ok(status < 300, JSON.stringify(body));
    const response = await request(gateway, '/x', { Host: host });
    return [response.status, response.body];
  };

  it('is spoken to over TLS, with the Host that it gets as the server name', async () => {
    assert.deepEqual(await answer({}, 'client.test'), [200, 'over TLS']);
    assert.equal(names.at(-1), 'client.test');
    assert.deepEqual(await answer({ pass_host: 'rewrite', upstream_host: 'upstream.test' }, 'client.test'), [
      200,
      'over TLS',
    ]);
    assert.equal(names.at(-1), 'upstream.test');
  });

  it('is not checked unless tls.verify asks for it, as in APISIX', async () => {
    assert.deepEqual(await answer({}, 'unknown.test'), [200, 'over TLS']);
  });

  it('with tls.verify, must present a certificate of a trusted authority for its name', async () => {
    assert.deepEqual(await answer({ tls: { verify: true } }, 'client.test'), [200, 'over TLS']);
    assert.equal((await answer({ tls: { verify: true } }, 'unknown.test'))[0], 502);
  });

  it('a connection that was made without verification is not used for requests that ask for it (apisix#13587)', async () => {
    assert.deepEqual(await answer({}, 'unknown.test'), [200, 'over TLS']);
    assert.equal((await answer({ tls: { verify: true } }, 'unknown.test'))[0], 502);
  });

  it('that speaks plain HTTP instead is a 502', async () => {
    await using plain = await startUpstream();
    assert.equal((await answer({ nodes: { [plain.node]: 1 } }, 'client.test'))[0], 502);
  });
});
