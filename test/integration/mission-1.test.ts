/** The basic-auth and consumer-restriction walks of the project's first mission, message for message, over real sockets. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Gateway, startGateway } from '../gateway.ts';
import { request, type TextResponse } from '../request.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';

const basic = (credentials: string): Record<string, string> => ({
  Authorization: `Basic ${Buffer.from(credentials).toString('base64')}`,
});

describe('mission 1: basic-auth', () => {
  let gateway: Gateway;
  let upstream: TestUpstream;
  before(async () => {
    upstream = await startUpstream((_, response) => {
      response.writeHead(200, {
        'Content-Type': 'text/html; charset=utf-8',
        'X-Frame-Options': 'DENY',
        Server: 'nexus',
      });
      response.end('<html></html>');
    });
    gateway = await startGateway();
    await gateway.admin('PUT', '/consumers', {
      username: 'nexus_bauth',
      plugins: { 'basic-auth': { username: 'admin', password: 'admin321' } },
    });
    const { status } = await gateway.admin('PUT', '/routes/nexus', {
      hosts: ['ops.youdianzhishi.com'],
      uris: ['/nexus*', '/static/*', '/service/*'],
      plugins: { 'basic-auth': {}, 'proxy-rewrite': { regex_uri: ['^/nexus(/|$)(.*)', '/$2'] } },
      upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } },
    });
    assert.equal(status, 201);
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
  });
  const get = (headers: Record<string, string>): Promise<TextResponse> =>
    request(gateway, '/nexus/', { Host: 'ops.youdianzhishi.com', ...headers });

  it('answers a request without Authorization with 401 and a challenge', async () => {
    const response = await get({});
    assert.equal(response.status, 401);
    assert.equal(response.headers['www-authenticate'], "Basic realm='.'");
    assert.equal(response.headers['content-type'], 'text/plain; charset=utf-8');
    assert.equal(response.headers['connection'], 'keep-alive');
    assert.match(response.headers['server'] ?? '', /^Gatewright\//);
    assert.equal(response.body, '{"message":"Missing authorization in request"}\n');
  });

  it('answers an unknown user with 401 and no challenge', async () => {
    const response = await get(basic('bar:bar'));
    assert.equal(response.status, 401);
    assert.equal(response.headers['www-authenticate'], undefined);
    assert.equal(response.body, '{"message":"Invalid user authorization"}\n');
  });

  it('lets the right password through, rewritten, with the identity upstream', async () => {
    const response = await get(basic('admin:admin321'));
    assert.equal(response.status, 200);
    assert.equal(response.headers['x-frame-options'], 'DENY');
    assert.equal(response.body, '<html></html>');
    const seen = upstream.requests.at(-1);
    assert.equal(seen?.url, '/');
    assert.equal(seen.headers['x-consumer-username'], 'nexus_bauth');
    assert.equal(seen.headers.host, 'ops.youdianzhishi.com');
  });
});

describe('mission 1: consumer-restriction', () => {
  let gateway: Gateway;
  let upstream: TestUpstream;
  before(async () => {
    upstream = await startUpstream((_, response) => {
      response.writeHead(302, { Location: '/login' }).end();
    });
    gateway = await startGateway();
    for (const [name, username] of [
      ['jack1', 'jack2019'],
      ['jack2', 'jack2020'],
    ]) {
      const { status, body } = await gateway.admin('PUT', '/consumers', {
        username: name,
        plugins: { 'basic-auth': { username, password: '123456' } },
      });
      assert.equal(status, 201);
      assert.equal(body['key'], `/apisix/consumers/${name ?? ''}`);
    }
    await gateway.admin('PUT', '/routes/1', {
      uri: '/index.html',
      upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } },
      plugins: { 'basic-auth': {}, 'consumer-restriction': { whitelist: ['jack1'] } },
    });
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
  });

  it('lets jack1 through', async () => {
    const response = await request(gateway, '/index.html', basic('jack2019:123456'));
    assert.equal(response.status, 302);
    assert.equal(response.headers['location'], '/login');
  });

  it('refuses jack2 with 403 and the message', async () => {
    const response = await request(gateway, '/index.html', basic('jack2020:123456'));
    assert.equal(response.status, 403);
    assert.equal(response.headers['content-type'], 'text/html; charset=utf-8');
    assert.equal(response.body, '{"message":"The consumer_name is forbidden."}\n');
  });
});
