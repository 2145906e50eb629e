import assert from 'node:assert/strict';
import { test } from 'node:test';
import { certificate, certificateKey } from '../resources/certificate.fixture.ts';
import { startAdmin } from './admin.fixture.ts';

const upstream = { type: 'roundrobin', nodes: { '127.0.0.1:1980': 1 } };
const route = { uri: '/index.html', upstream };

test('a route is created, read, changed and deleted with the answers of APISIX v3', async (t) => {
  const admin = startAdmin(t);
  const created = await admin.call('PUT', '/routes/1', route);
  assert.equal(created.status, 201);
  assert.equal(created.body.key, '/apisix/routes/1');
  const { create_time, update_time, ...value } = created.body.value;
  assert.ok(Math.abs(create_time - Date.now() / 1000) < 5);
  assert.equal(update_time, create_time);
  assert.deepEqual(value, {
    uri: '/index.html',
    upstream: { ...upstream, hash_on: 'vars', scheme: 'http', pass_host: 'pass' },
    id: '1',
    priority: 0,
    status: 1,
  });
  assert.equal(created.body.createdIndex, created.body.modifiedIndex);

  const read = await admin.call('GET', '/routes/1');
  assert.equal(read.status, 200);
  assert.deepEqual(read.body, created.body);
  assert.equal(read.headers['etag'], `"${String(created.body.modifiedIndex)}"`);

  const changed = await admin.call('PUT', '/routes/1', { ...route, uri: '/b', create_time: 5, update_time: 5 });
  assert.equal(changed.status, 200);
  assert.equal(changed.body.value.uri, '/b');
  assert.equal(changed.body.value.create_time, create_time);
  assert.notEqual(changed.body.value.update_time, 5);
  assert.equal(changed.body.createdIndex, created.body.createdIndex);

  const gone = await admin.call('DELETE', '/routes/1');
  assert.equal(gone.status, 200);
  assert.deepEqual(gone.body, { key: '/apisix/routes/1', deleted: '1' });
  for (const method of ['GET', 'DELETE']) {
    const answer = await admin.call(method, '/routes/1');
    assert.equal(answer.status, 404);
    assert.deepEqual(answer.body, { message: 'Key not found' });
  }
});

test('mission 1: consumers are named by their body, and a plugin that is not enabled is refused by name', async (t) => {
  const admin = startAdmin(t);
  const consumer = (username: string, login: string): object => ({
    username,
    plugins: { 'basic-auth': { username: login, password: '123456' } },
  });
  const created = await admin.done('PUT', '/consumers', consumer('jack1', 'jack2019'));
  assert.equal(created.status, 201);
  assert.equal(created.body.key, '/apisix/consumers/jack1');
  await admin.done('PUT', '/consumers', consumer('jack2', 'jack2020'));
  assert.equal((await admin.done('GET', '/consumers')).body.total, 2);
  await admin.done('PUT', '/routes/1', {
    uri: '/index.html',
    upstream,
    plugins: { 'basic-auth': {}, 'consumer-restriction': { whitelist: ['jack1'] } },
  });
  const unknown = await admin.call('PUT', '/routes/jas', { uri: '/a', plugins: { 'public-api': {} } });
  assert.equal(unknown.status, 400);
  assert.deepEqual(unknown.body, { error_msg: 'unknown plugin [public-api]' });
});

test('a path that cannot be decoded answers 400 without repeating it', async (t) => {
  const answer = await startAdmin(t).call('GET', '/routes/%zz?api_key=hunter2');
  assert.deepEqual([answer.status, answer.body], [400, { error_msg: 'invalid path' }]);
});

test('POST makes the id, and takes none', async (t) => {
  const admin = startAdmin(t);
  const first = await admin.call('POST', '/routes', route);
  const second = await admin.call('POST', '/routes', route);
  assert.equal(first.status, 201);
  assert.match(first.body.value.id, /^\d{20}$/);
  assert.notEqual(first.body.value.id, second.body.value.id);
  assert.equal(first.body.key, `/apisix/routes/${String(first.body.value.id)}`);
  const own = await admin.call('POST', '/routes', { ...route, id: '1' });
  assert.deepEqual([own.status, own.body.error_msg], [400, 'wrong route id, do not need it']);
});

