/** opa with a real Open Policy Agent. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Gateway, startGateway } from '../gateway.ts';
import { request, type TextResponse } from '../request.ts';
import { startOpa, type TestOpa } from '../services/opa.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';

/** JSON that an assertion looks into. */
type Parsed = ReturnType<typeof JSON.parse>;

describe('opa', { timeout: 300_000 }, () => {
  let gateway: Gateway;
  let upstream: TestUpstream;
  let opa: TestOpa;
  before(async () => {
    [opa, upstream, gateway] = await Promise.all([startOpa(), startUpstream(), startGateway()]);
    await opa.policy('methods', 'package methods\ndefault allow := false\nallow if input.request.method == "GET"');
    await opa.policy(
      'words',
      `package words
       default allow := false
       allow if input.request.headers.token == "good"
       reason := {"why": "no token"} if not allow
       status_code := 302 if not allow
       headers := {"Location": "/login"} if not allow
       headers := {"X-Who": "jack", "X-Other": "x"} if allow`,
    );
    await opa.policy('echo', 'package echo\nallow := false\nreason := input');
    await opa.policy('deep', 'package deep.down\nanswer := {"allow": input.request.query.q == ["1", "2"]}');
    await opa.policy('time', 'package time_policy\nallow := false\nreason := sprintf("%d", [time.now_ns()])');
    await gateway.admin('PUT', '/consumers', {
      username: 'jack',
      labels: { team: 'a' },
      plugins: { 'key-auth': { key: 'jack-key' } },
    });
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
    await opa[Symbol.asyncDispose]();
  });

  let routes = 0;
  async function route(config: object, plugins: object = {}): Promise<string> {
    const id = `r${String(++routes)}`;
    const { status, body } = await gateway.admin('PUT', `/routes/${id}`, {
      uri: `/${id}/*`,
      name: 'named',
      plugins: { opa: { host: opa.url, ...config }, ...plugins },
      upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } },
    });
    assert.ok(status < 300, JSON.stringify(body));
    return `/${id}/a`;
  }
  const get = (
    path: string,
    headers: Record<string, string | string[]> = {},
    options: { method?: string; body?: string } = {},
  ): Promise<TextResponse> => request(gateway, path, headers, options);
  const input = async (path: string, headers: Record<string, string | string[]> = {}, body?: string): Promise<Parsed> =>
    JSON.parse((await get(path, headers, body === undefined ? {} : { method: 'POST', body })).body);

  it('lets a request pass that the policy allows, and no other', async () => {
    const path = await route({ policy: 'methods' });
    assert.equal((await get(path)).status, 200);
    assert.equal((await get(path, {}, { method: 'POST' })).status, 403);
  });

  it('takes nothing for a yes but true', async () => {
    for (const [index, allow] of ['"true"', '1', '{"a": true}', 'null'].entries()) {
      await opa.policy(`yes${String(index)}`, `package yes${String(index)}\nallow := ${allow}`);
      assert.equal((await get(await route({ policy: `yes${String(index)}` }))).status, 403, allow);
    }
    for (const answer of ['"true"', '[true]', '1']) {
      await opa.policy('whole', `package whole\nanswer := ${answer}`);
      assert.equal((await get(await route({ policy: 'whole/answer' }))).status, 503, answer);
    }
  });

  it('takes a rule that is true or false itself, and one deep in a package', async () => {
    const path = await route({ policy: 'methods/allow' });
    assert.equal((await get(path)).status, 200);
    assert.equal((await get(path, {}, { method: 'POST' })).status, 403);
    const deep = await route({ policy: 'deep/down/answer' });
    assert.equal((await get(`${deep}?q=1&q=2`)).status, 200);
    assert.equal((await get(`${deep}?q=1`)).status, 403);
  });

  it("answers with the policy's own status, headers and reason", async () => {
    const path = await route({ policy: 'words', send_headers_upstream: ['X-Who'] });
    const refused = await get(path);
    assert.equal(refused.status, 302);
    assert.equal(refused.headers['location'], '/login');
    assert.deepEqual(JSON.parse(refused.body), { why: 'no token' });
    assert.equal(
      (await get(path, { token: 'good', 'X-Who': 'forged', X_Who: 'forged', 'X-Other': 'mine' })).status,
      200,
    );
    const headers: Parsed = upstream.requests.at(-1)?.headers;
    assert.equal(headers['x-who'], 'jack');
    assert.equal(headers.x_who, undefined);
    assert.equal(headers['x-other'], 'mine');
    // Of what is listed, a client sends nothing upstream.
    await opa.policy('silent', 'package silent\nallow := true');
    await get(await route({ policy: 'silent', send_headers_upstream: ['X-Who'] }), { 'X-Who': 'forged' });
    assert.equal(upstream.requests.at(-1)?.headers['x-who'], undefined);
  });

  it("tells the policy the request in APISIX's shape", async () => {
    const path = await route({ policy: 'echo' });
    const told = await input(`${path}?a=1&b=2&b=3&flag`, { Host: 'shop.example', 'X-Two': ['1', '2'] });
    assert.equal(told.type, 'http');
    const { headers, ...rest } = told.request;
    assert.deepEqual(rest, {
      scheme: 'http',
      path,
      query: { a: '1', b: ['2', '3'], flag: true },
      port: gateway.ports.data,
      method: 'GET',
      host: 'shop.example',
    });
    assert.deepEqual(headers['x-two'], ['1', '2']);
    assert.equal(headers.host, 'shop.example');
    assert.equal(told.var.remote_addr, '127.0.0.1');
    assert.equal(told.var.server_port, String(gateway.ports.data));
    assert.ok(Math.abs(told.var.timestamp - Date.now() / 1000) < 60);
    for (const absent of ['route', 'service', 'consumer']) assert.equal(told[absent], undefined);
  });

  it('tells the policy route, consumer and body where it is to, and no key', async () => {
    const path = await route(
      { policy: 'echo', with_route: true, with_consumer: true, with_body: true },
      { 'key-auth': {} },
    );
    const told = await input(path, { apikey: 'jack-key' }, 'the body');
    assert.equal(told.route.name, 'named');
    assert.deepEqual(told.consumer, { username: 'jack', labels: { team: 'a' } });
    assert.equal(told.request.body, 'the body');
    const large = await get(
      await route({ policy: 'echo', with_body: true, max_body_size: 3 }),
      {},
      { method: 'POST', body: 'four' },
    );
    assert.equal(large.status, 413);
  });

  it('refuses with 503 where OPA has no such policy, fails, or is not there', async () => {
    assert.equal((await get(await route({ policy: 'no/such' }))).status, 503);
    assert.equal((await get(await route({ policy: 'methods', host: 'http://127.0.0.1:1' }))).status, 503);
    // An upstream that is no OPA.
    assert.equal((await get(await route({ policy: 'methods', host: `http://${upstream.node}` }))).status, 503);
  });

  it('keeps a verdict by what OPA was sent, but for the time', async () => {
    const path = await route({ policy: 'time_policy', cache: { ttl: 60 } });
    const first = (await get(path, { Token: 'a' })).body;
    assert.equal((await get(path, { Token: 'a' })).body, first);
    for (const [target, headers] of [
      [path, { Token: 'b' }],
      [path, { Token: ['a', 'a'] }],
      [`${path}?x=1`, { Token: 'a' }],
      [`${path}b`, { Token: 'a' }],
    ] as const)
      assert.notEqual((await get(target, headers as Record<string, string | string[]>)).body, first);
    assert.notEqual((await get(path, { Token: 'a' }, { method: 'DELETE' })).body, first);
    const reading = await route({ policy: 'time_policy', with_body: true, cache: { ttl: 60 } });
    const post = async (body: string): Promise<string> => (await get(reading, {}, { method: 'POST', body })).body;
    const one = await post('one');
    assert.equal(await post('one'), one);
    assert.notEqual(await post('two'), one);
  });

  it('keeps a verdict by the headers that are listed, and tells OPA no others', async () => {
    const path = await route({ policy: 'echo', cache: { ttl: 60, headers: ['Token'] } });
    assert.deepEqual((await input(path, { Token: 'a', 'X-Request-Id': '1' })).request.headers, { token: 'a' });
    const timed = await route({ policy: 'time_policy', cache: { ttl: 60, headers: ['Token'] } });
    const first = (await get(timed, { Token: 'a', 'X-Request-Id': '1' })).body;
    assert.equal((await get(timed, { Token: 'a', 'X-Request-Id': '2' })).body, first);
  });

  it('is a member of multi-auth, and its refusal is one of several', async () => {
    const id = `r${String(++routes)}`;
    const { status } = await gateway.admin('PUT', `/routes/${id}`, {
      uri: `/${id}/*`,
      plugins: { 'multi-auth': { auth_plugins: [{ 'key-auth': {} }, { opa: { host: opa.url, policy: 'methods' } }] } },
      upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } },
    });
    assert.equal(status, 201);
    assert.equal((await get(`/${id}/a`)).status, 200);
    assert.equal((await get(`/${id}/a`, { apikey: 'jack-key' }, { method: 'POST' })).status, 200);
    assert.equal((await get(`/${id}/a`, {}, { method: 'POST' })).status, 401);
  });

  it('refuses bad configuration when it is written', async () => {
    for (const [field, config] of [
      ['policy', { policy: '../policies' }],
      ['policy', {}],
      ['host', { policy: 'a', host: 'opa:8181' }],
      ['send_headers_upstream', { policy: 'a', send_headers_upstream: ['Host'] }],
    ] as const) {
      const { status, body } = await gateway.admin('PUT', '/routes/bad', {
        uri: '/bad',
        plugins: { opa: { host: opa.url, ...config } },
        upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } },
      });
      assert.equal(status, 400);
      assert.match(String(body['error_msg']), new RegExp(field));
    }
  });
});
