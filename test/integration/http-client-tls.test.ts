/**
 * Mutual TLS of the http client against servers that demand certificates: OpenSSL's own, which sends the alerts of the RFCs, and
 * Node's, which closes. What the operator reads names the failure.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { Call } from '../../src/plugin/http-client/call.ts';
import { createHttpClients } from '../../src/plugin/http-client/client.ts';
import { Connections } from '../../src/plugin/http-client/connections.ts';
import { Identity } from '../../src/plugin/http-client/identity.ts';
import { checkOptions } from '../../src/plugin/http-client/options.ts';
import { checkRequest } from '../../src/plugin/http-client/outgoing.ts';
import type { HttpClientOptions, HttpResponse } from '../../src/plugin/http-client/index.ts';
import { ResourcePool } from '../../src/plugin/shared-resources.ts';
import type { Certificate } from '../certificates.ts';
import { until } from '../until.ts';
import { createCertificates, createKit, failure, listen, startOpenssl, startTls } from './http-client.fixture.ts';

const certificates = await createCertificates();
const { serverRoot, serverMiddle, clientRoot, clientMiddle, server, one, two } = certificates;
const trusting = { ssl_ca: serverRoot.cert };
const as = ({ cert, key }: Certificate): HttpClientOptions => ({ ...trusting, ssl_cert: cert, ssl_key: key });
const demanding = { ...server, ca: clientRoot.cert, requestCert: true, rejectUnauthorized: true };

/** One request by a client of its own. */
async function get(t: TestContext, url: string, options: HttpClientOptions): Promise<HttpResponse> {
  const client = createKit().http.client(options);
  t.after(() => client.close());
  return client.request({ url });
}

