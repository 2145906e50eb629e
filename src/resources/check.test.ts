import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigError } from '../errors/gateway-error.ts';
import { certificate, certificateKey, otherKey } from './certificate.fixture.ts';
import { checkResource } from './check.ts';
import { identify, refuseOwnId } from './identity.ts';
import { indexKeys, type CheckablePlugin, type PluginRegistry } from './plugin-check.ts';
import { checkReferences, referencesOf, stillInUse } from './references.ts';
import type { JsonObject, ResourceKind } from './resource.ts';
import { formatKey, parseKey } from './resource-key.ts';

const disposed: string[] = [];

const tokenAuth: CheckablePlugin = {
  name: 'token-auth',
  priority: 2500,
  type: 'auth',
  schema: { type: 'object', properties: { header: { type: 'string', default: 'token' } } },
  consumerSchema: {
    type: 'object',
    properties: { token: { type: 'string', pattern: '^t-' } },
    required: ['token'],
    encrypt_fields: ['token'],
  },
  credential: { compile: ({ token }: { token: string }) => ({ indexKey: `digest of ${token}` }) },
  compile: (config) => config,
};

const matcher: CheckablePlugin = {
  name: 'matcher',
  priority: 10,
  schema: { type: 'object', properties: { pattern: { type: 'string' } }, required: ['pattern'] },
  metadataSchema: { type: 'object', properties: { size: { type: 'integer' } } },
  compile({ pattern }: { pattern: string }) {
    if (pattern === '(') throw new ConfigError('pattern: missing )');
    return pattern;
  },
  dispose(pattern: string) {
    disposed.push(pattern);
  },
};

const plugins = new Map<string, CheckablePlugin>([
  ['token-auth', tokenAuth],
  ['matcher', matcher],
]);
const registry: PluginRegistry = { get: (name) => plugins.get(name), list: () => plugins.values() };

const nodes = { '127.0.0.1:80': 1 };
const refusals: [title: string, kind: ResourceKind, value: JsonObject, expected: string, name?: string][] = [
  [
    'a uri that is no string',
    'routes',
    { uri: 1, upstream: { nodes } },
    'invalid configuration: property "uri" validation failed: wrong type: expected string, got number',
  ],
  [
    'host and hosts',
    'routes',
    { uri: '/', host: 'a.com', hosts: ['a.com'], upstream: { nodes } },
    'only one of host or hosts is allowed',
  ],
  ['an unknown plugin', 'routes', { uri: '/', plugins: { 'public-api': {} } }, 'unknown plugin [public-api]'],
  [
    'a plugin whose configuration does not fit',
    'routes',
    { uri: '/', plugins: { matcher: {} } },
    'failed to check the configuration of plugin matcher err: property "pattern" is required',
  ],
  [
    'a plugin that does not compile',
    'services',
    { plugins: { matcher: { pattern: '(' } } },
    'failed to check the configuration of plugin matcher err: pattern: missing )',
  ],
  [
    'an unknown field of _meta',
    'global_rules',
    { plugins: { matcher: { pattern: 'a', _meta: { disabled: true } } } },
    'failed to check the configuration of plugin matcher err: property "_meta" validation failed: additional properties forbidden, found disabled',
  ],
  [
    'a plugin configuration that is no object',
    'routes',
    { uri: '/', plugins: { matcher: 'secret' } },
    'invalid plugin conf for plugin [matcher]: expected object, got string',
  ],
  [
    'vars that do not compile',
    'routes',
    { uri: '/', vars: ['uri'], plugins: {} },
    "failed to validate the 'vars' expression: rule should be wrapped inside brackets",
  ],
  [
    'a consumer without what its auth plugin needs',
    'consumers',
    { username: 'jack', plugins: { 'token-auth': {} } },
    'invalid plugins configuration: failed to check the configuration of plugin token-auth err: property "token" is required',
  ],
  [
    'a credential of a plugin that authenticates nobody',
    'credentials',
    { id: 'c', plugins: { matcher: { pattern: 'a' } } },
    'invalid plugins configuration: only supports auth type plugins in consumer credential',
  ],
  [
    'two plugins in a credential',
    'credentials',
    { id: 'c', plugins: { matcher: {}, 'token-auth': {} } },
    'invalid configuration: property "plugins" validation failed: expect object to have at most 1 properties',
  ],
  ['chash without key', 'upstreams', { nodes, type: 'chash' }, 'missing key'],
  [
    'chash by an unknown variable',
    'upstreams',
    { nodes, type: 'chash', key: 'nope' },
    'invalid configuration: failed to match pattern "^((uri|server_name|server_addr|request_uri|remote_port|remote_addr|query_string|host|hostname|mqtt_client_id)|arg_[0-9a-zA-z_-]+)$" with "nope"',
  ],
  [
    'rewrite without a host',
    'routes',
    { uri: '/', upstream: { nodes, pass_host: 'rewrite' } },
    "`upstream_host` can't be empty when `pass_host` is `rewrite`",
  ],
  ['a port out of range', 'upstreams', { nodes: { 'a:65536': 1 } }, 'invalid port 65536'],
  [
    'a node that is no address',
    'upstreams',
    { nodes: { 'http://a': 1 } },
    'invalid node [http://a]: expected host or host:port',
  ],
  [
    'Lua',
    'routes',
    { uri: '/', filter_func: 'function(vars) return true end', upstream: { nodes } },
    "'filter_func' is Lua, which this gateway does not run: use 'vars' or a plugin",
  ],
  ['metadata of an unknown plugin', 'plugin_metadata', {}, 'invalid plugin name', 'nope'],
  [
    'metadata that does not fit',
    'plugin_metadata',
    { size: 'x' },
    'invalid configuration: property "size" validation failed: wrong type: expected integer, got string',
    'matcher',
  ],
  ['an unknown secret manager', 'secrets', {}, 'invalid secret manager: nope', 'nope'],
  [
    'a certificate with another key',
    'ssls',
    { id: '1', sni: 'gatewright.test', cert: certificate, key: otherKey },
    'failed to validate key: it is not the key of cert',
  ],
];