const refusals: [method: string, path: string, body: unknown, status: number, message: string][] = [
  ['PUT', '/routes/1', undefined, 400, 'missing configurations'],
  ['PUT', '/routes/1', [1], 400, 'invalid configuration: wrong type: expected object, got table'],
  ['PUT', '/routes', route, 400, 'missing route id'],
  ['PUT', '/routes/1', { ...route, id: '2' }, 400, 'wrong route id'],
  ['PUT', '/consumers/rose', { username: 'jack' }, 400, 'wrong username'],
  [
    'PUT',
    '/routes/1',
    { ...route, service_id: 'x' },
    400,
    'failed to fetch service info by service id [x], response code: 404',
  ],
  ['PUT', '/consumers/nobody/credentials/c', { plugins: { 'key-auth': { key: 'k' } } }, 404, 'consumer not found'],
  ['POST', '/consumers', { username: 'jack' }, 405, 'not supported `POST` method for consumer'],
  ['POST', '/plugin_configs', { plugins: {} }, 405, 'not supported `POST` method for plugin config'],
  ['PATCH', '/routes', { uri: '/' }, 400, 'missing route id'],
  ['DELETE', '/routes', undefined, 400, 'missing route id'],
  ['PUT', '/routes/1?ttl=5', route, 400, 'the argument ttl is not supported'],
  ['GET', '/nope/1', undefined, 404, 'Unsupported resource type: nope'],
];
for (const [method, path, body, status, message] of refusals) {
  test(`refused: ${method} ${path}: ${message}`, async (t) => {
    const answer = await startAdmin(t).call(method, path, body);
    assert.deepEqual([answer.status, answer.body], [status, { error_msg: message }]);
  });
}

test('an id that is none is refused, also percent-encoded', async (t) => {
  const admin = startAdmin(t);
  assert.match(
    (await admin.call('PUT', '/routes/a%2Fb', route)).body.error_msg,
    /^invalid configuration: property "id"/,
  );
  assert.equal((await admin.call('PUT', `/routes/${'x'.repeat(65)}`, route)).status, 400);
  await admin.done('PUT', '/consumers', { username: 'jack' });
  await admin.done('PUT', '/consumers/jack/credentials/c1', { plugins: { 'key-auth': { key: 'k' } } });
  for (const method of ['GET', 'DELETE']) {
    assert.equal((await admin.call(method, '/consumers/jack%2Fcredentials%2Fc1')).status, 404);
  }
});

test('PATCH merges the whole and sets a sub-path, and its result is checked', async (t) => {
  const admin = startAdmin(t);
  await admin.done('PUT', '/routes/1', { ...route, desc: 'x' });
  const merged = await admin.call('PATCH', '/routes/1', { desc: null, methods: ['GET'] });
  assert.equal(merged.status, 200);
  assert.equal(merged.body.value.desc, undefined);
  assert.deepEqual(merged.body.value.methods, ['GET']);
  assert.equal(merged.body.value.uri, '/index.html');
  await admin.done('PATCH', '/routes/1/methods', ['POST']);
  const nodes = { '127.0.0.1:1981': 2 };
  const sub = await admin.done('PATCH', '/routes/1/upstream/nodes', nodes);
  assert.deepEqual(sub.body.value.upstream.nodes, nodes);
  const wrong = await admin.call('PATCH', '/routes/1/status', 7);
  assert.deepEqual(
    [wrong.status, wrong.body.error_msg],
    [400, 'invalid configuration: property "status" validation failed: matches none of the enum values'],
  );
  assert.equal((await admin.call('PATCH', '/routes/2', { desc: 'x' })).status, 404);
  assert.equal((await admin.call('PATCH', '/routes/1', { id: '9' })).status, 400);
  assert.deepEqual((await admin.done('GET', '/routes/1')).body.value.methods, ['POST']);
});

test('a list has the total, pages from 10 to 500 in order of creation, and filters', async (t) => {
  const admin = startAdmin(t);
  assert.deepEqual((await admin.done('GET', '/routes')).body, { total: 0, list: [] });
  for (let i = 24; i >= 1; i--) {
    await admin.done('PUT', `/routes/${String(i)}`, {
      ...route,
      name: i % 2 ? `odd-${String(i)}` : 'even',
      labels: i > 20 ? { team: 'a' } : {},
      ...(i === 3 ? { uris: ['/x', '/special'], uri: undefined } : {}),
    });
  }
  const page = (await admin.done('GET', '/routes?page=3&page_size=10')).body;
  assert.equal(page.total, 24);
  assert.deepEqual(
    (page.list as { value: { id: string } }[]).map((entry) => entry.value.id),
    ['4', '3', '2', '1'],
  );
  for (const size of [9, 501]) {
    const answer = await admin.call('GET', `/routes?page=1&page_size=${String(size)}`);
    assert.deepEqual([answer.status, answer.body.error_msg], [400, 'page_size must be between 10 and 500']);
  }
  assert.equal((await admin.done('GET', '/routes?name=odd')).body.total, 12);
  assert.equal((await admin.done('GET', '/routes?label=team')).body.total, 4);
  assert.equal((await admin.done('GET', '/routes?uri=special')).body.total, 1);
  assert.equal((await admin.done('GET', '/routes?name=even&label=team')).body.total, 2);
  assert.equal((await admin.call('GET', '/routes?name=(')).status, 400);
});

