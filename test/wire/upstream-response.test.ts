/** Plugins that judge an upstream's response (`upstreamResponse`): nothing of it is sent before they have, and all of it after. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import type { Exchange } from '../../src/plugin/exchange.ts';
import { type AnyPlugin, definePlugin, type MaybeAsync } from '../../src/plugin/plugin.ts';
import { answering, type Gateway, routeTo, startGateway, startUpstream, type Upstream } from './gateway.ts';

const get = 'GET /a HTTP/1.1\r\nHost: a.example\r\n\r\n';
const large = 'x'.repeat(1_000_000);
const largeResponse = `HTTP/1.1 200 OK\r\nContent-Length: ${String(large.length)}\r\n\r\n${large}`;

/** Held until the test says so. */
function gate(): { readonly opened: Promise<void>; open(): void; readonly reached: Promise<void>; reach(): void } {
  const opened = Promise.withResolvers<undefined>();
  const reached = Promise.withResolvers<undefined>();
  return {
    opened: opened.promise,
    open: () => {
      opened.resolve(undefined);
    },
    reached: reached.promise,
    reach: () => {
      reached.resolve(undefined);
    },
  };
}

function judging(judge: (exchange: Exchange) => MaybeAsync): AnyPlugin {
  return definePlugin({
    name: 'judge',
    priority: 1,
    schema: { type: 'object' },
    compile: () => undefined,
    upstreamResponse: (_state: undefined, exchange: Exchange) => judge(exchange),
  });
}

function start(upstream: Upstream, judge: (exchange: Exchange) => MaybeAsync, route: object = {}): Promise<Gateway> {
  return startGateway({
    resources: routeTo(upstream, { plugins: { judge: {} }, ...route }),
    plugins: [judging(judge)],
  });
}