for (const [title, kind, value, expected, name] of refusals) {
  test(`refused: ${title}`, () => {
    assert.equal(checkResource(kind, value, registry, name), expected);
  });
}

test('a secret that does not fit is not repeated', () => {
  const error = checkResource(
    'consumers',
    { username: 'jack', plugins: { 'token-auth': { token: 'hunter2' } } },
    registry,
  );
  assert.match(error ?? '', /failed to match pattern/);
  assert.doesNotMatch(error ?? '', /hunter2/);
});

test('what is accepted holds the defaults of its schema and of its plugins, and the trial state is disposed', () => {
  const route: JsonObject = {
    uri: '/',
    plugins: { 'token-auth': {}, matcher: { pattern: 'kept', _meta: { disable: true } } },
    upstream: { nodes: [{ host: '127.0.0.1', weight: 1 }] },
  };
  assert.equal(checkResource('routes', route, registry), undefined);
  assert.deepEqual(route['plugins'], {
    'token-auth': { header: 'token' },
    matcher: { pattern: 'kept', _meta: { disable: true } },
  });
  assert.deepEqual((route['upstream'] as JsonObject)['nodes'], [{ host: '127.0.0.1', weight: 1, priority: 0 }]);
  assert.deepEqual(disposed, ['kept']);
});

test('a certificate with its own key, and one kept elsewhere, are accepted', () => {
  const ssl = { id: '1', sni: 'gatewright.test' };
  assert.equal(checkResource('ssls', { ...ssl, cert: certificate, key: certificateKey }, registry), undefined);
  assert.equal(checkResource('ssls', { ...ssl, cert: certificate, key: '$env://KEY' }, registry), undefined);
});

test('the index key of a consumer is the one its plugin finds it by', () => {
  const value = { username: 'jack', plugins: { 'token-auth': { token: 't-1' }, matcher: { pattern: 'a' } } };
  assert.deepEqual(indexKeys('consumers', value, registry), [{ plugin: 'token-auth', indexKey: 'digest of t-1' }]);
  assert.deepEqual(indexKeys('routes', value, registry), []);
});

test('ids follow APISIX: path and body must agree, POST takes none, a consumer is named by its body', () => {
  const value: JsonObject = { uri: '/' };
  assert.deepEqual(identify('routes', '1', undefined, value), { key: { kind: 'routes', id: '1', parent: undefined } });
  assert.equal(value['id'], '1');
  assert.deepEqual(identify('routes', undefined, undefined, {}), { error: 'missing route id' });
  assert.deepEqual(identify('plugin_configs', '1', undefined, { id: 2 }), { error: 'wrong plugin config id' });
  assert.deepEqual(identify('routes', '1', undefined, { id: 1 }), {
    key: { kind: 'routes', id: '1', parent: undefined },
  });
  assert.deepEqual(identify('consumers', 'rose', undefined, { username: 'jack' }), { error: 'wrong username' });
  assert.deepEqual(identify('routes', '..', undefined, {}), { error: 'wrong route id' });
  assert.equal(refuseOwnId('routes', undefined, { id: '1' }), 'wrong route id, do not need it');
});

test('keys round-trip, and none of one kind is read as another', () => {
  for (const key of ['routes/1', 'consumers/jack', 'consumers/jack/credentials/c1', 'secrets/vault/1']) {
    const parsed = parseKey(key);
    assert.ok(parsed);
    assert.equal(formatKey(parsed), key);
  }
  for (const key of ['routes', 'routes/', 'routes/1/2', 'credentials/1', 'secrets/1', 'nope/1', 'consumers/a/b/c']) {
    assert.equal(parseKey(key), undefined, key);
  }
});

test('references name what is missing and who still uses it', async () => {
  const route: JsonObject = {
    service_id: 1,
    plugins: { 'traffic-split': { rules: [{ weighted_upstreams: [{ upstream_id: 'u' }, { weight: 1 }] }] } },
  };
  assert.deepEqual(referencesOf('routes', route), [
    { target: 'services/1', via: 'field' },
    { target: 'upstreams/u', via: 'plugin' },
  ]);
  assert.equal(
    await checkReferences('routes', route, () => false),
    'failed to fetch service info by service id [1], response code: 404',
  );
  assert.equal(
    await checkReferences('consumers', { group_id: 'g' }, () => false),
    'failed to fetch consumer group info by consumer group id [g], response code: 404',
  );
  assert.equal(await checkReferences('routes', route, () => true), undefined);
  const source = { kind: 'routes', id: '1', parent: undefined } as const;
  assert.equal(
    stillInUse({ kind: 'upstreams', id: 'u', parent: undefined }, source, 'field'),
    'can not delete this upstream, route [1] is still using it now',
  );
  assert.equal(
    stillInUse({ kind: 'services', id: 'u', parent: undefined }, source, 'field'),
    'can not delete this service directly, route [1] is still using it now',
  );
});
