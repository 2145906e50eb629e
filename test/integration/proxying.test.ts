/** Routes, services, upstreams, plugin configs, groups and rules working together, through the Admin API and real upstreams. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:net';
import { after, before, beforeEach, describe, it } from 'node:test';
import { type Gateway, startGateway } from '../gateway.ts';
import { request, type TextResponse } from '../request.ts';
import { put as putResource } from '../resources.ts';
import { until } from '../until.ts';
import { type Recorded, startUpstream, type TestUpstream } from '../upstream.ts';

describe('a gateway', () => {
  let gateway: Gateway;
  let one: TestUpstream;
  let two: TestUpstream;
  before(async () => {
    [one, two] = (await Promise.all(
      ['one', 'two'].map((name) =>
        startUpstream((_request, response, body) => {
          response.setHeader('X-Served-By', name);
          response.end(body === '' ? 'ok' : createHash('sha256').update(body).digest('hex'));
        }),
      ),
    )) as [TestUpstream, TestUpstream];
    gateway = await startGateway({ settings: { nginx_config: { http: { keepalive_timeout: '5s' } } } });
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await one[Symbol.asyncDispose]();
    await two[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    one.requests.length = 0;
    two.requests.length = 0;
  });

  const put = (path: string, body: object): Promise<void> => putResource(gateway, path, body);
  const get = (path: string, headers: Record<string, string> = {}): Promise<TextResponse> =>
    request(gateway, path, headers);
  const servedBy = async (path: string, headers?: Record<string, string>): Promise<string | undefined> =>
    (await get(path, headers)).headers['x-served-by'];
  const seen = (upstream: TestUpstream): Recorded => {
    const last = upstream.requests.at(-1);
    assert.ok(last !== undefined);
    return last;
  };
  const to = (...upstreams: TestUpstream[]): object => ({
    type: 'roundrobin',
    nodes: Object.fromEntries(upstreams.map(({ node }) => [node, 1])),
  });
  const tag = (value: string): object => ({ 'response-rewrite': { headers: { set: { 'X-Tag': value } } } });

  describe('plugins from several places', () => {
    before(async () => {
      await put('/services/merge', { plugins: tag('service'), upstream: to(one) });
      await put('/plugin_configs/merge', { plugins: tag('plugin_config') });
      await put('/consumer_groups/merge', { plugins: tag('group') });
      await put('/consumers', { username: 'plain', plugins: { 'key-auth': { key: 'plain' } } });
      await put('/consumers', { username: 'grouped', group_id: 'merge', plugins: { 'key-auth': { key: 'grouped' } } });
      await put('/consumers', {
        username: 'own',
        group_id: 'merge',
        plugins: { 'key-auth': { key: 'own' }, ...tag('consumer') },
      });
      const auth = { 'key-auth': {} };
      await put('/routes/m1', { uri: '/merge/service', service_id: 'merge' });
      await put('/routes/m2', { uri: '/merge/config', service_id: 'merge', plugin_config_id: 'merge', plugins: auth });
      await put('/routes/m3', {
        uri: '/merge/route',
        service_id: 'merge',
        plugin_config_id: 'merge',
        plugins: { ...auth, ...tag('route') },
      });
    });
    const tagOf = async (path: string, apikey = ''): Promise<string | undefined> => {
      const { status, headers } = await get(path, apikey === '' ? {} : { apikey });
      assert.equal(status, 200);
      return headers['x-tag'];
    };

    it('the nearer wins: consumer, consumer group, route, plugin config, service', async () => {
      assert.equal(await tagOf('/merge/service'), 'service');
      assert.equal(await tagOf('/merge/config', 'plain'), 'plugin_config');
      assert.equal(await tagOf('/merge/route', 'plain'), 'route');
      assert.equal(await tagOf('/merge/route', 'grouped'), 'group');
      assert.equal(await tagOf('/merge/route', 'own'), 'consumer');
    });

    it('a change of each is seen by the next request', async () => {
      await put('/services/merge', { plugins: tag('service 2'), upstream: to(one) });
      assert.equal(await tagOf('/merge/service'), 'service 2');
      await put('/plugin_configs/merge', { plugins: tag('plugin_config 2') });
      assert.equal(await tagOf('/merge/config', 'plain'), 'plugin_config 2');
      await put('/consumer_groups/merge', { plugins: tag('group 2') });
      assert.equal(await tagOf('/merge/route', 'grouped'), 'group 2');
      await put('/consumers', { username: 'own', plugins: { 'key-auth': { key: 'own' } } });
      assert.equal(await tagOf('/merge/route', 'own'), 'route');
    });

    it("a consumer's own ip-restriction takes the place of the route's", async () => {
      const only = (address: string): object => ({ 'ip-restriction': { whitelist: [address] } });
      await put('/routes/ip', { uri: '/ip', plugins: { 'key-auth': {}, ...only('127.0.0.1') }, upstream: to(one) });
      await put('/consumers', {
        username: 'elsewhere',
        plugins: { 'key-auth': { key: 'elsewhere' }, ...only('10.0.0.1') },
      });
      assert.equal((await get('/ip', { apikey: 'plain' })).status, 200);
      assert.equal((await get('/ip', { apikey: 'elsewhere' })).status, 403);
    });
  });

  describe('what a route refers to', () => {
    it("a service's upstream and hosts may change", async () => {
      await put('/services/s', { upstream: to(one), hosts: ['first.test'] });
      await put('/routes/s', { uri: '/service', service_id: 's' });
      assert.equal(await servedBy('/service', { Host: 'first.test' }), 'one');
      assert.equal((await get('/service', { Host: 'second.test' })).status, 404);
      await put('/services/s', { upstream: to(two), hosts: ['second.test'] });
      assert.equal(await servedBy('/service', { Host: 'second.test' }), 'two');
      assert.equal((await get('/service', { Host: 'first.test' })).status, 404);
    });

    it('one upstream serves several routes and a service, and its change reaches all', async () => {
      await put('/upstreams/shared', to(one));
      await put('/services/shared', { upstream_id: 'shared' });
      await put('/routes/sh1', { uri: '/shared/1', upstream_id: 'shared' });
      await put('/routes/sh2', { uri: '/shared/2', service_id: 'shared' });
      assert.deepEqual([await servedBy('/shared/1'), await servedBy('/shared/2')], ['one', 'one']);
      await put('/upstreams/shared', to(two));
      assert.deepEqual([await servedBy('/shared/1'), await servedBy('/shared/2')], ['two', 'two']);
    });

    it("a route's upstream goes before its service's", async () => {
      await put('/services/both', { upstream: to(one) });
      await put('/routes/both', { uri: '/both', service_id: 'both', upstream: to(two) });
      assert.equal(await servedBy('/both'), 'two');
    });

    it('cannot be deleted while it is used; forced, the route answers 503 and not 200', async () => {
      await put('/upstreams/used', to(one));
      await put('/routes/uses', { uri: '/uses', upstream_id: 'used' });
      const { status, body } = await gateway.admin('DELETE', '/upstreams/used');
      assert.deepEqual(
        [status, body['error_msg']],
        [400, 'can not delete this upstream, route [uses] is still using it now'],
      );
      assert.equal((await gateway.admin('DELETE', '/upstreams/used?force=true')).status, 200);
      assert.equal((await get('/uses')).status, 503);
    });
  });

  describe('upstreams', () => {
    it('spread requests by weight', async () => {
      await put('/routes/rr', {
        uri: '/rr',
        upstream: { type: 'roundrobin', nodes: { [one.node]: 3, [two.node]: 1 } },
      });
      // Each worker counts on its own: one connection stays with one of them.
      for (let i = 0; i < 80; i++) await get('/rr');
      assert.ok(Math.abs(one.requests.length - 60) <= 4, String(one.requests.length));
    });

    it('that are chash by a header keep a client at its node, and use both', async () => {
      await put('/routes/chash', {
        uri: '/chash',
        upstream: { ...to(one, two), type: 'chash', hash_on: 'header', key: 'X-Client' },
      });
      const nodesOf = new Map<string, Set<string | undefined>>();
      for (let round = 0; round < 4; round++)
        for (let client = 0; client < 12; client++) {
          const name = `client-${client}`;
          const nodes = nodesOf.get(name) ?? new Set();
          nodesOf.set(name, nodes.add(await servedBy('/chash', { 'X-Client': name })));
        }
      for (const [client, nodes] of nodesOf) assert.equal(nodes.size, 1, client);
      assert.equal(new Set([...nodesOf.values()].flatMap((nodes) => [...nodes])).size, 2);
    });

    it('a node that refuses connections costs the client nothing: the next one is tried', async () => {
      const dead = await closedPort();
      await put('/routes/retry', {
        uri: '/retry',
        upstream: { type: 'roundrobin', nodes: { [`127.0.0.1:${dead}`]: 1, [one.node]: 1 } },
      });
      for (let i = 0; i < 6; i++) assert.equal(await servedBy('/retry'), 'one');
      await put('/routes/retry', {
        uri: '/retry',
        upstream: { type: 'roundrobin', retries: 0, nodes: { [`127.0.0.1:${dead}`]: 1 } },
      });
      const response = await get('/retry');
      assert.deepEqual([response.status, response.body], [502, '{"error_msg":"502 Bad Gateway"}\n']);
    });

    it('Host is passed, the node, or rewritten, by pass_host', async () => {
      const hostWith = async (upstream: object): Promise<string | undefined> => {
        await put('/routes/host', { uri: '/host', upstream: { ...to(one), ...upstream } });
        assert.equal((await get('/host', { Host: 'client.test:99' })).status, 200);
        return seen(one).headers.host;
      };
      assert.equal(await hostWith({}), 'client.test:99');
      assert.equal(await hostWith({ pass_host: 'node' }), one.node);
      assert.equal(await hostWith({ pass_host: 'rewrite', upstream_host: 'rewritten.test' }), 'rewritten.test');
    });

    it("a route's time-out goes before its upstream's: 504 after it", async () => {
      await using slow = await startUpstream(() => undefined);
      await put('/routes/slow', {
        uri: '/slow',
        timeout: { connect: 1, send: 1, read: 0.2 },
        upstream: { ...to(slow), timeout: { connect: 30, send: 30, read: 30 } },
      });
      const started = performance.now();
      const response = await get('/slow');
      assert.deepEqual([response.status, response.body], [504, '{"error_msg":"504 Gateway Time-out"}\n']);
      assert.ok(performance.now() - started < 3000);
    });

    it('nodes may be names', async () => {
      await put('/routes/name', {
        uri: '/name',
        upstream: { type: 'roundrobin', nodes: { [`localhost:${one.port}`]: 1 } },
      });
      assert.equal(await servedBy('/name', { Host: 'client.test' }), 'one');
      assert.equal(seen(one).headers.host, 'client.test');
    });

    it('a name without an address is a 502 that the log explains', async () => {
      await put('/routes/no-name', {
        uri: '/no-name',
        upstream: { type: 'roundrobin', nodes: { 'no-such-host.invalid:80': 1 } },
      });
      assert.equal((await get('/no-name')).status, 502);
      await until(() => gateway.output().includes('reason=UPSTREAM_RESOLVE_FAILED'));
    });

    it('no node is a 503', async () => {
      await put('/routes/empty', { uri: '/empty', upstream: { type: 'roundrobin', nodes: [] } });
      assert.equal((await get('/empty')).status, 503);
    });

    it('a large body passes both ways, unchanged', async () => {
      const body = randomBytes(8 * 1024 * 1024).toString('latin1');
      await using echo = await startUpstream((_, response, text) => response.end(text));
      await put('/routes/large', { uri: '/large', upstream: to(echo) });
      const sent = Buffer.from(body, 'utf8');
      const response = await request(gateway, '/large', {}, { method: 'POST', body: sent });
      assert.equal(response.status, 200);
      assert.ok(Buffer.from(response.body).equals(sent));
    });
  });

  describe('health', () => {
    const health = async (path: string): Promise<{ nodes: { port: number; status: string }[]; name: string }> =>
      (await (await fetch(`http://127.0.0.1:${gateway.ports.control}/v1/healthcheck/${path}`)).json()) as never;
    const untilStatus = async (path: string, port: number, status: string): Promise<void> => {
      await until(async () => (await health(path)).nodes.find((node) => node.port === port)?.status === status);
    };

    it('active checks take a node out and put it back, as /v1/healthcheck shows', async () => {
      let answer = 500;
      await using sick = await startUpstream((_, response) => {
        response.writeHead(answer, { 'X-Served-By': 'sick' }).end();
      });
      await put('/upstreams/checked', {
        ...to(one, sick),
        checks: {
          active: {
            type: 'http',
            http_path: '/healthz',
            healthy: { interval: 1, successes: 1 },
            unhealthy: { interval: 1, http_failures: 1 },
          },
        },
      });
      await put('/routes/checked', { uri: '/checked', upstream_id: 'checked' });
      await get('/checked');
      await untilStatus('upstreams/checked', sick.port, 'unhealthy');
      for (let i = 0; i < 8; i++) assert.equal(await servedBy('/checked'), 'one');
      answer = 200;
      await untilStatus('upstreams/checked', sick.port, 'healthy');
      const served = new Set<string | undefined>();
      while (served.size < 2) served.add(await servedBy('/checked'));
      assert.ok(sick.requests.some(({ url }) => url === '/healthz'));
    });

    it('passive checks take out a node that answers 500 to requests', async () => {
      await using sick = await startUpstream((_, response) => {
        response.writeHead(500, { 'X-Served-By': 'sick' }).end();
      });
      await put('/upstreams/passive', {
        ...to(one, sick),
        checks: {
          active: {
            type: 'tcp',
            healthy: { interval: 60, successes: 1 },
            unhealthy: { interval: 60, tcp_failures: 1 },
          },
          passive: { unhealthy: { http_statuses: [500], http_failures: 2 }, healthy: { http_statuses: [200] } },
        },
      });
      await put('/routes/passive', { uri: '/passive', upstream_id: 'passive' });
      const isOut = async (): Promise<boolean> =>
        (await health('upstreams/passive')).nodes.find(({ port }) => port === sick.port)?.status === 'unhealthy';
      while (!(await isOut())) await get('/passive');
      const before_ = sick.requests.length;
      assert.ok(before_ >= 2);
      for (let i = 0; i < 8; i++) assert.equal(await servedBy('/passive'), 'one');
      assert.equal(sick.requests.length, before_);
    });
  });

  describe('global rules and _meta', () => {
    it('global rules also run where no route matches', async () => {
      await put('/global_rules/1', { plugins: { 'response-rewrite': { headers: { set: { 'X-Rule': 'ran' } } } } });
      const response = await get('/no/such/route');
      assert.deepEqual([response.status, response.headers['x-rule']], [404, 'ran']);
      await put('/global_rules/2', { plugins: { 'ip-restriction': { blacklist: ['127.0.0.1'], message: 'out' } } });
      assert.equal((await get('/no/such/route')).status, 403);
      await gateway.admin('DELETE', '/global_rules/1');
      await gateway.admin('DELETE', '/global_rules/2');
      assert.equal((await get('/no/such/route')).headers['x-rule'], undefined);
    });

    it('_meta.filter: the plugin runs for requests that match', async () => {
      await put('/routes/filter', {
        uri: '/filter',
        plugins: { 'key-auth': { _meta: { filter: [['arg_private', '==', 'yes']] } } },
        upstream: to(one),
      });
      assert.equal((await get('/filter')).status, 200);
      assert.equal((await get('/filter?private=yes')).status, 401);
    });

    it('_meta.disable: the plugin does not run', async () => {
      await put('/routes/disabled', {
        uri: '/disabled',
        plugins: { 'key-auth': { _meta: { disable: true } } },
        upstream: to(one),
      });
      assert.equal((await get('/disabled')).status, 200);
    });

    it('_meta.error_response: its text stands in for the refusal', async () => {
      await put('/routes/error', {
        uri: '/error',
        plugins: { 'key-auth': { _meta: { error_response: { message: 'ask for a key' } } } },
        upstream: to(one),
      });
      const response = await get('/error');
      assert.deepEqual([response.status, response.body], [401, '{"message":"ask for a key"}\n']);
    });

    it('_meta.priority: a plugin runs before another that is of higher priority by itself', async () => {
      await put('/routes/order', {
        uri: '/order',
        plugins: {
          'key-auth': { _meta: { priority: 1 } },
          redirect: { uri: '/moved', _meta: { priority: 2 } },
        },
        upstream: to(one),
      });
      assert.equal((await get('/order')).status, 302);
      await put('/routes/order', {
        uri: '/order',
        plugins: { 'key-auth': {}, redirect: { uri: '/moved' } },
        upstream: to(one),
      });
      assert.equal((await get('/order')).status, 401);
    });
  });

  it('a WebSocket connection passes where enable_websocket is set, and is refused the upgrade elsewhere', async () => {
    await using echo = await startWebSocketEcho();
    await put('/routes/ws', {
      uri: '/ws',
      enable_websocket: true,
      upstream: { type: 'roundrobin', nodes: { [echo.node]: 1 } },
    });
    await put('/routes/no-ws', { uri: '/no-ws', upstream: { type: 'roundrobin', nodes: { [echo.node]: 1 } } });
    const socket = new WebSocket(`ws://127.0.0.1:${gateway.ports.data}/ws`);
    const answer = await new Promise<unknown>((resolve, reject) => {
      socket.onopen = () => {
        socket.send('through the gateway');
      };
      socket.onmessage = ({ data }) => {
        resolve(data);
      };
      socket.onerror = () => {
        reject(new Error('the WebSocket failed'));
      };
    });
    assert.equal(answer, 'through the gateway');
    const closed = new Promise((resolve) => {
      socket.onclose = resolve;
    });
    socket.close();
    await closed;

    const refused = new WebSocket(`ws://127.0.0.1:${gateway.ports.data}/no-ws`);
    await new Promise<void>((resolve, reject) => {
      refused.onopen = () => {
        reject(new Error('it was upgraded'));
      };
      refused.onerror = () => {
        resolve();
      };
    });
  });

  it('routes by a field of a form or JSON body (post_arg), and the upstream gets the whole body', async () => {
    await put('/routes/post', {
      uri: '/post',
      methods: ['POST'],
      vars: [['post_arg.kind', '==', 'special']],
      upstream: to(two),
    });
    await put('/routes/post-any', { uri: '/post', upstream: to(one) });
    const post = (type: string, body: string): Promise<TextResponse> =>
      request(gateway, '/post', { 'Content-Type': type }, { method: 'POST', body });
    assert.equal((await post('application/x-www-form-urlencoded', 'a=1&kind=special')).headers['x-served-by'], 'two');
    assert.equal(seen(two).body, 'a=1&kind=special');
    assert.equal((await post('application/json', '{"kind":"special"}')).headers['x-served-by'], 'two');
    assert.equal((await post('application/json', '{"kind":"other"}')).headers['x-served-by'], 'one');
    assert.equal(seen(one).body, '{"kind":"other"}');
    await gateway.admin('DELETE', '/routes/post');
  });
});

it('radixtree_uri_with_parameter: `:name` matches one segment', async () => {
  await using upstream = await startUpstream();
  await using gateway = await startGateway({
    settings: { apisix: { router: { http: 'radixtree_uri_with_parameter' } } },
  });
  const { status } = await gateway.admin('PUT', '/routes/1', {
    uri: '/users/:id/posts',
    plugins: { 'response-rewrite': { headers: { set: { 'X-Id': '$uri_param_id' } } } },
    upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } },
  });
  assert.equal(status, 201);
  const response = await request(gateway, '/users/17/posts');
  assert.deepEqual([response.status, response.headers['x-id']], [200, '17']);
  assert.equal((await request(gateway, '/users/17/x/posts')).status, 404);
  assert.equal((await request(gateway, '/users//posts')).status, 404);
});

async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** RFC 6455, as little as it takes: the handshake, short masked text frames echoed, and the closing handshake. */
async function startWebSocketEcho(): Promise<AsyncDisposable & { node: string }> {
  const server: Server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', (head: Buffer) => {
      const key = /^sec-websocket-key: (.*)\r$/im.exec(head.toString('latin1'))?.[1];
      if (key === undefined || !/^upgrade: websocket\r$/im.test(head.toString('latin1'))) {
        socket.end('HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
        return;
      }
      const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
      );
      socket.on('data', (frame: Buffer) => {
        const length = (frame[1] ?? 0) & 0x7f;
        const mask = frame.subarray(2, 6);
        const payload = frame.subarray(6, 6 + length).map((byte, index) => byte ^ (mask[index % 4] ?? 0));
        socket.write(Buffer.concat([Buffer.from([frame[0] ?? 0, length]), payload]));
        if (((frame[0] ?? 0) & 0x0f) === 8) socket.end();
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    node: `127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
      }),
  };
}