describe('a plugin that judges responses', () => {
  it('keeps every byte from the client until it has ended, and then all of them come', async () => {
    const { opened, open, reached, reach } = gate();
    await using upstream = await startUpstream(answering(largeResponse));
    await using gateway = await start(upstream, async () => {
      reach();
      await opened;
    });
    using client = await gateway.connect();
    client.write(get);
    await reached;
    assert.equal(client.received.length, 0);
    open();
    assert.equal((await client.response()).body.toString(), large);
  });

  it('does not take the whole of a large response into memory that it does not ask for', async () => {
    const { opened, open, reached, reach } = gate();
    const chunks = 300;
    let sent = 0;
    await using upstream = await startUpstream(async (peer) => {
      await peer.request();
      peer.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
      const chunk = `10000\r\n${'x'.repeat(65_536)}\r\n`;
      for (; sent < chunks; sent++) {
        if (!peer.socket.write(chunk)) await new Promise((resolve) => peer.socket.once('drain', resolve));
      }
      peer.write('0\r\n\r\n');
    });
    await using gateway = await start(upstream, async () => {
      reach();
      await opened;
    });
    const client = connect({ host: '127.0.0.1', port: gateway.port });
    let bytes = 0;
    client.on('data', (piece) => (bytes += piece.length));
    client.write(get.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'));
    await reached;
    await new Promise((resolve) => setImmediate(resolve));
    // What the sockets of both sides hold, no more: 19 MB would be all of it.
    assert.ok(sent < chunks / 2, String(sent));
    assert.equal(bytes, 0);
    open();
    await once(client, 'end');
    assert.ok(bytes > chunks * 65_536);
    client.destroy();
  });

  it('reads the body whole, changes status and fields, and replaces it', async () => {
    await using upstream = await startUpstream(answering('HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 3\r\n\r\nabc'));
    await using gateway = await start(upstream, async ({ response }) => {
      const body = await response.body(100);
      response.status = 418;
      response.headers.remove('X-A');
      response.headers.set('X-B', '2');
      response.replaceBody(Buffer.concat([body, body]));
    });
    using client = await gateway.connect();
    for (let i = 0; i < 2; i++) {
      client.write(get);
      const response = await client.response();
      assert.equal(response.status, 418);
      assert.equal(response.body.toString(), 'abcabc');
      assert.equal(response.header('content-length'), '6');
      assert.equal(response.header('x-a'), undefined);
      assert.equal(response.header('x-b'), '2');
    }
    assert.equal(upstream.peers.length, 1);
  });

  it('passes a body on that it has read, chunks and trailers and all', async () => {
    const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n';
    await using upstream = await startUpstream(answering(chunked));
    await using gateway = await start(upstream, async ({ response }) => {
      assert.equal(Buffer.from(await response.body(100)).toString(), 'abcde');
    });
    using client = await gateway.connect();
    client.write(get);
    const response = await client.response();
    assert.equal(response.body.toString(), 'abcde');
    assert.deepEqual(response.trailers, [['X-T', '1']]);
  });

  it('cannot read a body that is larger than it says', async () => {
    await using upstream = await startUpstream(answering(largeResponse));
    await using gateway = await start(upstream, async ({ response }) => {
      await assert.rejects(response.body(1000), RangeError);
    });
    using client = await gateway.connect();
    client.write(get);
    assert.equal((await client.response()).body.length, large.length);
  });

  it('answers in the upstream’s place: nothing of its response is sent, and its connection is not used again', async () => {
    await using upstream = await startUpstream(answering(largeResponse));
    await using gateway = await start(upstream, () => Promise.resolve({ status: 403, body: 'no' }));
    using client = await gateway.connect();
    for (let i = 0; i < 2; i++) {
      client.write(get);
      const response = await client.response();
      assert.equal(response.status, 403);
      assert.equal(response.body.toString(), 'no');
    }
    assert.equal(upstream.peers.length, 2);
    assert.deepEqual(gateway.refusals, ['judge.reply', 'judge.reply']);
  });

  it('that throws costs the client the response: 500', async () => {
    await using upstream = await startUpstream();
    await using gateway = await start(upstream, () => Promise.reject(new Error('bug')));
    using client = await gateway.connect();
    client.write(get);
    assert.equal((await client.response()).status, 500);
    assert.match(gateway.failures[0] ?? '', /judge upstream_response Error: bug/);
  });

  it('waits for a body that never ends: the upstream that breaks off is 502', async () => {
    await using upstream = await startUpstream(async (peer) => {
      await peer.request();
      peer.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc');
      peer.socket.destroySoon();
    });
    await using gateway = await start(upstream, async ({ response }) => {
      await response.body(100);
    });
    using client = await gateway.connect();
    client.write(get);
    assert.equal((await client.response()).status, 502);
  });

  it('lets go of everything where the client goes away meanwhile', async () => {
    const { reached, reach } = gate();
    const failed = Promise.withResolvers<unknown>();
    await using upstream = await startUpstream(async (peer) => {
      await peer.request();
      peer.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc');
    });
    await using gateway = await start(upstream, async ({ response }) => {
      const body = response.body(100);
      reach();
      await body.catch(failed.resolve);
    });
    using client = await gateway.connect();
    client.write(get);
    await reached;
    client.socket.destroy();
    assert.match(String(await failed.promise), /CLIENT_CLOSED/);
    await gateway.accessed(1);
    await (await upstream.peer(0)).untilEnd();
  });

  it('sees responses without a body, and HEAD stays without one', async () => {
    await using upstream = await startUpstream(answering('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n'));
    await using gateway = await start(upstream, async ({ response }) => {
      assert.equal((await response.body(10)).length, 0);
      response.headers.set('X-B', '2');
    });
    using client = await gateway.connect();
    client.write('HEAD /a HTTP/1.1\r\nHost: a.example\r\n\r\n');
    const response = await client.response(true);
    assert.equal(response.header('x-b'), '2');
    assert.equal(response.header('content-length'), '3');
  });

  it('is not asked about the gateway’s own replies', async () => {
    let asked = 0;
    await using upstream = await startUpstream();
    await using gateway = await start(
      upstream,
      () => {
        asked++;
      },
      { plugins: { judge: {}, 'key-auth': {} } },
    );
    using client = await gateway.connect();
    client.write(get);
    assert.equal((await client.response()).status, 401);
    assert.equal(asked, 0);
  });

  it('cannot judge a switch of protocols: 503', async () => {
    await using upstream = await startUpstream(
      answering('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n'),
    );
    await using gateway = await start(upstream, () => undefined, { enable_websocket: true });
    using client = await gateway.connect();
    client.write('GET /a HTTP/1.1\r\nHost: a.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n');
    assert.equal((await client.response()).status, 503);
  });
});
