/** The public-api walk of the project's second mission: three methods, over real sockets. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Gateway, startGateway } from '../gateway.ts';
import { request } from '../request.ts';

const token = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{43}$/;

describe('mission 2: public-api', () => {
  let gateway: Gateway;
  before(async () => {
    gateway = await startGateway({ settings: { plugins: ['jwt-auth', 'key-auth', 'public-api', 'ip-restriction'] } });
    const { status } = await gateway.admin('PUT', '/consumers', {
      username: 'APISIX',
      plugins: { 'jwt-auth': { key: 'user-key', secret: 'my-secret-key' } },
    });
    assert.equal(status, 201);
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
  });
  const putRoute = async (route: object): Promise<void> => {
    const { status } = await gateway.admin('PUT', '/routes/r1', route);
    assert.ok(status === 200 || status === 201);
  };

  it('does not expose the API by default', async () => {
    const response = await request(gateway, '/apisix/plugin/jwt/sign?key=user-key');
    assert.equal(response.status, 404);
    assert.equal(response.body, '{"error_msg":"404 Route Not Found"}\n');
  });

  it('first method: a route at the API’s own address serves it', async () => {
    await putRoute({ uri: '/apisix/plugin/jwt/sign', plugins: { 'public-api': {} } });
    const response = await request(gateway, '/apisix/plugin/jwt/sign?key=user-key');
    assert.equal(response.status, 200);
    assert.match(response.body, token);
  });

  it('second method: a route at another address serves it, and the old address is gone', async () => {
    await putRoute({ uri: '/gen_token', plugins: { 'public-api': { uri: '/apisix/plugin/jwt/sign' } } });
    const response = await request(gateway, '/gen_token?key=user-key');
    assert.equal(response.status, 200);
    assert.match(response.body, token);
    const old = await request(gateway, '/apisix/plugin/jwt/sign?key=user-key');
    assert.equal(old.status, 404);
    assert.equal(old.body, '{"error_msg":"404 Route Not Found"}\n');
  });

  it('third method: key-auth protects the route', async () => {
    const { status } = await gateway.admin('PUT', '/consumers', {
      username: 'consumer_key',
      plugins: { 'key-auth': { key: 'test-apikey' } },
    });
    assert.equal(status, 201);
    await putRoute({
      uri: '/gen_token',
      plugins: { 'public-api': { uri: '/apisix/plugin/jwt/sign' }, 'key-auth': {} },
    });
    const signed = await request(gateway, '/gen_token?key=user-key', { apikey: 'test-apikey' });
    assert.equal(signed.status, 200);
    assert.match(signed.body, token);
    const refused = await request(gateway, '/gen_token?key=user-key');
    assert.equal(refused.status, 401);
    assert.equal(refused.body, '{"message":"Missing API key found in request"}\n');
  });

  it('any other plugin protects it too, and the route’s methods and hosts hold', async () => {
    await putRoute({
      uri: '/gen_token',
      methods: ['GET'],
      host: 'tokens.internal',
      plugins: {
        'public-api': { uri: '/apisix/plugin/jwt/sign' },
        'ip-restriction': { whitelist: ['10.0.0.0/8'] },
      },
    });
    assert.equal((await request(gateway, '/gen_token?key=user-key', { Host: 'tokens.internal' })).status, 403);
    assert.equal((await request(gateway, '/gen_token?key=user-key')).status, 404);
  });

  it('an address that no plugin serves is 404', async () => {
    await putRoute({ uri: '/gen_token', plugins: { 'public-api': { uri: '/apisix/admin/routes' } } });
    const response = await request(gateway, '/gen_token');
    assert.equal(response.status, 404);
  });
});