test('what is in use is not deleted, except by force', async (t) => {
  const admin = startAdmin(t);
  await admin.done('PUT', '/upstreams/u', upstream);
  await admin.done('PUT', '/services/s', { upstream_id: 'u' });
  await admin.done('PUT', '/plugin_configs/p', { plugins: {} });
  await admin.done('PUT', '/consumer_groups/g', { plugins: {} });
  await admin.done('PUT', '/routes/1', { uri: '/', service_id: 's', plugin_config_id: 'p' });
  await admin.done('PUT', '/consumers', { username: 'jack', group_id: 'g' });
  const expected: [string, string][] = [
    ['/upstreams/u', 'can not delete this upstream, service [s] is still using it now'],
    ['/services/s', 'can not delete this service directly, route [1] is still using it now'],
    ['/plugin_configs/p', 'can not delete this plugin config, route [1] is still using it now'],
    ['/consumer_groups/g', 'can not delete this consumer group, consumer [jack] is still using it now'],
  ];
  for (const [path, message] of expected) {
    const answer = await admin.call('DELETE', path);
    assert.deepEqual([answer.status, answer.body], [400, { error_msg: message }]);
  }
  await admin.done('DELETE', '/services/s?force=true');
  await admin.done('DELETE', '/upstreams/u');
  await admin.done('DELETE', '/routes/1');
  await admin.done('DELETE', '/plugin_configs/p');
});

test('If-Match guards every change, and a mismatch answers 412 and changes nothing', async (t) => {
  const admin = startAdmin(t);
  assert.equal((await admin.call('PUT', '/routes/1', route, { 'if-match': '*' })).status, 412);
  const first = await admin.done('PUT', '/routes/1', route);
  const tag = String(first.headers['etag']);
  await admin.done('PUT', '/routes/1', { ...route, desc: 'second' }, { 'if-match': tag });
  for (const [method, body] of [
    ['PUT', route],
    ['PATCH', { desc: 'x' }],
    ['DELETE', undefined],
  ] as const) {
    const answer = await admin.call(method, '/routes/1', body, { 'if-match': tag });
    assert.equal(answer.status, 412);
    assert.match(answer.body.error_msg, /If-Match/);
  }
  const now = await admin.done('GET', '/routes/1');
  assert.equal(now.body.value.desc, 'second');
  await admin.done('DELETE', '/routes/1', undefined, { 'if-match': String(now.body.modifiedIndex) });
});

test('a credential has one owner, also under concurrent writes (apisix#13529)', async (t) => {
  const admin = startAdmin(t, {}, true);
  const plugins = { 'key-auth': { key: 'the-key' } };
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, i) => admin.call('PUT', '/consumers', { username: `c${String(i)}`, plugins })),
  );
  const winners = answers.filter(({ status }) => status === 201);
  assert.equal(winners.length, 1);
  const owner = String(winners[0]?.body.value.username);
  for (const { status, body } of answers) {
    if (status !== 201) assert.deepEqual(body, { error_msg: `duplicate key found with consumer: ${owner}` });
  }
  // The owner may be written again; its key is free once it is gone, or has another.
  await admin.done('PUT', '/consumers', { username: owner, desc: 'again', plugins });
  await admin.done('PUT', '/consumers', { username: 'other', plugins: { 'key-auth': { key: 'another' } } });
  const credential = await admin.call('PUT', '/consumers/other/credentials/c', { plugins });
  assert.deepEqual(
    [credential.status, credential.body.error_msg],
    [400, `duplicate key found with consumer: ${owner}`],
  );
  await admin.done('DELETE', `/consumers/${owner}`);
  await admin.done('PUT', '/consumers/other/credentials/c', { plugins });
});

test('credentials stand under their consumer, not among consumers, and go with it', async (t) => {
  const admin = startAdmin(t);
  await admin.done('PUT', '/consumers', { username: 'jack' });
  const created = await admin.done('PUT', '/consumers/jack/credentials/c1', { plugins: { 'key-auth': { key: 'k1' } } });
  assert.equal(created.body.key, '/apisix/consumers/jack/credentials/c1');
  assert.equal(created.body.value.id, 'c1');
  assert.equal((await admin.done('GET', '/consumers')).body.total, 1);
  assert.equal((await admin.done('GET', '/consumers/jack/credentials')).body.total, 1);
  assert.equal(
    (await admin.done('GET', '/consumers/jack/credentials/c1')).body.value.plugins['key-auth'].key,
    '********',
  );
  await admin.done('DELETE', '/consumers/jack');
  assert.equal((await admin.call('GET', '/consumers/jack/credentials/c1')).status, 404);
});

