/** The jwt-auth walk of the project's first mission, message for message, over real sockets and a restart of the settings. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { freePorts, type Gateway, type GatewayOptions, startGateway } from '../gateway.ts';
import { request, type TextResponse } from '../request.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';

const host = { Host: 'ops.youdianzhishi.com' };
const signRoute = { uri: '/apisix/plugin/jwt/sign', plugins: { 'public-api': {} } };
const plugins = ['jwt-auth', 'key-auth', 'redirect', 'proxy-rewrite', 'consumer-restriction', 'public-api'];

describe('mission 1: jwt-auth', () => {
  let options: GatewayOptions;
  let gateway: Gateway;
  let upstream: TestUpstream;
  let token: string;
  before(async () => {
    options = { directory: await mkdtemp(join(tmpdir(), 'gatewright-')), ports: await freePorts() };
    upstream = await startUpstream((_, response) => {
      response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8', 'X-Frame-Options': 'DENY' });
      response.end('<!DOCTYPE html>');
    });
    gateway = await startGateway(options);
    const consumer = await gateway.admin('PUT', '/consumers', {
      username: 'nexus_jwt',
      plugins: { 'jwt-auth': { key: 'user-key' } },
    });
    assert.equal(consumer.status, 201);
    const { status } = await gateway.admin('PUT', '/routes/nexus', {
      hosts: ['ops.youdianzhishi.com'],
      uris: ['/nexus*', '/static/*', '/service/*'],
      plugins: { 'jwt-auth': {}, 'proxy-rewrite': { regex_uri: ['^/nexus(/|$)(.*)', '/$2'] } },
      upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } },
    });
    assert.equal(status, 201);
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
    await rm(options.directory ?? '', { recursive: true, force: true });
  });
  const get = (path: string, headers: Record<string, string> = {}): Promise<TextResponse> =>
    request(gateway, path, { ...host, ...headers });

  it('answers a request without a token with 401', async () => {
    const response = await get('/nexus/');
    assert.equal(response.status, 401);
    assert.equal(response.headers['content-type'], 'text/plain; charset=utf-8');
    assert.equal(response.headers['connection'], 'keep-alive');
    assert.match(response.headers['server'] ?? '', /^Gatewright\//);
    assert.equal(response.body, '{"message":"Missing JWT token in request"}\n');
  });

  it('does not know public-api before the settings enable it', async () => {
    const { status, body } = await gateway.admin('PUT', '/routes/jas', signRoute);
    assert.equal(status, 400);
    assert.deepEqual(body, { error_msg: 'unknown plugin [public-api]' });
  });

  it('takes the route once the settings list it', async () => {
    await gateway.stop();
    gateway = await startGateway({ ...options, settings: { plugins } });
    const { status } = await gateway.admin('PUT', '/routes/jas', signRoute);
    assert.equal(status, 201);
  });

  it('signs a token for the key, as plain text', async () => {
    const response = await request(gateway, '/apisix/plugin/jwt/sign?key=user-key');
    assert.equal(response.status, 200);
    assert.equal(response.headers['content-type'], 'text/plain; charset=utf-8');
    assert.equal(response.headers['connection'], 'keep-alive');
    token = response.body;
    const [header = '', payload = '', signature = ''] = token.split('.');
    assert.equal(Buffer.from(header, 'base64url').toString(), '{"typ":"JWT","alg":"HS256"}');
    assert.match(Buffer.from(payload, 'base64url').toString(), /^\{"exp":[0-9]{10},"key":"user-key"\}$/);
    assert.match(signature, /^[A-Za-z0-9_-]{43}$/);
  });

  it('lets the token through in the Authorization header, with and without Bearer', async () => {
    for (const value of [token, `Bearer ${token}`]) {
      const response = await get('/nexus/', { Authorization: value });
      assert.equal(response.status, 200);
      assert.equal(response.headers['x-frame-options'], 'DENY');
      assert.equal(response.body, '<!DOCTYPE html>');
      assert.equal(upstream.requests.at(-1)?.headers['x-consumer-username'], 'nexus_jwt');
      assert.equal(upstream.requests.at(-1)?.url, '/');
    }
  });

  it('lets the token through as a request parameter', async () => {
    assert.equal((await get(`/nexus/?jwt=${token}`)).status, 200);
  });

  it('lets the token through in a cookie', async () => {
    assert.equal((await get('/nexus/', { Cookie: `jwt=${token}` })).status, 200);
  });

  it('stored the secret that it made; a new one ends the old tokens on every worker', async () => {
    await gateway.stop();
    gateway = await startGateway({ ...options, settings: { plugins } });
    assert.equal((await get('/nexus/', { Authorization: token })).status, 200);
    const replaced = { username: 'nexus_jwt', plugins: { 'jwt-auth': { key: 'user-key', secret: 'another' } } };
    assert.equal((await gateway.admin('PUT', '/consumers', replaced)).status, 200);
    for (let i = 0; i < 8; i++) {
      const response = await get('/nexus/', { Authorization: token });
      assert.equal(response.status, 401);
      assert.equal(response.body, '{"message":"failed to verify jwt"}\n');
    }
  });

  it('two consumers cannot hold the same key', async () => {
    const other = { username: 'other', plugins: { 'jwt-auth': { key: 'user-key' } } };
    const { status, body } = await gateway.admin('PUT', '/consumers', other);
    assert.equal(status, 400);
    assert.match(String(body['error_msg']), /duplicate key/);
  });

  it('wrote neither token nor secret to its log', () => {
    assert.equal(gateway.output().includes(token), false);
    assert.equal(gateway.output().includes('another'), false);
  });
});
