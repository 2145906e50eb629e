/** Limits over real sockets with two workers: exact counts, places given back however a request ends, nobody's address forged. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { type Gateway, startGateway } from '../gateway.ts';
import { request } from '../request.ts';
import { put as putResource } from '../resources.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';

describe('limits with two workers', () => {
  let gateway: Gateway;
  let upstream: TestUpstream;
  /** Answers of `/hold…` that the upstream has not given yet. */
  const held: ServerResponse[] = [];
  let onHeld: () => void = () => undefined;

  before(async () => {
    upstream = await startUpstream((incoming, response) => {
      if (incoming.url?.startsWith('/hold') === true) {
        held.push(response);
        onHeld();
      } else response.end('ok');
    });
    gateway = await startGateway();
  });
  after(async () => {
    for (const response of held) response.destroy();
    await gateway[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
  });

  const put = (path: string, body: object): Promise<void> => putResource(gateway, path, body);
  const route = (id: string, uri: string, plugins: object) =>
    put(`/routes/${id}`, { uri, plugins, upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } } });

  /** Resolves when the upstream holds `count` more requests. */
  function holds(count: number): Promise<void> {
    const target = held.length + count;
    return new Promise((resolve) => {
      onHeld = () => {
        if (held.length >= target) resolve();
      };
    });
  }

  it('lets exactly `count` requests pass, over many connections at once', async () => {
    await route('count', '/count', { 'limit-count': { count: 37, time_window: 600, rejected_code: 429 } });
    const answers = await Promise.all(Array.from({ length: 120 }, () => request(gateway, '/count')));
    assert.equal(answers.filter(({ status }) => status === 200).length, 37);
    assert.equal(answers.filter(({ status }) => status === 429).length, 83);
    const remaining = answers
      .filter(({ status }) => status === 200)
      .map(({ headers }) => headers['x-ratelimit-remaining']);
    assert.equal(new Set(remaining).size, 37, 'each was told another remainder');
  });

  it('counts on over a change of another route, and anew over one of its own', async () => {
    await route('again', '/again', { 'limit-count': { count: 1, time_window: 600 } });
    assert.equal((await request(gateway, '/again')).status, 200);
    await route('other', '/other', {});
    assert.equal((await request(gateway, '/again')).status, 503);
    await route('again', '/again', { 'limit-count': { count: 2, time_window: 600 } });
    assert.equal((await request(gateway, '/again')).status, 200);
  });

  it('holds consumer A to its concurrency on all routes, and consumer B to none', async () => {
    await put('/consumers', {
      username: 'a',
      plugins: {
        'key-auth': { key: 'key-a' },
        'limit-conn': { conn: 2, burst: 0, default_conn_delay: 0.1, key: 'consumer_name', rejected_code: 429 },
      },
    });
    await put('/consumers', { username: 'b', plugins: { 'key-auth': { key: 'key-b' } } });
    await route('hold1', '/hold1', { 'key-auth': {} });
    await route('hold2', '/hold2', { 'key-auth': {} });
    const filled = holds(2);
    const running = ['/hold1', '/hold2'].map((path) => request(gateway, path, { apikey: 'key-a' }));
    await filled;
    for (const path of ['/hold1', '/hold2'])
      assert.equal((await request(gateway, path, { apikey: 'key-a' })).status, 429);
    const other = holds(1);
    running.push(request(gateway, '/hold1', { apikey: 'key-b' }));
    await other;
    for (const response of held.splice(0)) response.end('done');
    for (const { status } of await Promise.all(running)) assert.equal(status, 200);
    const again = holds(2);
    const next = [1, 2].map(() => request(gateway, '/hold1', { apikey: 'key-a' }));
    await again;
    for (const response of held.splice(0)) response.end('done');
    for (const { status } of await Promise.all(next)) assert.equal(status, 200);
  });

  it('gives the place back when the client goes away', async () => {
    await route('gone', '/hold-gone', {
      'limit-conn': { conn: 1, burst: 0, default_conn_delay: 0.1, key: 'remote_addr' },
    });
    const arrived = holds(1);
    const client = connect(gateway.ports.data, '127.0.0.1');
    client.write('GET /hold-gone HTTP/1.1\r\nHost: x\r\n\r\n');
    await arrived;
    assert.equal((await request(gateway, '/hold-gone')).status, 503);
    const [response] = held.splice(0);
    assert.ok(response !== undefined);
    const closed = once(response, 'close');
    client.resetAndDestroy();
    await closed;
    const next = holds(1);
    const second = request(gateway, '/hold-gone');
    await next;
    for (const waiting of held.splice(0)) waiting.end('done');
    assert.equal((await second).status, 200);
  });

  it('believes X-Forwarded-For from the peers that real-ip trusts, and from nobody else', async () => {
    const only = { whitelist: ['198.51.100.1'] };
    const realIp = (trusted: string) => ({
      'real-ip': { source: 'http_x_forwarded_for', trusted_addresses: [trusted] },
      'ip-restriction': only,
    });
    await route('trusted', '/trusted', realIp('127.0.0.0/8'));
    await route('untrusted', '/untrusted', realIp('10.0.0.0/8'));
    await route('unsaid', '/unsaid', { 'real-ip': { source: 'http_x_forwarded_for' }, 'ip-restriction': only });
    const forged = { 'X-Forwarded-For': '198.51.100.1' };
    assert.equal((await request(gateway, '/trusted', forged)).status, 200);
    assert.equal((await request(gateway, '/trusted')).status, 403);
    assert.equal((await request(gateway, '/untrusted', forged)).status, 403);
    assert.equal((await request(gateway, '/unsaid', forged)).status, 403);
    const reached = upstream.requests.at(-1);
    assert.equal(reached?.url, '/trusted');
  });

  it('answers a preflight with CORS headers before authentication, and adds them to refusals', async () => {
    await route('cors', '/cors', { cors: { allow_origins: 'https://a.example' }, 'key-auth': {} });
    const origin = { Origin: 'https://a.example' };
    const preflight = await request(gateway, '/cors', origin, { method: 'OPTIONS' });
    assert.equal(preflight.status, 200);
    assert.equal(preflight.headers['access-control-allow-origin'], 'https://a.example');
    const refused = await request(gateway, '/cors', origin);
    assert.equal(refused.status, 401);
    assert.equal(refused.headers['access-control-allow-origin'], 'https://a.example');
    assert.equal((await request(gateway, '/cors', { Origin: 'https://b.example' })).headers['vary'], 'Origin');
  });
});
