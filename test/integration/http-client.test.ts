/** The http client beside its certificates: connections of one identity, deadlines, retries, bounds, and what a request may hold. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttp, type RequestListener } from 'node:http';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import type { HttpClient, HttpClientOptions, HttpRequest } from '../../src/plugin/http-client/index.ts';
import type { Certificate } from '../certificates.ts';
import { runProcess } from '../command.ts';
import { until } from '../until.ts';
import { createCertificates, createKit, failure, listen, startTls, type Kit } from './http-client.fixture.ts';

const { serverRoot, clientRoot, server, one, two } = await createCertificates();
const trusting = { ssl_ca: serverRoot.cert };
const as = ({ cert, key }: Certificate): HttpClientOptions => ({ ...trusting, ssl_cert: cert, ssl_key: key });
const demanding = { ...server, ca: clientRoot.cert, requestCert: true, rejectUnauthorized: true };

function clientOf(t: TestContext, options: HttpClientOptions = {}, kit: Kit = createKit()): HttpClient {
  const client = kit.http.client(options);
  t.after(() => client.close());
  return client;
}

async function startHttp(t: TestContext, listener: RequestListener): Promise<{ url: string; sockets: Socket[] }> {
  const http = createHttp(listener);
  const sockets = await listen(t, http);
  return { url: urlOf(http), sockets };
}

/** Each connection is `serve`'s; the number of it from 0. */
async function startRaw(
  t: TestContext,
  serve: (socket: Socket, index: number) => void,
): Promise<{ url: string; sockets: Socket[] }> {
  let count = 0;
  const raw = createServer((socket) => serve(socket, count++));
  const sockets = await listen(t, raw);
  return { url: urlOf(raw), sockets };
}

function urlOf(listening: Server): string {
  return `http://127.0.0.1:${(listening.address() as AddressInfo).port}`;
}

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

describe('connections', () => {
  test('are kept and used again', async (t) => {
    const { url, requests, sockets } = await startTls(t, demanding);
    const client = clientOf(t, as(one));
    for (let i = 0; i < 5; i++) await client.request({ url: `${url}/${i}` });
    assert.equal(requests.length, 5);
    assert.equal(sockets.length, 1);
  });

  test('a Host header of another name does not cost a connection', async (t) => {
    const { url, requests, sockets } = await startTls(t, demanding);
    const client = clientOf(t, as(one));
    for (const host of ['a.example', 'b.example']) await client.request({ url, headers: { Host: host } });
    assert.deepEqual(
      requests.map(({ headers, serverName }) => [
        headers[headers.findIndex((name) => /^host$/i.test(name)) + 1],
        serverName,
      ]),
      [
        ['a.example', ''],
        ['b.example', ''],
      ],
    );
    assert.equal(sockets.length, 1);
  });

  test('are never shared between certificates (apisix#13587)', async (t) => {
    const { url, requests, sockets } = await startTls(t, demanding);
    const kit = createKit();
    const [first, second] = [clientOf(t, as(one), kit), clientOf(t, as(two), kit)];
    for (let i = 0; i < 3; i++) for (const client of [first, second]) await client.request({ url });
    assert.deepEqual(
      requests.map(({ client }) => client),
      ['one', 'two', 'one', 'two', 'one', 'two'],
    );
    assert.equal(sockets.length, 2);
  });

  const others: readonly [string, HttpClientOptions][] = [
    ['CA', { ssl_ca: serverRoot.cert + clientRoot.cert }],
    ['SNI', { ssl_server_name: 'localhost' }],
    ['verification', { ssl_verify: false }],
    ['TLS version', { ssl_protocols: ['TLSv1.3'] }],
  ];
  for (const [what, difference] of others) {
    test(`are not shared between two that differ in ${what}`, async (t) => {
      const { url, sockets } = await startTls(t, server);
      const kit = createKit();
      await clientOf(t, trusting, kit).request({ url });
      await clientOf(t, { ...trusting, ...difference }, kit).request({ url });
      assert.equal(sockets.length, 2);
    });
  }

  test('one that was opened without verification is not lent to who verifies', async (t) => {
    const { url, sockets } = await startTls(t, server);
    const kit = createKit();
    await clientOf(t, { ssl_verify: false, ssl_ca: clientRoot.cert }, kit).request({ url });
    await failure(clientOf(t, { ssl_ca: clientRoot.cert }, kit).request({ url }), 'CA_NOT_TRUSTED');
    assert.equal(sockets.length, 2);
  });

  test('clients of the same identity share them, until the last is closed', async (t) => {
    const { url, sockets, open } = await startTls(t, demanding);
    const kit = createKit();
    const [first, second] = [clientOf(t, as(one), kit), clientOf(t, { ...as(one), timeout: 1000 }, kit)];
    await first.request({ url });
    await second.request({ url });
    assert.equal(sockets.length, 1);
    first.close();
    first.close();
    await failure(first.request({ url }), 'CLOSED');
    await second.request({ url });
    assert.equal(sockets.length, 1);
    second.close();
    await until(() => open() === 0);
    assert.equal(kit.pool.size, 0);
  });

  test('a client that takes the place of another takes over its connections, before it has asked anything', async (t) => {
    const { url, sockets } = await startTls(t, demanding);
    const kit = createKit();
    const old = clientOf(t, { ...as(one), timeout: 1000 }, kit);
    await old.request({ url });
    const successor = clientOf(t, as(one), kit);
    old.close();
    await successor.request({ url });
    assert.equal(sockets.length, 1);
  });

  test('a request under way when its client closes is still answered', async (t) => {
    const { promise: asked, resolve: ask } = Promise.withResolvers<() => void>();
    const { url, open } = await startTls(t, demanding, (_request, response) => ask(() => void response.end('late')));
    const client = clientOf(t, as(one));
    const answer = client.request({ url });
    const respond = await asked;
    client.close();
    respond();
    assert.equal((await answer).text(), 'late');
    await until(() => open() === 0);
  });

  test('keepalive_pool bounds those that are idle, not those in use', async (t) => {
    const waiting: (() => void)[] = [];
    const { url, sockets, open } = await startTls(t, server, (_request, response) =>
      waiting.push(() => void response.end()),
    );
    const client = clientOf(t, { ...trusting, keepalive_pool: 1 });
    const answers = [0, 1, 2].map(() => client.request({ url }));
    await until(() => waiting.length === 3);
    assert.equal(sockets.length, 3);
    for (const respond of waiting) respond();
    await Promise.all(answers);
    await until(() => open() === 1);
  });

  test('keepalive false closes each after its request', async (t) => {
    const { url, sockets, open } = await startTls(t, server);
    const client = clientOf(t, { ...trusting, keepalive: false });
    await client.request({ url });
    await client.request({ url });
    assert.equal(sockets.length, 2);
    await until(() => open() === 0);
  });

  test('keepalive_timeout closes those that stay idle', async (t) => {
    const { url, open } = await startTls(t, server);
    await clientOf(t, { ...trusting, keepalive_timeout: 1000 }).request({ url });
    assert.equal(open(), 1);
    await until(() => open() === 0);
  });
});

