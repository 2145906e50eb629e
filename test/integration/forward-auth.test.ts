/** forward-auth with an authorisation service that is a process of its own: asked, killed, stopped, believed and remembered. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Gateway, startGateway } from '../gateway.ts';
import { request, type TextResponse } from '../request.ts';
import { type Asked, type Authoriser, startAuthoriser } from '../services/authoriser.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';

describe('forward-auth', () => {
  let gateway: Gateway;
  let upstream: TestUpstream;
  let authoriser: Authoriser;
  let routes = 0;
  before(async () => {
    upstream = await startUpstream();
    authoriser = await startAuthoriser();
    gateway = await startGateway();
    await gateway.admin('PUT', '/consumers', { username: 'jack', plugins: { 'key-auth': { key: 'jack-key' } } });
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await authoriser[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
  });

  /** A route of its own; returns its path. */
  async function route(config: object, plugins: object = {}, uri = `${authoriser.url}/auth`): Promise<string> {
    const id = `r${String(++routes)}`;
    const { status, body } = await gateway.admin('PUT', `/routes/${id}`, {
      uri: `/${id}/*`,
      plugins: { 'forward-auth': { uri, ...config }, ...plugins },
      upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } },
    });
    assert.ok(status < 300, JSON.stringify(body));
    return `/${id}/a`;
  }
  const get = (path: string, headers: Record<string, string | string[]> = {}, body?: string): Promise<TextResponse> =>
    request(gateway, path, headers, body === undefined ? {} : { method: 'POST', body });
  const lastAsked = async (): Promise<Asked> => (await authoriser.asked()).at(-1) as Asked;
  /** How often it was asked for `path`. */
  const timesAsked = async (path: string): Promise<number> =>
    (await authoriser.asked()).filter(({ headers }) => headers['x-forwarded-uri']?.[0]?.startsWith(path) === true)
      .length;

  it('lets 2xx pass, with the headers that go upstream and none that the client sent under their names', async () => {
    const path = await route({ request_headers: ['Authorization'], upstream_headers: ['X-User-ID'] });
    const answer = await get(path, {
      Authorization: 'good',
      'X-User-ID': 'forged',
      X_User_ID: 'forged',
      'X.User.ID': 'x',
    });
    assert.equal(answer.status, 200);
    const seen = upstream.requests.at(-1)?.headers ?? {};
    assert.equal(seen['x-user-id'], 'i-am-user');
    assert.equal(seen['x_user_id'], undefined);
    assert.equal(seen['x.user.id'], undefined);
    await get(path, { Authorization: 'consumer', 'X-User-ID': 'forged' });
    assert.equal(upstream.requests.at(-1)?.headers['x-user-id'], undefined);
  });

  it('tells the service the request by headers of its own, and by those that are listed: all fields of a name', async () => {
    const path = await route({ request_headers: ['X-Role'] });
    await get(`${path}?q=1`, {
      'X-Role': ['a', 'b'],
      Cookie: 'c=1',
      'X-Forwarded-For': '203.0.113.9',
      'X-Forwarded-Uri': '/forged',
      'X-Forwarded-Method': 'DELETE',
      'X-Forwarded-Host': 'forged.example',
      'X-Forwarded-Proto': 'https',
      Host: 'shop.example',
    });
    const { method, headers, body } = await lastAsked();
    assert.equal(method, 'GET');
    assert.equal(body, '');
    assert.deepEqual(headers['x-role'], ['a', 'b']);
    assert.equal(headers['cookie'], undefined);
    assert.deepEqual(headers['x-forwarded-proto'], ['http']);
    assert.deepEqual(headers['x-forwarded-method'], ['GET']);
    assert.deepEqual(headers['x-forwarded-host'], ['shop.example']);
    assert.deepEqual(headers['x-forwarded-uri'], [`${path}?q=1`]);
    assert.deepEqual(headers['x-forwarded-for'], ['127.0.0.1']);
  });

  it('asks for the path that routing matched, not for the one that was written', async () => {
    const path = await route({});
    await get(`${path.slice(0, -1)}public/../%61`);
    assert.deepEqual((await lastAsked()).headers['x-forwarded-uri'], [path]);
  });

  it('answers a refusal with its status, body and the headers that are listed', async () => {
    const path = await route({
      request_headers: ['Authorization'],
      client_headers: ['X-Forward-Auth', 'Location', 'Set-Cookie'],
    });
    const refused = await get(path);
    assert.equal(refused.status, 403);
    assert.equal(refused.body, 'not you');
    assert.equal(refused.headers['x-forward-auth'], 'Fail');
    assert.equal(refused.headers['x-internal'], undefined);
    const login = await get(path, { Authorization: 'login' });
    assert.equal(login.status, 302);
    assert.equal(login.headers['location'], '/login');
    assert.equal(login.headers['set-cookie'], 'a=1, b=2');
  });

  it('sends the body along with POST, within its limit, and what $post_arg reads of it', async () => {
    const posting = await route({ request_method: 'POST', request_headers: ['Authorization'], max_body_size: 20 });
    assert.equal(
      (await get(posting, { Authorization: 'good', 'Content-Type': 'text/plain' }, 'twenty bytes of body')).status,
      200,
    );
    const asked = await lastAsked();
    assert.equal(asked.method, 'POST');
    assert.equal(asked.body, 'twenty bytes of body');
    assert.deepEqual(asked.headers['content-type'], ['text/plain']);
    assert.equal(upstream.requests.at(-1)?.body, 'twenty bytes of body');
    const before = (await authoriser.asked()).length;
    assert.equal((await get(posting, { Authorization: 'good' }, 'twenty-one bytes long')).status, 413);
    assert.equal((await authoriser.asked()).length, before);

    const tenant = await route({ extra_headers: { tenant_id: '$post_arg.tenant_id', 'X-From': 'at ${remote_addr}' } });
    await get(tenant, { 'Content-Type': 'application/json' }, '{"tenant_id":123}');
    const { headers } = await lastAsked();
    assert.deepEqual(headers['tenant_id'], ['123']);
    assert.deepEqual(headers['x-from'], ['at 127.0.0.1']);
  });

  it('answers 400 where a value would end the line of a header, and asks nobody', async () => {
    const path = await route({ extra_headers: { 'X-Tenant': '$arg_tenant' } });
    const before = (await authoriser.asked()).length;
    for (const value of ['a%0d%0aX-Admin:%201', 'a%00', '%0a'])
      assert.equal((await get(`${path}?tenant=${value}`)).status, 400, value);
    assert.equal((await authoriser.asked()).length, before);
    await get(`${path}?tenant=%E4%B8%AD`);
    assert.deepEqual((await lastAsked()).headers['x-tenant'], [Buffer.from('中').toString('latin1')]);
  });

  it('refuses with status_on_error where nobody answers, or lets pass where that is configured', async () => {
    const dead = 'http://127.0.0.1:1/auth';
    assert.equal((await get(await route({}, {}, dead))).status, 403);
    assert.equal((await get(await route({ status_on_error: 503 }, {}, dead))).status, 503);
    const degraded = await route({ allow_degradation: true, upstream_headers: ['X-User-ID'] }, {}, dead);
    assert.equal((await get(degraded, { 'X-User-ID': 'forged' })).status, 200);
    assert.equal(upstream.requests.at(-1)?.headers['x-user-id'], undefined);
    const slow = await route({ request_headers: ['Authorization'], timeout: 100, status_on_error: 503 });
    assert.equal((await get(slow, { Authorization: 'hang' })).status, 503);
  });

  it('attaches the consumer that the answer names, whose restriction holds then', async () => {
    const restricted = { 'consumer-restriction': { whitelist: ['jack'] } };
    const path = await route({ request_headers: ['Authorization'], consumer_header: 'X-Who' }, restricted);
    assert.equal((await get(path, { Authorization: 'consumer', 'X-Who': 'jack' })).status, 200);
    assert.equal(upstream.requests.at(-1)?.headers['x-consumer-username'], 'jack');
    // Passed, and named nobody.
    assert.equal((await get(path, { Authorization: 'good', 'X-Who': 'jack' })).status, 403);
  });

  it('is a member of multi-auth', async () => {
    const id = `r${String(++routes)}`;
    await gateway.admin('PUT', `/routes/${id}`, {
      uri: `/${id}/*`,
      plugins: {
        'multi-auth': {
          auth_plugins: [
            { 'key-auth': {} },
            { 'forward-auth': { uri: `${authoriser.url}/auth`, request_headers: ['Authorization'] } },
          ],
        },
      },
      upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } },
    });
    assert.equal((await get(`/${id}/a`, { apikey: 'jack-key' })).status, 200);
    assert.equal((await get(`/${id}/a`, { Authorization: 'good' })).status, 200);
    assert.equal((await get(`/${id}/a`, { Authorization: 'bad' })).status, 401);
  });

  it('keeps a verdict by all that the service was sent, in all workers', async () => {
    const path = await route({
      request_headers: ['Authorization'],
      upstream_headers: ['X-User-ID'],
      cache: { ttl: 60 },
    });
    const answers = await Promise.all(Array.from({ length: 100 }, () => get(path, { Authorization: 'good' })));
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
    assert.equal(await timesAsked(path), 1);
    assert.equal(upstream.requests.at(-1)?.headers['x-user-id'], 'i-am-user');
    for (const [target, headers] of [
      [path, { Authorization: 'goo' }],
      [path, { Authorization: ['good', 'good'] }],
      [`${path}?x`, { Authorization: 'good' }],
      [path, { Authorization: 'good', Host: 'other.example' }],
    ] as const) {
      const before = await timesAsked(path);
      await get(target, headers as Record<string, string | string[]>);
      assert.equal((await timesAsked(path)) - before, 1, JSON.stringify([target, headers]));
    }
    assert.equal((await get(path, { Authorization: 'bad' })).status, 403);
    const kept = await timesAsked(path);
    assert.equal((await get(path, { Authorization: 'bad' })).body, 'not you');
    assert.equal(await timesAsked(path), kept);
  });

  it('keeps a verdict by the body that the service was sent', async () => {
    const path = await route({ request_method: 'POST', request_headers: ['Authorization'], cache: { ttl: 60 } });
    const asks = async (body: string): Promise<number> => {
      const before = await timesAsked(path);
      assert.equal((await get(path, { Authorization: 'good' }, body)).status, 200);
      return (await timesAsked(path)) - before;
    };
    assert.deepEqual([await asks('a'), await asks('a'), await asks('b')], [1, 0, 1]);
  });

  it('keeps no failure, no redirection, no cookie, and nothing that is not to be stored', async () => {
    const path = await route({ request_headers: ['Authorization'], cache: { ttl: 60 } });
    for (const authorization of ['broken', 'login', 'move', 'session', 'no-store']) {
      const before = await timesAsked(path);
      await get(path, { Authorization: authorization });
      await get(path, { Authorization: authorization });
      assert.equal((await timesAsked(path)) - before, 2, authorization);
    }
  });

  it('drops what was kept when its configuration changes', async () => {
    const path = await route({ request_headers: ['Authorization'], cache: { ttl: 60 } });
    await get(path, { Authorization: 'good' });
    routes--;
    await route({ request_headers: ['Authorization'], cache: { ttl: 59 } });
    await get(path, { Authorization: 'good' });
    assert.equal(await timesAsked(path), 2);
  });

  it('refuses bad configuration when it is written', async () => {
    for (const [field, config] of [
      ['uri', { uri: 'ftp://x' }],
      ['request_headers', { request_headers: ['Transfer-Encoding'] }],
      ['upstream_headers', { upstream_headers: ['Content-Length'] }],
      ['ssl_key', { ssl_cert: '/cert.pem' }],
      ['ttl', { cache: { ttl: 0 } }],
    ] as const) {
      const { status, body } = await gateway.admin('PUT', '/routes/bad', {
        uri: '/bad',
        plugins: { 'forward-auth': { uri: 'http://127.0.0.1:1', ...config } },
        upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } },
      });
      assert.equal(status, 400, field);
      assert.match(String(body['error_msg']), new RegExp(field));
    }
  });

  it('refuses while the service hangs or is dead, and passes again when it is back', async () => {
    const path = await route({ request_headers: ['Authorization'], timeout: 300, status_on_error: 503 });
    assert.equal((await get(path, { Authorization: 'good' })).status, 200);
    authoriser.pause();
    assert.equal((await get(path, { Authorization: 'good' })).status, 503);
    authoriser.resume();
    assert.equal((await get(path, { Authorization: 'good' })).status, 200);
    await authoriser.kill();
    assert.equal((await get(path, { Authorization: 'good' })).status, 503);
  });
});
