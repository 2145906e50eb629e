/** Which upstream connections take another request, and what a rewritten request line may hold. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AnyPlugin } from '../../src/plugin/plugin.ts';
import { answering, routeTo, startGateway, startUpstream, trustLoopback } from './gateway.ts';
import type { RawClient } from './raw-client.ts';

const host = 'Host: a.example\r\n';

/** Answers the first request of each connection with these bytes, as soon as its head is there. */
const once =
  (bytes: string) =>
  async (peer: RawClient): Promise<void> => {
    await peer.until(() => peer.text.includes('\r\n\r\n'));
    peer.write(bytes);
  };

describe('an upstream connection', () => {
  it('that answered before it had the whole request is closed, not reused', async () => {
    await using upstream = await startUpstream(once('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'));
    await using gateway = await startGateway({ resources: routeTo(upstream) });
    using client = await gateway.connect();
    client.write(`POST /a HTTP/1.1\r\n${host}Content-Length: 10\r\n\r\n12345`);
    assert.equal((await client.response()).status, 200);
    const first = await upstream.peer(0);
    await first.untilEnd();
    client.write(`67890GET /b HTTP/1.1\r\n${host}\r\n`);
    assert.equal((await client.response()).status, 200);
    assert.equal(upstream.peers.length, 2);
  });

  for (const [title, head] of [
    ['a 204 announced a body', 'HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n'],
    ['a 204 announced chunks', 'HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n'],
    [
      'an HTTP/1.0 answer came in chunks',
      'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
  ] as const) {
    it(`is closed after ${title}: its rest may still be on the way (RFC 9112 §6)`, async () => {
      await using upstream = await startUpstream(once(head));
      await using gateway = await startGateway({ resources: routeTo(upstream) });
      using client = await gateway.connect();
      for (const target of ['/a', '/b']) {
        client.write(`GET ${target} HTTP/1.1\r\n${host}\r\n`);
        await client.response();
      }
      assert.equal(upstream.peers.length, 2);
    });
  }
});

describe('forwarded fields beside the standard ones', () => {
  const request = `GET / HTTP/1.1\r\n${host}X-Forwarded-Prefix: /x\r\nX-Forwarded-Ssl: on\r\n\r\n`;
  for (const [who, trust, expected] of [
    ['an untrusted', {}, undefined],
    ['a trusted', trustLoopback, '/x'],
  ] as const) {
    it(`of ${who} peer are ${expected === undefined ? 'dropped' : 'passed on'}`, async () => {
      await using upstream = await startUpstream();
      await using gateway = await startGateway({ resources: routeTo(upstream), trust });
      using client = await gateway.connect();
      client.write(request);
      await client.response();
      assert.equal(upstream.requests[0]?.header('x-forwarded-prefix'), expected);
    });
  }
});

describe('what a plugin writes for the request line', () => {
  for (const [what, overrides] of [
    ['a query with a line break', { query: 'a=b\r\nX-Injected: 1' }],
    ['a query with a space', { query: 'a b' }],
    ['a method that is no token', { method: 'GET / HTTP/1.1\r\nX: 1\r\n\r\nGET' }],
    ['a host with a line break', { host: 'a.example\r\nX-Injected: 1' }],
    ['a path with a line break', { path: '/a\r\nX-Injected: 1' }],
  ] as const) {
    it(`${what} is refused with 400 and nothing goes upstream (apisix#13787)`, async () => {
      const rewriting: AnyPlugin = {
        name: 'rewriting',
        priority: 1,
        schema: {},
        compile: () => undefined,
        rewrite: (_state, exchange) => {
          Object.assign(exchange.upstream, overrides);
          return undefined;
        },
      };
      await using upstream = await startUpstream(answering());
      await using gateway = await startGateway({
        resources: routeTo(upstream, { plugins: { rewriting: {} } }),
        plugins: [rewriting],
      });
      using client = await gateway.connect();
      client.write(`GET / HTTP/1.1\r\n${host}\r\n`);
      assert.equal((await client.response()).status, 400);
      assert.equal(upstream.peers.length, 0);
    });
  }
});
