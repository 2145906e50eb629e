/** Upgrades: bytes pass both ways after a 101 that was asked for, and never otherwise. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { routeTo, startGateway, startUpstream } from './gateway.ts';

const ask = (more = ''): string =>
  `GET /ws HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n${more}\r\n`;
const switching = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';

describe('an upgrade', () => {
  it('passes bytes both ways, also those that came with the heads', async () => {
    await using upstream = await startUpstream(async (peer, requests) => {
      requests.push(await peer.request());
      peer.write(`${switching}first`);
      await peer.until(() => peer.text === 'early|later');
      peer.write('|last').end();
    });
    await using gateway = await startGateway({ resources: routeTo(upstream, { enable_websocket: true }) });
    using client = await gateway.connect();
    client.write(`${ask()}early`);
    const answer = await client.response();
    assert.equal(answer.status, 101);
    assert.equal(answer.header('connection'), 'upgrade');
    assert.equal(answer.header('upgrade'), 'websocket');
    client.write('|later');
    assert.equal(await client.untilEnd(), 'first|last');
    assert.equal(upstream.requests[0]?.header('upgrade'), 'websocket');
    assert.equal(upstream.requests[0].header('connection'), 'upgrade');
    assert.equal(upstream.requests[0].header('sec-websocket-key'), 'x');
    await gateway.accessed(1);
    assert.equal(gateway.accesses[0]?.status, 101);
  });

  it('ends for the upstream when the client ends', async () => {
    await using upstream = await startUpstream(async (peer) => {
      await peer.request();
      peer.write(switching);
      await peer.untilEnd();
      peer.write('bye').end();
    });
    await using gateway = await startGateway({ resources: routeTo(upstream, { enable_websocket: true }) });
    using client = await gateway.connect();
    client.write(ask());
    assert.equal((await client.response()).status, 101);
    client.end();
    await (await upstream.peer(0)).untilEnd();
    await client.untilEnd();
  });

  it('ends for the upstream when the client is gone, and for the client when the upstream is', async () => {
    await using upstream = await startUpstream(async (peer) => {
      await peer.request();
      peer.write(switching);
    });
    await using gateway = await startGateway({ resources: routeTo(upstream, { enable_websocket: true }) });
    const first = await gateway.connect();
    first.write(ask());
    await first.response();
    first.socket.resetAndDestroy();
    await (await upstream.peer(0)).untilEnd();
    using second = await gateway.connect();
    second.write(ask());
    await second.response();
    (await upstream.peer(1)).socket.resetAndDestroy();
    await second.untilEnd();
  });

  it('is an ordinary request where the route does not allow it', async () => {
    await using upstream = await startUpstream();
    await using gateway = await startGateway({ resources: routeTo(upstream) });
    using client = await gateway.connect();
    client.write(`${ask()}GET /next HTTP/1.1\r\nHost: a.example\r\n\r\n`);
    assert.equal((await client.response()).status, 200);
    assert.equal((await client.response()).status, 200);
    assert.equal(upstream.requests[0]?.header('upgrade'), undefined);
    assert.equal(upstream.requests[1]?.target, '/next');
  });

  it('that the upstream declines is an ordinary response, and the connection goes on', async () => {
    await using upstream = await startUpstream();
    await using gateway = await startGateway({ resources: routeTo(upstream, { enable_websocket: true }) });
    using client = await gateway.connect();
    for (let i = 0; i < 2; i++) {
      client.write(ask());
      assert.equal((await client.response()).status, 200);
    }
  });

  it('is refused by a plugin as any request', async () => {
    await using upstream = await startUpstream();
    await using gateway = await startGateway({
      resources: routeTo(upstream, { enable_websocket: true, plugins: { 'key-auth': {} } }),
    });
    using client = await gateway.connect();
    client.write(ask());
    assert.equal((await client.response()).status, 401);
    assert.equal(upstream.peers.length, 0);
  });

  it('to h2c never reaches the upstream: its requests would pass by every rule', async () => {
    await using upstream = await startUpstream();
    await using gateway = await startGateway({ resources: routeTo(upstream, { enable_websocket: true }) });
    using client = await gateway.connect();
    for (const offer of ['h2c', 'H2C', 'websocket, h2c', 'h2', 'h2c/1']) {
      client.write(
        `GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: ${offer}\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n`,
      );
      assert.equal((await client.response()).status, 200);
    }
    for (const request of upstream.requests) {
      assert.equal(
        request.header('upgrade') ?? request.header('connection') ?? request.header('http2-settings'),
        undefined,
      );
    }
  });

  it('is not offered by HTTP/1.0 (RFC 9110 §7.8)', async () => {
    await using upstream = await startUpstream();
    await using gateway = await startGateway({ resources: routeTo(upstream, { enable_websocket: true }) });
    using client = await gateway.connect();
    client.write('GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    assert.equal((await client.response()).status, 200);
    assert.equal(upstream.requests[0]?.header('upgrade'), undefined);
  });
});
