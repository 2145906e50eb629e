/** Upstreams that refuse, hang, break off or talk nonsense: what the client sees, and what happens to the connections. */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { describe, it } from 'node:test';
import { answering, routeTo, startGateway, startUpstream } from './gateway.ts';
import { closeServer, portOf } from './harness.ts';

const get = 'GET / HTTP/1.1\r\nHost: a.example\r\n\r\n';
const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

/** A port where nobody listens. */
async function deadPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const port = portOf(server);
  await closeServer(server);
  return port;
}

describe('an upstream response that is no HTTP', () => {
  for (const [what, response] of [
    ['garbage', '\x16\x03\x01\x00\xa5 this is not HTTP at all\r\n\r\n'],
    [
      'Content-Length and Transfer-Encoding',
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['two Content-Length fields', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk'],
    ['an unknown transfer coding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n'],
    ['a bare LF', 'HTTP/1.1 200 OK\nContent-Length: 2\n\nok'],
    ['an obs-fold', 'HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok'],
    ['a space before the colon', 'HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok'],
    ['a NUL in a field', 'HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok'],
    ['another version', 'HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok'],
    [
      '101 that nobody asked for',
      'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n',
    ],
    ['a head without end', `HTTP/1.1 200 OK\r\nX: ${'a'.repeat(70_000)}`],
  ] as const) {
    it(`is answered with 502: ${what}`, async () => {
      await using upstream = await startUpstream(answering(response));
      await using gateway = await startGateway({ resources: routeTo(upstream) });
      using client = await gateway.connect();
      client.write(get);
      const answer = await client.response();
      assert.equal(answer.status, 502);
      assert.equal(answer.body.toString(), '{"error_msg":"502 Bad Gateway"}\n');
      assert.equal(answer.header('connection'), 'keep-alive');
      assert.deepEqual(gateway.refusals, ['UPSTREAM_MALFORMED']);
      await (await upstream.peer(0)).untilEnd();
    });
  }
});

describe('an upstream that breaks off inside its response', () => {
  for (const [what, response] of [
    ['a length', 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart'],
    ['chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n'],
    ['a chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\npart'],
    ['chunks that turn out malformed', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\nzz\r\n'],
  ] as const) {
    it(`is never a complete response to the client: ${what}`, async () => {
      await using upstream = await startUpstream(async (peer) => {
        await peer.request();
        peer.write(response).end();
      });
      await using gateway = await startGateway({ resources: routeTo(upstream) });
      using client = await gateway.connect();
      client.write(get);
      await assert.rejects(client.response(), /no whole response/);
    });
  }

  it('is a reset connection to an HTTP/1.0 client, whose responses end with the connection', async () => {
    await using upstream = await startUpstream(async (peer) => {
      await peer.request();
      peer.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n');
      await new Promise((resolve) => setImmediate(resolve));
      peer.end();
    });
    await using gateway = await startGateway({ resources: routeTo(upstream) });
    using client = await gateway.connect();
    client.write('GET / HTTP/1.0\r\n\r\n');
    await client.untilClosed();
    assert.equal(client.error?.code, 'ECONNRESET');
  });
});

describe('an upstream that does not answer', () => {
  it('502: nobody listens', async () => {
    await using gateway = await startGateway({
      resources: { 'routes/1': { uri: '/*', upstream: { nodes: { [`127.0.0.1:${await deadPort()}`]: 1 } } } },
    });
    using client = await gateway.connect();
    client.write(get + get);
    assert.equal((await client.response()).status, 502);
    assert.equal((await client.response()).status, 502);
    assert.deepEqual(gateway.refusals, ['UPSTREAM_CONNECT_FAILED', 'UPSTREAM_CONNECT_FAILED']);
  });

  it('goes to the next node when one does not listen', async () => {
    await using upstream = await startUpstream();
    await using gateway = await startGateway({
      resources: routeTo(upstream, {}, { nodes: { ...upstream.nodes, [`127.0.0.1:${await deadPort()}`]: 1 } }),
    });
    using client = await gateway.connect();
    for (let i = 0; i < 4; i++) {
      client.write(get);
      assert.equal((await client.response()).status, 200);
    }
  });

  it('504: it takes the request and says nothing', async () => {
    await using upstream = await startUpstream(async (peer) => {
      await peer.request();
    });
    await using gateway = await startGateway({
      resources: routeTo(upstream, {}, { timeout: { connect: 1, send: 1, read: 0.03 } }),
    });
    using client = await gateway.connect();
    client.write(get);
    assert.equal((await client.response()).status, 504);
    assert.deepEqual(gateway.refusals, ['UPSTREAM_READ_TIMEOUT']);
    await (await upstream.peer(0)).untilEnd();
  });

  it('502: it closes without an answer', async () => {
    await using upstream = await startUpstream(async (peer) => {
      await peer.request();
      peer.end();
    });
    await using gateway = await startGateway({ resources: routeTo(upstream, {}, { retries: 0 }) });
    using client = await gateway.connect();
    client.write(get);
    assert.equal((await client.response()).status, 502);
    assert.equal(upstream.peers.length, 1);
  });

  it('never gets a body twice when it closes without an answer', async () => {
    await using upstream = await startUpstream(async (peer) => {
      await peer.request();
      peer.end();
    });
    await using other = await startUpstream();
    await using gateway = await startGateway({
      resources: routeTo(upstream, {}, { nodes: { ...upstream.nodes, ...other.nodes }, retries: 3 }),
    });
    let refused = 0;
    for (let i = 0; i < 2; i++) {
      using client = await gateway.connect();
      client.write('POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 4\r\n\r\nbody');
      if ((await client.response()).status === 502) refused++;
    }
    assert.equal(refused, 1);
    assert.equal(upstream.peers.length, 1);
    assert.equal(other.requests.length, 1);
  });
});

describe('pooled connections', () => {
  it('that the upstream closed meanwhile are replaced, also under a request with a body', async () => {
    await using upstream = await startUpstream(async (peer, requests) => {
      requests.push(await peer.request());
      peer.write(ok);
      // The second request on this connection meets a closed one.
      await peer.until(() => peer.received.length > 0);
      peer.socket.resetAndDestroy();
    });
    await using gateway = await startGateway({ resources: routeTo(upstream, {}, { retries: 0 }) });
    using client = await gateway.connect();
    client.write(get);
    assert.equal((await client.response()).status, 200);
    client.write('POST /again HTTP/1.1\r\nHost: a.example\r\nContent-Length: 4\r\n\r\nbody');
    assert.equal((await client.response()).status, 200);
    assert.deepEqual(
      upstream.requests.map(({ target, body }) => `${target} ${body.toString()}`),
      ['/ ', '/again body'],
    );
  });

  it('that speak unasked are not used: bytes after a response are never the next response', async () => {
    await using upstream = await startUpstream(async (peer, requests) => {
      requests.push(await peer.request());
      peer.write(`${ok}HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong`);
    });
    await using gateway = await startGateway({ resources: routeTo(upstream) });
    using client = await gateway.connect();
    for (let i = 0; i < 3; i++) {
      client.write(get);
      assert.equal((await client.response()).body.toString(), 'ok');
    }
    assert.equal(upstream.peers.length, 3);
  });

  it('are not kept after Connection: close, or an HTTP/1.0 response', async () => {
    for (const response of [
      'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok',
      'HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok',
    ]) {
      await using upstream = await startUpstream(answering(response));
      await using gateway = await startGateway({ resources: routeTo(upstream) });
      using client = await gateway.connect();
      for (let i = 0; i < 2; i++) {
        client.write(get);
        assert.equal((await client.response()).header('connection'), 'keep-alive');
      }
      assert.equal(upstream.peers.length, 2);
    }
  });
});

describe('a client that goes away', () => {
  it('while the upstream works: its connection is closed', async () => {
    await using upstream = await startUpstream(async (peer, requests) => {
      requests.push(await peer.request());
    });
    await using gateway = await startGateway({ resources: routeTo(upstream) });
    const client = await gateway.connect();
    client.write(get);
    const peer = await upstream.peer(0);
    while (upstream.requests.length === 0) await new Promise((resolve) => setImmediate(resolve));
    client.socket.resetAndDestroy();
    await peer.untilEnd();
    await gateway.accessed(1);
    assert.equal(gateway.accesses[0]?.reason, 'CLIENT_CLOSED');
  });

  it('inside the response: the upstream connection is closed, however long the response would be', async () => {
    await using upstream = await startUpstream(async (peer) => {
      await peer.request();
      peer.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
      while (!peer.ended) {
        peer.write('4\r\npart\r\n');
        await new Promise((resolve) => setImmediate(resolve));
      }
    });
    await using gateway = await startGateway({ resources: routeTo(upstream) });
    const client = await gateway.connect();
    client.write(get);
    await client.until(() => client.text.includes('part'));
    client.socket.destroy();
    await (await upstream.peer(0)).untilEnd();
    await gateway.accessed(1);
    assert.equal(gateway.accesses.length, 1);
  });

  it('by half is gone, too: the upstream is not kept at work', async () => {
    await using upstream = await startUpstream(async (peer, requests) => {
      requests.push(await peer.request());
    });
    await using gateway = await startGateway({ resources: routeTo(upstream) });
    using client = await gateway.connect();
    client.write(get);
    const peer = await upstream.peer(0);
    while (upstream.requests.length === 0) await new Promise((resolve) => setImmediate(resolve));
    client.end();
    await peer.untilEnd();
    await gateway.accessed(1);
    assert.equal(gateway.accesses[0]?.reason, 'CLIENT_CLOSED');
  });

  it('inside its body: the upstream connection is closed', async () => {
    await using upstream = await startUpstream();
    await using gateway = await startGateway({ resources: routeTo(upstream) });
    const client = await gateway.connect();
    client.write('POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1000\r\n\r\npart');
    const peer = await upstream.peer(0);
    await peer.until(() => peer.text.includes('part'));
    client.socket.destroy();
    await peer.untilEnd();
    await gateway.accessed(1);
    assert.equal(gateway.accesses.length, 1);
  });
});

describe('an early reply', () => {
  it('reaches the client while its body is still coming, and closes its connection', async () => {
    await using upstream = await startUpstream(async (peer) => {
      await peer.until(() => peer.text.includes('\r\n\r\n'));
      peer.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno');
    });
    await using gateway = await startGateway({ resources: routeTo(upstream) });
    using client = await gateway.connect();
    client.write('POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1000000\r\n\r\npart');
    const answer = await client.response();
    assert.equal(answer.status, 403);
    assert.equal(answer.header('connection'), 'close');
    assert.equal(await client.untilEnd(), '');
  });
});
