import assert from 'node:assert/strict';
import { test } from 'node:test';
import { adminKey, startAdmin, viewerKey } from './admin.fixture.ts';

const denied = (description: string): unknown => ({ error_msg: 'failed to check token', description });

test('every route of the server, and a path that is none, answers 401 without a key (CVE-2021-45232)', async (t) => {
  const admin = startAdmin(t);
  const document = (await admin.done('GET', '/openapi.json')).body as { paths: Record<string, object> };
  const routes = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => ({ path: path.replaceAll(/\{\w+\}/g, 'x'), method: method.toUpperCase() })),
  );
  assert.ok(routes.length > 100, `${String(routes.length)} routes`);
  routes.push({ path: '/apisix/admin/nope', method: 'GET' }, { path: '/', method: 'GET' });
  for (const { path, method } of routes) {
    const answer = await admin.server.inject({ method: method as 'GET', url: path });
    assert.equal(answer.statusCode, 401, `${method} ${path}`);
    assert.deepEqual(answer.json(), denied('missing apikey'));
  }
});

test('a viewer gets no further than reading on any route of the server, and meets no secret there', async (t) => {
  const admin = startAdmin(t);
  const secret = 'a-secret-no-viewer-shall-see';
  await admin.done('PUT', '/consumers', { username: 'x', plugins: { 'key-auth': { key: secret } } });
  await admin.done('PUT', '/consumers/x/credentials/x', { plugins: { 'key-auth': { key: `${secret}-2` } } });
  await admin.done('PUT', '/secrets/vault/x', { uri: 'http://127.0.0.1:1', prefix: 'p', token: secret });
  await admin.done('PUT', '/secrets/vault/x', { uri: 'http://127.0.0.1:1', prefix: 'p', token: `${secret}-3` });
  const stored = await admin.store.list('');
  const document = (await admin.done('GET', '/openapi.json')).body as { paths: Record<string, object> };
  const seen = new Set<string>();
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const method of Object.keys(methods)) {
      const url = path
        .replace('{revision}', '1')
        .replace('/secrets/{parent}', '/secrets/vault')
        .replaceAll(/\{\w+\}/g, 'x');
      const call = { method: method.toUpperCase() as 'GET', url, headers: { 'x-api-key': viewerKey } };
      const answer = await admin.server.inject(call);
      assert.ok(!answer.body.includes(secret), `${method} ${url}`);
      seen.add(call.method);
      if (method === 'get') {
        assert.notEqual(answer.statusCode, 401, url);
        const asking = await admin.server.inject({ ...call, url: `${url}?show_secrets=true` });
        assert.ok(!asking.body.includes(secret), url);
      } else {
        assert.equal(answer.statusCode, 401, `${method} ${url}`);
        assert.deepEqual(answer.json(), denied('invalid method for role viewer'));
      }
    }
  }
  assert.deepEqual([...seen].toSorted(), ['DELETE', 'GET', 'PATCH', 'POST', 'PUT']);
  assert.deepEqual(await admin.store.list(''), stored);
});

test('the well-known key of APISIX is wrong unless it was configured (CVE-2020-13945)', async (t) => {
  const admin = startAdmin(t);
  const answer = await admin.call('GET', '/routes', undefined, { 'x-api-key': 'edd1c9f034335f136f87ad84b625c8f1' });
  assert.equal(answer.status, 401);
  assert.deepEqual(answer.body, denied('wrong apikey'));
});

test('no key in the settings opens nothing, and an empty one is none', async (t) => {
  for (const keys of [[], [{ name: 'admin', key: '', role: 'admin' as const }]]) {
    const admin = startAdmin(t, { keys });
    assert.equal((await admin.call('GET', '/routes', undefined, { 'x-api-key': '' })).status, 401);
  }
});

test('every one-character change of a key is refused', async (t) => {
  const admin = startAdmin(t);
  for (let i = 0; i < adminKey.length; i++) {
    const changed = adminKey.slice(0, i) + (adminKey[i] === '0' ? '1' : '0') + adminKey.slice(i + 1);
    assert.equal((await admin.call('GET', '/plugins/list', undefined, { 'x-api-key': changed })).status, 401);
  }
});

test('a viewer reads and does not write', async (t) => {
  const admin = startAdmin(t);
  const headers = { 'x-api-key': viewerKey };
  assert.equal((await admin.call('GET', '/routes', undefined, headers)).status, 200);
  for (const method of ['PUT', 'PATCH', 'DELETE']) {
    const answer = await admin.call(method, '/routes/1', undefined, headers);
    assert.equal(answer.status, 401);
    assert.deepEqual(answer.body, denied('invalid method for role viewer'));
  }
});

test('the key may come as an argument or a cookie, but not as a cookie that another site makes a browser send', async (t) => {
  const { server } = startAdmin(t);
  const status = async (url: string, headers: Record<string, string>): Promise<number> =>
    (await server.inject({ method: 'GET', url, headers })).statusCode;
  assert.equal(await status(`/apisix/admin/routes?api_key=${adminKey}`, {}), 200);
  const cookie = `a=b; x_api_key=${adminKey}`;
  assert.equal(await status('/apisix/admin/routes', { cookie }), 200);
  assert.equal(await status('/apisix/admin/routes', { cookie, 'sec-fetch-site': 'same-origin' }), 200);
  assert.equal(await status('/apisix/admin/routes', { cookie, 'sec-fetch-site': 'cross-site' }), 401);
});

test('an address outside allow_admin is refused before the key is looked at', async (t) => {
  const admin = startAdmin(t, { allowAdmin: ['10.0.0.0/8'] });
  const answer = await admin.call('GET', '/routes');
  assert.equal(answer.status, 403);
  assert.deepEqual(answer.body, { error_msg: '403 Forbidden' });
});

test('without admin_key_required no key is asked for', async (t) => {
  const { server } = startAdmin(t, { keyRequired: false });
  assert.equal((await server.inject({ method: 'GET', url: '/apisix/admin/routes' })).statusCode, 200);
});

test('neither a key nor a query reaches the log', async (t) => {
  const admin = startAdmin(t);
  await admin.server.inject({ method: 'GET', url: '/apisix/admin/routes?api_key=hunter2' });
  assert.equal(admin.logged.length, 1);
  assert.doesNotMatch(admin.logged.join('\n'), /hunter2/);
});

test('a preflight is answered only where CORS is on, and never allows cookies', async (t) => {
  const preflight = { method: 'OPTIONS', url: '/apisix/admin/routes' } as const;
  assert.equal((await startAdmin(t).server.inject(preflight)).statusCode, 401);
  const answer = await startAdmin(t, { cors: true }).server.inject(preflight);
  assert.equal(answer.statusCode, 204);
  assert.equal(answer.headers['access-control-allow-origin'], '*');
  assert.equal(answer.headers['access-control-allow-credentials'], undefined);
});