describe('deadlines', () => {
  test('connect_timeout covers the handshake', async (t) => {
    const { url } = await startRaw(t, (socket) => void socket.resume());
    const client = clientOf(t, { ...trusting, connect_timeout: 50, retries: 0 });
    const message = await failure(client.request({ url: url.replace('http', 'https') }), 'TIMEOUT');
    assert.match(message, /^127\.0\.0\.1:\d+: no connection within 50 ms$/);
  });

  test('timeout covers an answer that does not come, and its connection is closed', async (t) => {
    const { url, sockets } = await startRaw(t, (socket) => void socket.resume());
    const message = await failure(clientOf(t, { timeout: 50 }).request({ url }), 'TIMEOUT');
    assert.match(message, /no whole answer within 50 ms$/);
    await until(() => sockets.every((socket) => socket.destroyed));
  });

  test('timeout covers a body that never ends, and all retries together', async (t) => {
    const { url } = await startRaw(t, (socket) => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc'));
    await failure(clientOf(t).request({ url, timeoutMs: 50 }), 'TIMEOUT');
    const { url: breaking } = await startRaw(t, (socket) => void socket.once('data', () => socket.destroy()));
    await failure(clientOf(t, { timeout: 100, retries: 10 }).request({ url: breaking }), 'TIMEOUT');
  });

  test('a signal gives the request up, also one that was given before', async (t) => {
    const { url, sockets } = await startRaw(t, (socket) => void socket.resume());
    const client = clientOf(t);
    const controller = new AbortController();
    const answer = client.request({ url, signal: controller.signal });
    await until(() => sockets.length === 1);
    controller.abort();
    await failure(answer, 'ABORTED');
    await failure(client.request({ url, signal: controller.signal }), 'ABORTED');
    await until(() => sockets.every((socket) => socket.destroyed));
  });
});

describe('retries', () => {
  /** Breaks its first connection when a request has come; answers on the others. */
  const breakFirst = (t: TestContext) =>
    startRaw(t, (socket, index) => void socket.on('data', () => (index === 0 ? socket.destroy() : socket.write(ok))));

  test('an idempotent request whose connection broke before the answer is sent again', async (t) => {
    const { url, sockets } = await breakFirst(t);
    assert.equal((await clientOf(t).request({ url, method: 'PUT', body: 'x' })).text(), 'ok');
    assert.equal(sockets.length, 2);
  });

  test('any other is not, unless the sender vouches for it', async (t) => {
    const { url, sockets } = await breakFirst(t);
    const message = await failure(clientOf(t).request({ url, method: 'POST', body: 'x' }), 'CONNECTION_CLOSED');
    assert.match(message, /the server closed the connection before its answer$/);
    assert.equal(sockets.length, 1);
    const { url: again } = await breakFirst(t);
    const request: HttpRequest = { url: again, method: 'POST', body: 'x', idempotent: true };
    assert.equal((await clientOf(t).request(request)).text(), 'ok');
  });

  test('retries 0 sends everything once', async (t) => {
    const { url, sockets } = await breakFirst(t);
    await failure(clientOf(t, { retries: 0 }).request({ url }), 'CONNECTION_CLOSED');
    assert.equal(sockets.length, 1);
  });

  test('a kept connection that the server has closed is replaced', async (t) => {
    const { url, sockets } = await startRaw(t, (socket, index) => {
      let requests = 0;
      socket.on('data', () => (index === 0 && requests++ > 0 ? socket.destroy() : socket.write(ok)));
    });
    const client = clientOf(t);
    for (let i = 0; i < 3; i++) assert.equal((await client.request({ url })).text(), 'ok');
    assert.equal(sockets.length, 2);
  });

  test('nothing is sent again once the answer has begun', async (t) => {
    const { url, sockets } = await startRaw(
      t,
      (socket) => void socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc')),
    );
    await failure(clientOf(t, { retries: 3 }).request({ url }), 'CONNECTION_CLOSED');
    assert.equal(sockets.length, 1);
  });

  test('a refused connection is tried again, whatever the method, and told as such', async (t) => {
    const gone = createServer().listen(0, '127.0.0.1');
    await once(gone, 'listening');
    const url = urlOf(gone);
    await new Promise((resolve) => gone.close(resolve));
    const message = await failure(clientOf(t).request({ url, method: 'POST' }), 'CONNECT_FAILED');
    assert.match(message, /^127\.0\.0\.1:\d+: no connection \(ECONNREFUSED\)$/);
    await failure(clientOf(t).request({ url: 'http://nothing.invalid/' }), 'NAME_NOT_RESOLVED');
  });
});

describe('bodies', () => {
  for (const [framing, headers] of [
    ['Content-Length', { 'Content-Length': '10' }],
    ['chunks', {}],
  ] as const) {
    test(`a body by ${framing} beyond the bound is refused, and its connection closed`, async (t) => {
      const { url, sockets } = await startHttp(t, (_request, response) => {
        response.writeHead(200, headers).write('01234');
        response.end('56789');
      });
      const client = clientOf(t, { max_response_body: 9 });
      assert.match(await failure(client.request({ url }), 'BODY_TOO_LARGE'), /longer than 9 bytes$/);
      await until(() => sockets.every((socket) => socket.destroyed));
      assert.equal((await client.request({ url, maxResponseBytes: 10 })).text(), '0123456789');
    });
  }

  test('go out and come back byte by byte', async (t) => {
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
    const { url } = await startHttp(t, (request, response) => void request.pipe(response));
    const { body, status } = await clientOf(t).request({ url, method: 'POST', body: bytes });
    assert.equal(status, 200);
    assert.deepEqual([...body], [...bytes]);
    const { text, json } = await clientOf(t)
      .request({ url, method: 'POST', body: '{"ä":1}' })
      .then((response) => ({
        text: response.text(),
        json: response.json(),
      }));
    assert.equal(text, '{"ä":1}');
    assert.deepEqual(json, { ä: 1 });
  });

  test('a body that is no JSON is not repeated in the error', async (t) => {
    const { url } = await startHttp(t, (_request, response) => response.end('password=1'));
    const response = await clientOf(t).request({ url });
    const message = await failure((async () => response.json())(), 'RESPONSE_INVALID');
    assert.doesNotMatch(message, /password/);
  });
});

describe('answers', () => {
  test('of any status are answers; redirects are not followed', async (t) => {
    const { url } = await startHttp(t, (_request, response) => response.writeHead(302, { Location: '/b' }).end());
    const { status, headers } = await clientOf(t).request({ url });
    assert.deepEqual([status, headers.get('location')], [302, '/b']);
  });

  test('keep their fields, in order and as often as they came; interim answers are passed over', async (t) => {
    const { url } = await startRaw(
      t,
      (socket) =>
        void socket.once('data', () =>
          socket.end(
            'HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nSet-Cookie: a\r\nX-Name: \xe4\r\nset-cookie: b\r\nContent-Length: 0\r\n\r\n',
            'latin1',
          ),
        ),
    );
    const { headers } = await clientOf(t).request({ url });
    assert.deepEqual(headers.getAll('SET-COOKIE'), ['a', 'b']);
    assert.equal(headers.get('x-name'), 'ä');
    assert.equal(headers.get('link'), undefined);
    assert.deepEqual(
      [...headers.entries()].map(([name]) => name),
      ['Set-Cookie', 'X-Name', 'set-cookie', 'Content-Length'],
    );
  });

  test('without a length end with their connection, which is not kept', async (t) => {
    const { url, sockets } = await startRaw(
      t,
      (socket) => void socket.once('data', () => socket.end('HTTP/1.0 200 OK\r\n\r\nto the end')),
    );
    const client = clientOf(t);
    for (let i = 0; i < 2; i++) assert.equal((await client.request({ url })).text(), 'to the end');
    assert.equal(sockets.length, 2);
  });

  for (const [what, text] of [
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'],
    ['length and chunks', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['no HTTP', 'SSH-2.0-OpenSSH_9\r\n'],
    ['a head without end', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(100_000)}\r\n\r\n`],
  ] as const) {
    test(`with ${what} are refused`, async (t) => {
      const { url } = await startRaw(t, (socket) => void socket.once('data', () => socket.write(text)));
      await failure(clientOf(t).request({ url }), 'RESPONSE_INVALID');
    });
  }
});

describe('requests', () => {
  const refused: readonly [string, Partial<HttpRequest>][] = [
    ['a line break in a header’s value (CVE-2026-31908)', { headers: { 'X-User': 'a\r\nX-Admin: 1' } }],
    ['a bare LF in a header’s value', { headers: { 'X-User': ['b', 'a\nX-Admin: 1'] } }],
    ['NUL in a header’s value', { headers: { 'X-User': 'a\0' } }],
    ['a character that would be cut down to a line feed', { headers: { 'X-User': 'a\u010aX-Admin: 1' } }],
    ['a line break in a header’s name', { headers: { 'X-User: a\r\nX-Admin': '1' } }],
    ['an empty name', { headers: { '': '1' } }],
    ['its own length', { headers: { 'Content-Length': '3' } }],
    ['its own framing', { headers: { 'transfer-encoding': 'chunked' } }],
    ['fields of the connection', { headers: { Connection: 'X-User' } }],
    ['two hosts', { headers: { Host: 'a', host: 'b' } }],
    ['a line break in the method', { method: 'GET / HTTP/1.1\r\nX: ' }],
    ['CONNECT', { method: 'CONNECT' }],
  ];
  for (const [what, request] of refused) {
    test(`with ${what} are refused before anything is sent`, async (t) => {
      const { url, sockets } = await startHttp(t, (_request, response) => response.end());
      const message = await failure(clientOf(t).request({ url, ...request }), 'INVALID_REQUEST');
      assert.match(message, /^the request cannot be sent: /);
      assert.doesNotMatch(message, /X-Admin: 1/);
      assert.equal(sockets.length, 0);
    });
  }

  for (const [what, url] of [
    ['a line break, which URL parsers drop', 'http://127.0.0.1/a\r\nb'],
    ['a tab', 'http://127.0.0.1/a\tb'],
    ['a space', 'http://127.0.0.1/a HTTP/1.1'],
    ['a backslash', 'http://127.0.0.1\\@example.com/'],
    ['a user', 'http://user:secret@127.0.0.1/'],
    ['another scheme', 'file:///etc/passwd'],
    ['no scheme', '//127.0.0.1/'],
  ] as const) {
    test(`to a URL with ${what} are refused`, async (t) => {
      const message = await failure(clientOf(t).request({ url }), 'INVALID_REQUEST');
      assert.doesNotMatch(message, /secret|passwd/);
    });
  }

  test('are told of by their server alone: neither path nor query stands in an error', async (t) => {
    const { url } = await startRaw(t, (socket) => void socket.once('data', () => socket.destroy()));
    const message = await failure(clientOf(t).request({ url: `${url}/private?token=s3cret` }), 'CONNECTION_CLOSED');
    assert.doesNotMatch(message, /private|s3cret/);
  });
});

test('undici is loaded by the first request, not before', async (t) => {
  const { url } = await startHttp(t, (_request, response) => response.end('ok'));
  const script = `
    import { createRequire } from 'node:module';
    import { createHttpClients } from './src/plugin/http-client/client.ts';
    import { ResourcePool } from './src/plugin/shared-resources.ts';
    await import('./src/plugins/registry.ts');
    const loaded = () => Object.keys(createRequire(import.meta.url).cache).some((file) => file.includes('/undici/'));
    const client = createHttpClients({ shared: new ResourcePool(), log: console }).client();
    const before = loaded();
    const { status } = await client.request({ url: '${url}' });
    client.close();
    console.log(before, status, loaded());`;
  const { stdout } = await runProcess(process.execPath, ['--input-type=module', '-e', script]);
  assert.equal(stdout, 'false 200 true\n');
});