for (const protocol of ['tls1_2', 'tls1_3'] as const) {
  describe(`OpenSSL's server, ${protocol}`, () => {
    test('the certificate is sent, with its intermediates, and the server answers', async (t) => {
      const { status, text } = await get(t, await startOpenssl(t, certificates, protocol), as(one));
      assert.equal(status, 200);
      assert.equal(typeof text, 'function');
    });

    test('without a certificate: the server demands one', async (t) => {
      const message = await failure(
        get(t, await startOpenssl(t, certificates, protocol), trusting),
        'CLIENT_CERTIFICATE_REQUIRED',
      );
      assert.match(message, /^127\.0\.0\.1:\d+: the server demands a client certificate and none was sent/);
      assert.match(message, protocol === 'tls1_2' ? /alert 40/ : /alert 116/);
    });

    test('a certificate without its intermediate: unknown CA, perhaps an intermediate is missing', async (t) => {
      const bare = await clientMiddle.issue({ name: 'bare' });
      const message = await failure(
        get(t, await startOpenssl(t, certificates, protocol), as(bare)),
        'CLIENT_CERTIFICATE_REFUSED',
      );
      assert.match(message, /\(CN=bare, valid until .*\): alert 48, unknown CA: .*intermediate is missing in ssl_cert/);
    });

    test('an expired certificate: the server refuses it, and the message says when it expired', async (t) => {
      const old = await clientMiddle.issue({ name: 'old', expired: true });
      const message = await failure(
        get(t, await startOpenssl(t, certificates, protocol), as({ ...old, cert: old.cert + clientMiddle.chain })),
        'CLIENT_CERTIFICATE_REFUSED',
      );
      assert.match(message, /\(CN=old, expired on .*\): alert 45, certificate expired/);
    });
  });
}

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  describe(`Node's server, ${version}`, () => {
    const only = { minVersion: version, maxVersion: version };

    test('keys of both kinds are taken', async (t) => {
      const { url } = await startTls(t, { ...demanding, ...only });
      const rsa = await clientRoot.issue({ name: 'rsa', key: 'rsa' });
      assert.equal((await get(t, url, as(one))).text(), 'one');
      assert.equal((await get(t, url, as(rsa))).text(), 'rsa');
    });

    test('a server that closes without an alert: the message says that it had asked for a certificate', async (t) => {
      const { url } = await startTls(t, { ...demanding, ...only });
      const stranger = await serverRoot.issue({ name: 'stranger' });
      const message = await failure(
        get(t, url, as(stranger)),
        version === 'TLSv1.2' ? 'CLIENT_CERTIFICATE_REFUSED' : 'CONNECTION_CLOSED',
      );
      assert.match(message, /\(CN=stranger, valid until/);
    });

    test('a server that only asks is content without a certificate', async (t) => {
      const { url } = await startTls(t, { ...demanding, ...only, rejectUnauthorized: false });
      const { status, text } = await get(t, url, trusting);
      assert.equal(status, 200);
      assert.equal(typeof text, 'function');
    });

    test('a kept connection that it closes later says nothing of certificates', async (t) => {
      let requests = 0;
      const { url } = await startTls(
        t,
        { ...demanding, ...only, rejectUnauthorized: false },
        (_request, response, incoming) => (requests++ === 0 ? response.end() : incoming.socket.destroy()),
      );
      const client = createKit().http.client(trusting);
      t.after(() => client.close());
      await client.request({ url });
      const message = await failure(client.request({ url, method: 'POST' }), 'CONNECTION_CLOSED');
      assert.doesNotMatch(message, /certificate/);
    });

    test('an authority that is not trusted', async (t) => {
      const { url } = await startTls(t, { ...server, ...only });
      const message = await failure(get(t, url, { ssl_ca: clientRoot.cert }), 'CA_NOT_TRUSTED');
      assert.match(message, /the server’s certificate cannot be verified: .* \([A-Z_]+; ssl_ca\)/);
      // The authorities of the machine do not know it either.
      await failure(get(t, url, {}), 'CA_NOT_TRUSTED');
    });

    test('a server that does not send its intermediates', async (t) => {
      const bare = await serverMiddle.issue({ names: ['127.0.0.1'] });
      const { url } = await startTls(t, { ...bare, ...only });
      const message = await failure(get(t, url, trusting), 'CA_NOT_TRUSTED');
      assert.match(message, /or the server does not send its intermediates/);
    });

    test('a certificate for another name; ssl_server_name says which is right', async (t) => {
      const elsewhere = await serverRoot.issue({ names: ['inner.example'] });
      const { url, requests } = await startTls(t, { ...elsewhere, ...only });
      const message = await failure(get(t, url, trusting), 'NAME_MISMATCH');
      assert.match(message, /is not for 127\.0\.0\.1 but for DNS:inner\.example; .* name it in ssl_server_name$/);
      await get(t, url, { ...trusting, ssl_server_name: 'inner.example' });
      assert.equal(requests.at(-1)?.serverName, 'inner.example');
      await failure(get(t, url, { ...trusting, ssl_server_name: 'other.example' }), 'NAME_MISMATCH');
    });

    test('an expired server certificate', async (t) => {
      const old = await serverRoot.issue({ names: ['127.0.0.1'], expired: true });
      const { url } = await startTls(t, { ...old, ...only });
      assert.match(await failure(get(t, url, trusting), 'CERTIFICATE_EXPIRED'), /has expired \(CERT_HAS_EXPIRED/);
    });

    test('ssl_verify false takes any certificate, and still sends ours', async (t) => {
      const old = await clientRoot.issue({ names: ['inner.example'], expired: true });
      const { url } = await startTls(t, { ...demanding, ...old, ...only });
      const { ssl_cert, ssl_key } = as(one) as Required<HttpClientOptions>;
      assert.equal((await get(t, url, { ssl_verify: false, ssl_cert, ssl_key })).text(), 'one');
    });

    test('ssl_protocols narrows the versions', async (t) => {
      const { url, requests } = await startTls(t, { ...demanding, ...only });
      await get(t, url, { ...as(one), ssl_protocols: [version] });
      assert.equal(requests[0]?.protocol, version);
      const other = version === 'TLSv1.2' ? 'TLSv1.3' : 'TLSv1.2';
      const message = await failure(get(t, url, { ...as(one), ssl_protocols: [other] }), 'TLS_FAILED');
      assert.match(message, /no TLS version \(ssl_protocols\)/);
    });
  });
}

/** What a server says in TLS 1.2 of the client's certificate: in place of its last flight, in the clear. */
async function startRefusing(t: TestContext, alert: number): Promise<string> {
  const { port } = await startTls(t, { ...demanding, maxVersion: 'TLSv1.2' });
  const relay = createServer((socket) => {
    const onward = connect(port, '127.0.0.1').on('error', () => undefined);
    t.after(() => void onward.destroy());
    let flights = 0;
    onward.on('data', (piece) => void socket.write(piece));
    socket.on('data', (piece: Buffer) => {
      if (flights++ === 0) onward.write(piece);
      // RFC 5246 §6.2.1, §7.2: a fatal alert.
      else socket.end(Buffer.from([21, 3, 3, 0, 2, 2, alert]));
    });
  });
  await listen(t, relay);
  return `https://127.0.0.1:${(relay.address() as { port: number }).port}`;
}

for (const [alert, words] of [
  [42, 'bad certificate'],
  [43, 'unsupported certificate'],
  [44, 'certificate revoked'],
  [46, 'certificate unknown'],
  [49, 'access denied'],
] as const) {
  test(`alert ${alert} in words: ${words} where one was sent, none sent where none was`, async (t) => {
    const url = await startRefusing(t, alert);
    const refused = await failure(get(t, url, as(one)), 'CLIENT_CERTIFICATE_REFUSED');
    assert.match(refused, new RegExp(`refused the client certificate \\(CN=one, .*\\): alert ${alert}, ${words}`));
    const required = await failure(get(t, url, trusting), 'CLIENT_CERTIFICATE_REQUIRED');
    assert.match(required, new RegExp(`none was sent \\(alert ${alert}\\): set ssl_cert and ssl_key`));
  });
}

test('an alert that is not about certificates is not told as if it were', async (t) => {
  const message = await failure(get(t, await startRefusing(t, 80), as(one)), 'TLS_FAILED');
  assert.match(message, /alert 80/);
});

test('names are resolved by the gateway’s resolver, and verified', async (t) => {
  const own = await serverRoot.issue({ names: ['inner.example'] });
  const { port, requests } = await startTls(t, own);
  const log = { error: () => undefined, warn: () => undefined, info: () => undefined };
  const client = createHttpClients({
    shared: new ResourcePool(),
    log,
    addressesOf: async (name) => (name === 'nowhere.example' ? [] : ['127.0.0.1']),
  }).client(trusting);
  t.after(() => client.close());
  await client.request({ url: `https://inner.example:${port}` });
  assert.equal(requests[0]?.serverName, 'inner.example');
  await failure(client.request({ url: `https://other.example:${port}` }), 'NAME_MISMATCH');
  await failure(client.request({ url: `https://nowhere.example:${port}` }), 'NAME_NOT_RESOLVED');
});

test('where a client names no CA, those of ssl_trusted_certificate are trusted', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'gatewright-'));
  t.after(() => rm(directory, { recursive: true }));
  const file = join(directory, 'ca.pem');
  await writeFile(file, serverRoot.cert);
  const { url } = await startTls(t, server);
  const log = { error: () => undefined, warn: () => undefined, info: () => undefined };
  const http = createHttpClients({ shared: new ResourcePool(), log, trustedCertificateFile: file });
  for (const [options, code] of [
    [{}, undefined],
    [{ ssl_ca: clientRoot.cert }, 'CA_NOT_TRUSTED'],
  ] as const) {
    const client = http.client(options);
    t.after(() => client.close());
    if (code === undefined) assert.equal((await client.request({ url })).status, 200);
    else await failure(client.request({ url }), code);
  }
});

