/** References to secrets, through a real gateway and a server that answers as Vault does. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startManager } from '../../src/secrets/manager.fixture.ts';
import { startGateway } from '../gateway.ts';
import { request } from '../request.ts';
import { put as putResource } from '../resources.ts';
import { startUpstream } from '../upstream.ts';

test('a consumer key from the environment and one from Vault authenticate; what nothing resolves fails closed', async (t) => {
  const manager = await startManager(t);
  manager.kv1.set('apisix/jack', { 'auth-key': 'key-of-jack', header: 'seen' });
  await using upstream = await startUpstream((_, response) => response.end('ok'));
  await using gateway = await startGateway({ env: { ANN_KEY: 'key-of-ann', EMPTY_KEY: '' } });
  const put = (path: string, body: object): Promise<void> => putResource(gateway, path, body);
  const upstreamConfig = { type: 'roundrobin', nodes: { [upstream.node]: 1 } };
  await put('/secrets/vault/1', { uri: manager.url, prefix: 'apisix', token: manager.token });
  await put('/consumers', { username: 'jack', plugins: { 'key-auth': { key: '$secret://vault/1/jack/auth-key' } } });
  await put('/consumers', { username: 'ann', plugins: { 'key-auth': { key: '$ENV://ANN_KEY' } } });
  await put('/consumers', { username: 'bob', plugins: { 'key-auth': { key: '$env://NOBODY_SET_THIS' } } });
  await put('/consumers', { username: 'eve', plugins: { 'key-auth': { key: '$env://EMPTY_KEY' } } });
  await put('/routes/1', { uri: '/1', plugins: { 'key-auth': {} }, upstream: upstreamConfig });
  const rewrite = (value: string): object => ({ 'proxy-rewrite': { headers: { set: { 'X-Secret': value } } } });
  await put('/routes/2', {
    uri: '/2',
    plugins: rewrite('$secret://vault/1/jack/header'),
    upstream: upstreamConfig,
  });
  await put('/routes/3', {
    uri: '/3',
    plugins: rewrite('$secret://vault/1/jack/nothing'),
    upstream: upstreamConfig,
  });
  const withKey = (apikey: string): Promise<{ status: number }> => request(gateway, '/1', { apikey });

  assert.equal((await withKey('key-of-jack')).status, 200);
  assert.equal(upstream.requests.at(-1)?.headers['x-consumer-username'], 'jack');
  assert.equal((await withKey('key-of-ann')).status, 200);
  for (const wrong of [
    '$env://NOBODY_SET_THIS',
    '$ENV://ANN_KEY',
    '$secret://vault/1/jack/auth-key',
    '',
    '$env://EMPTY_KEY',
  ])
    assert.equal((await withKey(wrong)).status, 401, wrong);

  assert.equal((await request(gateway, '/2')).status, 200);
  assert.equal(upstream.requests.at(-1)?.headers['x-secret'], 'seen');
  const served = upstream.requests.length;
  assert.equal((await request(gateway, '/3')).status, 503);
  assert.equal(upstream.requests.length, served);

  // What is stored and shown is the reference.
  const shown = await gateway.admin('GET', '/consumers/jack');
  assert.match(JSON.stringify(shown.body), /\$secret:\/\/vault\/1\/jack\/auth-key/);
  const output = gateway.output();
  assert.equal(output.match(/cannot be resolved.*NOBODY_SET_THIS/g)?.length, 1, output);
  for (const secret of ['key-of-jack', 'key-of-ann', manager.token]) assert.ok(!output.includes(secret), secret);

  // The manager is away: what was read goes on, also through a restart of the configuration of others.
  manager.broken = 503;
  await put('/consumers', { username: 'new', plugins: { 'key-auth': { key: 'plain' } } });
  assert.equal((await withKey('key-of-jack')).status, 200);
  assert.equal((await withKey('plain')).status, 200);
  manager.broken = undefined;

  // Another manager configuration brings other values to who referred to it already.
  manager.kv1.set('other/jack', { 'auth-key': 'second-key', header: 'second' });
  await put('/secrets/vault/1', { uri: manager.url, prefix: 'other', token: manager.token });
  const deadline = performance.now() + 5000;
  while ((await withKey('second-key')).status !== 200)
    assert.ok(performance.now() < deadline, 'the new value never came');
  assert.equal((await withKey('key-of-jack')).status, 401);
});