test('a resource that is already in the store when the server starts is known to it', async (t) => {
  const admin = startAdmin(t);
  await admin.store.commit([
    { type: 'put', key: 'upstreams/old', value: JSON.stringify(upstream) },
    { type: 'put', key: 'consumers/old', value: '{"username":"old","plugins":{"key-auth":{"key":"k"}}}' },
    { type: 'put', key: 'routes/broken', value: 'not JSON' },
  ]);
  await admin.done('PUT', '/routes/1', { uri: '/', upstream_id: 'old' });
  assert.equal((await admin.call('DELETE', '/upstreams/old')).status, 400);
  const second = await admin.call('PUT', '/consumers', { username: 'new', plugins: { 'key-auth': { key: 'k' } } });
  assert.equal(second.body.error_msg, 'duplicate key found with consumer: old');
  // And what someone else commits later is, too.
  await admin.store.commit([{ type: 'delete', key: 'consumers/old' }]);
  await admin.done('PUT', '/consumers', { username: 'new', plugins: { 'key-auth': { key: 'k' } } });
});

test('a write is answered after the workers serve it', async (t) => {
  let serve = (): void => undefined;
  const served = new Promise<void>((resolve) => {
    serve = resolve;
  });
  const order: string[] = [];
  let tell = (): void => undefined;
  const committed = new Promise<void>((resolve) => {
    tell = resolve;
  });
  const admin = startAdmin(t, {
    publish: async () => {
      tell();
      await served;
      order.push('served');
    },
  });
  const answered = admin.done('PUT', '/routes/1', route).then(() => order.push('answered'));
  await committed;
  // It is durable by then, and others read it while the workers compile.
  assert.ok(await admin.store.get('routes/1'));
  serve();
  await answered;
  assert.deepEqual(order, ['served', 'answered']);
});

test('a write that a worker cannot serve answers 500, says why, and stays stored', async (t) => {
  const admin = startAdmin(t, { publish: () => Promise.reject(new Error('worker 2: route#1: no')) });
  const answer = await admin.call('PUT', '/routes/1', route);
  assert.equal(answer.status, 500);
  assert.deepEqual(answer.body, {
    error_msg: 'the change is stored (revision 1), but not every worker serves it: worker 2: route#1: no',
  });
  assert.ok(await admin.store.get('routes/1'));
});

test('the private key of a certificate is stored and never shown', async (t) => {
  const admin = startAdmin(t);
  const ssl = { sni: 'gatewright.test', cert: certificate, key: certificateKey };
  const answers = [
    await admin.done('PUT', '/ssls/1', ssl),
    await admin.done('GET', '/ssls/1'),
    await admin.done('GET', '/ssls'),
    await admin.done('PATCH', '/ssls/1', { status: 0 }),
  ];
  for (const { body } of answers) assert.doesNotMatch(JSON.stringify(body), /PRIVATE KEY/);
  assert.match((await admin.store.get('ssls/1'))?.value ?? '', /PRIVATE KEY/);
});

test('secrets are kept by manager, metadata by plugin, protos by id', async (t) => {
  const admin = startAdmin(t);
  const vault = { uri: 'http://127.0.0.1:8200', prefix: 'kv', token: 'hunter2' };
  const created = await admin.done('PUT', '/secrets/vault/1', vault);
  assert.deepEqual([created.body.key, created.body.value.id], ['/apisix/secrets/vault/1', 'vault/1']);
  assert.equal((await admin.done('GET', '/secrets')).body.total, 1);
  assert.equal((await admin.done('PATCH', '/secrets/vault/1/prefix', '"kv2"')).body.value.prefix, 'kv2');
  assert.equal((await admin.call('PUT', '/secrets/nope/1', vault)).body.error_msg, 'invalid secret manager: nope');
  await admin.done('PUT', '/plugin_metadata/prometheus', {});
  assert.equal((await admin.call('PUT', '/plugin_metadata/nope', {})).body.error_msg, 'invalid plugin name');
  await admin.done('PUT', '/protos/1', { content: 'syntax = "proto3";' });
  await admin.done('PUT', '/global_rules/1', { plugins: { 'request-id': {} } });
});

test('a failed write leaves the next one working', async (t) => {
  const admin = startAdmin(t);
  await admin.call('PUT', '/routes/1', { uri: 1 });
  await admin.done('PUT', '/routes/1', route);
  assert.deepEqual(admin.published, [1]);
});