test('a server that does not speak TLS', async (t) => {
  const plain = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  await listen(t, plain);
  const { port } = plain.address() as { port: number };
  assert.match(await failure(get(t, `https://127.0.0.1:${port}`, trusting), 'TLS_FAILED'), /no TLS/);
});

test('a client with a certificate refuses to speak plain http', async (t) => {
  const message = await failure(get(t, 'http://127.0.0.1:9', as(one)), 'INVALID_REQUEST');
  assert.match(message, /ssl_cert/);
});

describe('files', () => {
  async function folder(
    t: TestContext,
  ): Promise<{ path: (name: string) => string; put: (name: string, text: string) => Promise<void> }> {
    const directory = await mkdtemp(join(tmpdir(), 'gatewright-'));
    t.after(() => rm(directory, { recursive: true }));
    const path = (name: string): string => join(directory, name);
    return {
      path,
      // As careful people do it: never half a file.
      put: async (name, text) => {
        await writeFile(path(`${name}.new`), text);
        await rename(path(`${name}.new`), path(name));
      },
    };
  }

  test('a renewed certificate is used for the next connection, without a restart', async (t) => {
    const { path, put } = await folder(t);
    await put('cert', one.cert);
    await put('key', one.key);
    await put('ca', serverRoot.cert);
    const { url, requests } = await startTls(t, demanding);
    const client = createKit().http.client({
      ssl_cert: path('cert'),
      ssl_key: path('key'),
      ssl_ca: path('ca'),
      keepalive: false,
    });
    t.after(() => client.close());
    await client.request({ url });
    await put('cert', two.cert);
    await put('key', two.key);
    await client.request({ url });
    assert.deepEqual(
      requests.map((request) => request.client),
      ['one', 'two'],
    );
    await put('ca', clientRoot.cert);
    await failure(client.request({ url }), 'CA_NOT_TRUSTED');
  });

  test('connections that were opened with the old certificate are not used on', async (t) => {
    const { path, put } = await folder(t);
    await put('cert', one.cert);
    await put('key', one.key);
    const { url, open } = await startTls(t, demanding);
    const client = createKit().http.client({ ...trusting, ssl_cert: path('cert'), ssl_key: path('key') });
    t.after(() => client.close());
    assert.equal((await client.request({ url })).text(), 'one');
    await put('cert', two.cert);
    await put('key', two.key);
    await until(async () => (await client.request({ url })).text() === 'two');
    await until(() => open() === 1);
  });

  test('one that was in use when the certificate changed is not kept afterwards', async (t) => {
    const { path, put } = await folder(t);
    await put('cert', one.cert);
    await put('key', one.key);
    let hold: (() => void) | undefined;
    const { url } = await startTls(t, demanding, ({ path: asked, client }, response) => {
      if (asked === '/held') hold = () => void response.end(client);
      else response.end(client);
    });
    const client = createKit().http.client({ ...trusting, ssl_cert: path('cert'), ssl_key: path('key') });
    t.after(() => client.close());
    const held = client.request({ url: `${url}/held` });
    await until(() => hold !== undefined);
    await put('cert', two.cert);
    await put('key', two.key);
    assert.equal((await client.request({ url })).text(), 'two');
    hold?.();
    assert.equal((await held).text(), 'one');
    assert.equal((await client.request({ url })).text(), 'two');
  });

  test('idle ones of the old certificate are closed as soon as the new one is known', async (t) => {
    const log = { error: () => undefined, warn: () => undefined, info: () => undefined };
    const [before, after] = [one, two].map((pair) => new Identity(checkOptions(as(pair)), undefined, log));
    assert.ok(before !== undefined && after !== undefined);
    const { url, open } = await startTls(t, demanding);
    let identity = before;
    const connections = new Connections(
      { current: () => identity.current(), latest: () => identity.latest() },
      { keepAlive: true, keepAliveTimeoutMs: 60_000, keepAlivePool: 5 },
    );
    const ask = async (): Promise<string> => {
      const outgoing = checkRequest({ url }, checkOptions({}));
      const options = { timeoutMs: 5000, connectTimeoutMs: 5000, retries: 0, repeatable: true, signal: undefined };
      return (await new Call(connections, outgoing, options).run()).text();
    };
    assert.deepEqual(await Promise.all([ask(), ask(), ask()]), ['one', 'one', 'one']);
    assert.equal(open(), 3);
    identity = after;
    assert.equal(await ask(), 'two');
    await until(() => open() === 1);
    connections.close();
  });

  test('while certificate and key do not fit together the last good ones stay, and the log says why', async (t) => {
    const { path, put } = await folder(t);
    await put('cert', one.cert);
    await put('key', one.key);
    const { url } = await startTls(t, demanding);
    const { http, logged } = createKit();
    const client = http.client({ ...trusting, ssl_cert: path('cert'), ssl_key: path('key'), keepalive: false });
    t.after(() => client.close());
    assert.equal((await client.request({ url })).text(), 'one');
    await put('cert', two.cert);
    assert.equal((await client.request({ url })).text(), 'one');
    assert.equal((await client.request({ url })).text(), 'one');
    assert.equal(logged.length, 1);
    assert.match(logged[0] ?? '', /the last good one stays .*the private key does not belong to the certificate/);
    await rm(path('key'));
    assert.equal((await client.request({ url })).text(), 'one');
    assert.match(logged[1] ?? '', /ssl_key \(.*key\): cannot be read: ENOENT/);
    await put('key', two.key);
    assert.equal((await client.request({ url })).text(), 'two');
    assert.equal(logged.length, 2);
  });

  const unusable: readonly [string, Readonly<Record<string, string>>, RegExp][] = [
    ['that are not there', {}, /ssl_cert \(.*cert\): cannot be read: ENOENT$/],
    ['that are no PEM', { cert: one.cert.replace(/\n./, '\n*'), key: one.key }, /ssl_cert \(.*cert\): line 2: is not base64$/],
    ['that do not belong together', { cert: one.cert, key: two.key }, /ssl_key: the private key does not belong/],
  ]; // prettier-ignore
  for (const [what, texts, message] of unusable) {
    test(`files ${what} fail the request, and work as soon as they are right`, async (t) => {
      const { path, put } = await folder(t);
      for (const [name, text] of Object.entries(texts)) await put(name, text);
      const { url, sockets } = await startTls(t, demanding);
      const client = createKit().http.client({ ...trusting, ssl_cert: path('cert'), ssl_key: path('key') });
      t.after(() => client.close());
      assert.match(await failure(client.request({ url }), 'CERTIFICATE_UNUSABLE'), message);
      assert.equal(sockets.length, 0);
      await put('cert', one.cert);
      await put('key', one.key);
      assert.equal((await client.request({ url })).text(), 'one');
    });
  }

  test('a reference that nobody could resolve fails the request', async (t) => {
    const { url } = await startTls(t, demanding);
    const answer = get(t, url, { ...as(one), ssl_key: '$secret://vault/1/client/key' });
    assert.match(
      await failure(answer, 'CERTIFICATE_UNUSABLE'),
      /ssl_key: \$secret:\/\/vault\/1\/client\/key cannot be/,
    );
  });
});
