import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ajv } from 'ajv';
import { resourceKinds } from '../resources/resource.ts';
import { startAdmin } from './admin.fixture.ts';

test('plugins are listed by priority, and described with their schemas', async (t) => {
  const admin = startAdmin(t);
  const names = (await admin.done('GET', '/plugins/list')).body as string[];
  assert.deepEqual(names, ['request-id', 'basic-auth', 'key-auth', 'consumer-restriction', 'prometheus']);
  const all = (await admin.done('GET', '/plugins?all=true')).body;
  assert.equal(all['key-auth'].priority, 2500);
  assert.equal(all['key-auth'].type, 'auth');
  assert.deepEqual((await admin.done('GET', '/plugins?all=true&subsystem=stream')).body, {});
  for (const path of ['/plugins/key-auth', '/schema/plugins/key-auth?subsystem=http']) {
    const { properties } = (await admin.done('GET', path)).body;
    assert.ok(properties.header);
    assert.ok(properties._meta);
  }
  assert.deepEqual((await admin.done('GET', '/schema/plugins/key-auth?schema_type=consumer')).body.required, ['key']);
  const missing = await admin.call('GET', '/plugins/nope');
  assert.deepEqual([missing.status, missing.body.error_msg], [404, 'plugin not found in subsystem http']);
  assert.equal((await admin.call('GET', '/plugins/key-auth?subsystem=x')).body.error_msg, 'invalid subsystem');
});

test('schemas are shown by the name of their kind', async (t) => {
  const admin = startAdmin(t);
  for (const name of [
    'route',
    'service',
    'upstream',
    'consumer',
    'consumer_group',
    'plugin_config',
    'global_rule',
    'ssl',
  ]) {
    assert.equal((await admin.done('GET', `/schema/${name}`)).body.type, 'object', name);
  }
  assert.equal((await admin.call('GET', '/schema/nope')).body.error_msg, 'not found schema: nope');
});

test('a resource is validated against its schema without being stored', async (t) => {
  const admin = startAdmin(t);
  const good = await admin.call('POST', '/schema/validate/routes', { uri: '/', plugins: {} });
  assert.deepEqual([good.status, good.body], [200, undefined]);
  const bad = await admin.call('POST', '/schema/validate/routes', { uri: 1, plugins: {} });
  assert.equal(bad.status, 400);
  assert.deepEqual(bad.body, {
    error_msg: 'property "uri" validation failed: wrong type: expected string, got number',
  });
  const unknown = await admin.call('POST', '/schema/validate/nope', {});
  assert.deepEqual([unknown.status, unknown.body.error_msg], [404, 'Unsupported resource type: nope']);
  assert.equal((await admin.done('GET', '/routes')).body.total, 0);
});

test('a whole configuration is validated, and every error is listed with its place', async (t) => {
  const admin = startAdmin(t);
  const good = {
    routes: [{ id: '1', uri: '/', plugins: { 'key-auth': {} } }],
    consumers: [{ username: 'jack' }, { id: 'jack/credentials/c', plugins: { 'key-auth': { key: 'k' } } }],
    plugin_metadata: [{ id: 'prometheus' }],
  };
  for (const path of ['/configs/validate', '/validate']) await admin.done('POST', path, good);
  const bad = await admin.call('POST', '/configs/validate', {
    routes: [good.routes[0], { id: '1', uri: '/', plugins: { nope: {} } }],
    consumers: [{ username: 1 }],
    upstreams: {},
  });
  assert.equal(bad.status, 400);
  assert.equal(bad.body.error_msg, 'Configuration validation failed');
  assert.deepEqual(bad.body.errors, [
    { resource_type: 'routes', index: 1, error: 'invalid routes at index 1, err: unknown plugin [nope]' },
    { resource_type: 'routes', index: 1, error: 'found duplicate id 1 in routes' },
    { resource_type: 'upstreams', error: 'wrong type: expected array, got table' },
    {
      resource_type: 'consumers',
      index: 0,
      error:
        'invalid consumers at index 0, err: invalid configuration: property "username" validation failed: wrong type: expected string, got number',
    },
  ]);
});

test('the OpenAPI document has every kind, and its references and schemas hold', async (t) => {
  const { body } = await startAdmin(t).done('GET', '/openapi.json');
  assert.equal(body.openapi, '3.1.0');
  for (const kind of resourceKinds) {
    assert.ok(
      Object.values(body.paths as Record<string, Record<string, { tags?: string[] }>>).some(
        (path) => path['put']?.tags?.[0] === kind,
      ),
      kind,
    );
  }
  assert.deepEqual(body.paths['/apisix/admin/consumers/{parent}/credentials/{id}'].put.tags, ['credentials']);
  assert.deepEqual(body.paths['/apisix/admin/consumers/{id}'].put.tags, ['consumers']);
  for (const [, name] of JSON.stringify(body).matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
    assert.ok(body.components.schemas[name ?? ''], `no schema ${String(name)}`);
  }
  const ajv = new Ajv({ strict: false });
  for (const name of ['route', 'consumer', 'ssl', 'secret']) ajv.compile(body.components.schemas[name] as object);
});
