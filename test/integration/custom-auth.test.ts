/** custom-auth over real sockets: the configuration of the project's third mission, word for word, and functions of each kind. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Gateway, startGateway } from '../gateway.ts';
import { request, type TextResponse } from '../request.ts';
import { until } from '../until.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';

/** JSON that an assertion looks into. */
type Parsed = ReturnType<typeof JSON.parse>;

/** As it stands in the mission. */
const missionConfig = {
  cache_time: 10,
  endpoint_timeout: 15,
  func_name: 'test_name',
  func_namespace: 'test_namespace',
  func_qualifier: '$LATEST',
  is_send_body: true,
  header_auth_parameters: ['Header1'],
  query_auth_parameters: ['Query1'],
  user_id: 1253970226,
  version: '2021-12-26 17:17:49',
};

describe('custom-auth with a function of the function directory', () => {
  let directory: string;
  let gateway: Gateway;
  let upstream: TestUpstream;
  const write = async (file: string, source: string): Promise<void> => {
    await mkdir(dirname(join(directory, file)), { recursive: true });
    await writeFile(join(directory, file), source);
  };
  const get = (path: string, headers: Record<string, string | string[]> = {}): Promise<TextResponse> =>
    request(gateway, path, headers);
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'gatewright-functions-'));
    upstream = await startUpstream();
    // Every call leaves a line, whichever worker makes it.
    await write(
      'test_namespace/test_name.ts',
      `import { appendFileSync } from 'node:fs';
       export const main_handler = (event: { headers: Record<string, string>; queryString: Record<string, string>; body?: string }) => {
         appendFileSync(${JSON.stringify(join(directory, 'calls'))}, JSON.stringify(event) + '\\n');
         if (event.headers['header1'] === 'nothing') return {};
         if (event.headers['header1'] === 'null') return { 'api-auth': null };
         return { 'api-auth': event.headers['header1'] === 'good' };
       };`,
    );
    gateway = await startGateway({
      settings: { gatewright: { functions: { directory, stall_timeout: '500ms', memory: '32m' } } },
    });
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  });
  const calls = async (): Promise<Record<string, never>[]> =>
    (await readFile(join(directory, 'calls'), 'utf8').catch(() => ''))
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, never>);
  const route = async (id: string, config: object): Promise<void> => {
    const { status, body } = await gateway.admin('PUT', `/routes/${id}`, {
      uri: `/${id}/*`,
      plugins: { 'custom-auth': config },
      upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } },
    });
    assert.ok(status < 300, JSON.stringify(body));
  };

  it("serves the mission's configuration: true passes, all else is refused", async () => {
    await route('mission', missionConfig);
    assert.equal((await get('/mission/a?Query1=1', { Header1: 'good' })).status, 200);
    for (const value of ['bad', 'null', 'nothing']) {
      const refused = await get('/mission/a?Query1=1', { Header1: value });
      assert.equal(refused.status, 401, value);
      assert.equal(refused.body, '{"message":"Verification failed"}\n');
      assert.equal(refused.headers['www-authenticate'], 'custom realm="custom"');
    }
  });

  it('asks once for equal verification parameters while the verdict is kept, in all workers', async () => {
    await route('kept', missionConfig);
    const from = (await calls()).length;
    const answers = await Promise.all(
      Array.from({ length: 200 }, () => get('/kept/a?Query1=kept', { Header1: 'good' })),
    );
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
    assert.equal((await calls()).length - from, 1);
    await get('/kept/a?Query1=other', { Header1: 'good' });
    assert.equal((await calls()).length - from, 2);
  });

  it('keeps a verdict by what it may depend on: no field runs into another', async () => {
    await route('keyed', missionConfig);
    await route('keyed2', missionConfig);
    const asks = async (path: string, headers: Record<string, string | string[]>, body?: string): Promise<boolean> => {
      const before = (await calls()).length;
      await request(gateway, path, headers, body === undefined ? {} : { method: 'POST', body });
      return (await calls()).length > before;
    };
    const first = ['/keyed/a?Query1=q', { Header1: 'good' }] as const;
    assert.equal(await asks(...first), true);
    assert.equal(await asks(...first), false);
    // What is no verification parameter changes nothing; what is, does.
    assert.equal(await asks('/keyed/a?Query1=q&other=1', { Header1: 'good', 'X-Request-Id': '2' }), false);
    for (const [path, headers, body] of [
      ['/keyed/a?Query1=', { Header1: 'goodq' }],
      ['/keyed/a?Query1=good', { Header1: 'q' }],
      ['/keyed/a?Query1=q&Query1=q', { Header1: 'good' }],
      ['/keyed/a?Query1=q', { Header1: ['good', 'good'] }],
      ['/keyed/a?Query1=q', { Header1: 'good, good' }],
      ['/keyed/a?Query1=q', {}],
      ['/keyed/a', { Header1: 'good' }],
      ['/keyed/a?Query1', { Header1: 'good' }],
      ['/keyed/b?Query1=q', { Header1: 'good' }],
      ['/keyed2/a?Query1=q', { Header1: 'good' }],
      ['/keyed/a?Query1=q', { Header1: 'good', Host: 'other.example' }],
      ['/keyed/a?Query1=q', { Header1: 'good' }, 'a body'],
      ['/keyed/a?Query1=q', { Header1: 'good' }, 'another body'],
    ] as const) {
      const label = JSON.stringify([path, headers, body]);
      const same = path === '/keyed/a?Query1' ? false : true;
      const asked = await asks(path, headers as Record<string, string | string[]>, body);
      if (same) assert.equal(asked, true, label);
      assert.equal(await asks(path, headers as Record<string, string | string[]>, body), false, label);
    }
    const put = (): Promise<TextResponse> => request(gateway, first[0], first[1], { method: 'PUT' });
    const before = (await calls()).length;
    for (let i = 0; i < 2; i++) await put();
    assert.equal((await calls()).length - before, 1, 'another method');
    // Another spelling of the same path is the same resource.
    assert.equal(await asks('/keyed/x/../%61?Query1=q', { Header1: 'good' }), false);
  });

  it('drops what was kept when version changes, when the function does, and when the Admin API is told to', async () => {
    await route('dropped', missionConfig);
    await route('stays', missionConfig);
    const ask = async (id: string): Promise<number> => {
      const before = (await calls()).length;
      assert.equal((await get(`/${id}/a?Query1=1`, { Header1: 'good' })).status, 200);
      return (await calls()).length - before;
    };
    assert.deepEqual([await ask('dropped'), await ask('dropped')], [1, 0]);
    await route('dropped', { ...missionConfig, version: '2021-12-26 17:17:50' });
    assert.deepEqual([await ask('dropped'), await ask('dropped')], [1, 0]);
    assert.deepEqual([await ask('stays'), await ask('stays')], [1, 0]);
    assert.equal((await gateway.admin('DELETE', '/verdicts/routes/dropped')).status, 200);
    assert.deepEqual([await ask('dropped'), await ask('stays')], [1, 0]);
    assert.equal((await gateway.admin('DELETE', '/verdicts')).status, 200);
    assert.deepEqual([await ask('dropped'), await ask('stays')], [1, 1]);
    assert.equal((await gateway.admin('DELETE', '/verdicts/upstreams/1')).status, 404);
    assert.equal((await gateway.admin('DELETE', '/verdicts', undefined, { 'X-API-KEY': 'wrong' })).status, 401);
    await write('lib/changed.ts', 'export const changed = 1;');
    await until(async () => (await ask('dropped')) === 1);
  });

  it('asks for every request where cache_time is 0', async () => {
    await route('always', { ...missionConfig, cache_time: 0 });
    const before = (await calls()).length;
    await Promise.all(Array.from({ length: 10 }, () => get('/always/a?Query1=1', { Header1: 'good' })));
    assert.equal((await calls()).length - before, 10);
  });

  it('sends the body only where it is to, and no more than max_body_size of it', async () => {
    await route('body', { ...missionConfig, cache_time: 0, max_body_size: 10 });
    await route('nobody', { ...missionConfig, cache_time: 0, is_send_body: false });
    const post = (path: string, body: string | Buffer): Promise<TextResponse> =>
      request(gateway, path, { Header1: 'good' }, { method: 'POST', body });
    assert.equal((await post('/body/a', 'ten bytes.')).status, 200);
    assert.equal((await calls()).at(-1)?.['body'], 'ten bytes.');
    assert.equal(upstream.requests.at(-1)?.body, 'ten bytes.');
    assert.equal((await post('/body/a', Buffer.from([0xff, 0xfe]))).status, 200);
    assert.equal((await calls()).at(-1)?.['body'], '//4=');
    assert.equal((await calls()).at(-1)?.['isBase64Encoded'], true);
    const before = (await calls()).length;
    assert.equal((await post('/body/a', 'eleven byte')).status, 413);
    assert.equal((await calls()).length, before);
    assert.equal((await post('/nobody/a', 'any length of body')).status, 200);
    assert.equal((await calls()).at(-1)?.['body'], undefined);
  });

  it('tells the function the request: every field of a name, no forged address', async () => {
    await route('event', { ...missionConfig, cache_time: 0 });
    await get('/event/x/../a?Query1=1&b=1&b=2&__proto__=p', {
      Header1: ['good', 'bad'],
      Cookie: 'a=1',
      'X-Forwarded-For': '203.0.113.1',
      'X-Consumer-Username': 'root',
      Host: 'shop.example',
    });
    const event = ((await calls()).at(-1) ?? {}) as Parsed;
    assert.equal(event.httpMethod, 'GET');
    assert.equal(event.path, '/event/a');
    assert.equal(event.headers.header1, 'good, bad');
    assert.deepEqual(event.multiValueHeaders, { header1: ['good', 'bad'] });
    assert.deepEqual(event.headerParameters, { Header1: 'good, bad' });
    assert.deepEqual(event.queryStringParameters, { Query1: '1' });
    assert.deepEqual(event.multiValueQueryString, { b: ['1', '2'] });
    assert.equal(event.queryString.b, '2');
    assert.equal(event.headers['x-consumer-username'], undefined);
    assert.equal(event.headers['x-forwarded-for'], undefined);
    assert.deepEqual(event.requestContext, {
      sourceIp: '127.0.0.1',
      host: 'shop.example',
      scheme: 'http',
      routeId: 'event',
    });
  });

  it('takes identity, headers, words and status from the function; consumer-restriction holds after it', async () => {
    await write(
      'test_namespace/identity.ts',
      `export default (event) => {
         switch (event.headers.who) {
           case 'jack': return { 'api-auth': true, consumer: 'jack', headers: { 'X-Tenant': 'a', 'X-Consumer-Username': 'root' } };
           case 'jill': return { 'api-auth': true, consumer: 'jill' };
           case 'nobody': return { 'api-auth': true, consumer: 'nobody' };
           case 'plain': return { 'api-auth': true };
           default: return { 'api-auth': false, status: 403, message: 'who are you?' };
         }
       };`,
    );
    for (const username of ['jack', 'jill'])
      await gateway.admin('PUT', '/consumers', { username, plugins: { 'key-auth': { key: `${username}-key` } } });
    const config = {
      ...missionConfig,
      func_name: 'identity',
      header_auth_parameters: ['who'],
      upstream_headers: ['X-Tenant'],
    };
    const put = async (id: string, plugins: object): Promise<void> => {
      const { status, body } = await gateway.admin('PUT', `/routes/${id}`, {
        uri: `/${id}/*`,
        plugins,
        upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } },
      });
      assert.ok(status < 300, JSON.stringify(body));
    };
    await put('identity', { 'custom-auth': config, 'consumer-restriction': { whitelist: ['jack'] } });
    // The second time the verdict was kept.
    for (let i = 0; i < 2; i++) {
      const forged = {
        who: 'jack',
        X_Tenant: 'b',
        'X-Tenant': 'b',
        Connection: 'keep-alive, X-Tenant, X-Consumer-Username',
      };
      assert.equal((await get('/identity/a', forged)).status, 200);
      const headers: Record<string, unknown> = upstream.requests.at(-1)?.headers ?? {};
      assert.equal(headers['x-consumer-username'], 'jack');
      assert.equal(headers['x-tenant'], 'a');
      assert.equal(headers['x_tenant'], undefined);
      assert.equal((await get('/identity/a', { who: 'jill' })).status, 403);
      assert.equal((await get('/identity/a', { who: 'nobody' })).status, 401);
      const refused = await get('/identity/a', { who: 'x' });
      assert.equal(refused.status, 403);
      assert.equal(refused.body, '{"message":"who are you?"}\n');
      assert.equal(refused.headers['www-authenticate'], undefined);
    }
    await put('unnamed', { 'custom-auth': config });
    assert.equal((await get('/unnamed/a', { who: 'plain', 'X-Tenant': 'forged' })).status, 200);
    assert.equal(upstream.requests.at(-1)?.headers['x-tenant'], undefined);
    assert.equal((await get('/unnamed/a', { who: 'nobody' })).status, 401);
    assert.match(gateway.output(), /request refused reason=custom-auth.unknown_consumer .*\\"nobody\\"/);
    // A consumer that is gone lets nobody in by a kept verdict.
    await gateway.admin('DELETE', '/consumers/jack');
    assert.equal((await get('/identity/a', { who: 'jack' })).status, 401);
    await gateway.admin('PUT', '/consumers', { username: 'jack', plugins: { 'key-auth': { key: 'jack-key' } } });

    await put('either', {
      'multi-auth': { auth_plugins: [{ 'key-auth': {} }, { 'custom-auth': config }] },
      'consumer-restriction': { whitelist: ['jack'] },
    });
    assert.equal((await get('/either/a', { apikey: 'jack-key' })).status, 200);
    assert.equal((await get('/either/a', { who: 'jack' })).status, 200);
    assert.equal((await get('/either/a', { who: 'jill' })).status, 403);
    const neither = await get('/either/a', { who: 'x', apikey: 'wrong' });
    assert.equal(neither.status, 401);
    assert.equal(neither.headers['www-authenticate'], 'apikey realm="key"');
  });

  it('works on services, plugin configs, global rules and consumers', async () => {
    const config = { ...missionConfig, cache_time: 0 };
    await gateway.admin('PUT', '/services/s', {
      plugins: { 'custom-auth': config },
      upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } },
    });
    await gateway.admin('PUT', '/routes/of-service', { uri: '/of-service/*', service_id: 's' });
    await gateway.admin('PUT', '/plugin_configs/p', { plugins: { 'custom-auth': config } });
    const nodes = { type: 'roundrobin', nodes: { [upstream.node]: 1 } };
    await gateway.admin('PUT', '/routes/of-config', { uri: '/of-config/*', plugin_config_id: 'p', upstream: nodes });
    const { status, body } = await gateway.admin('PUT', '/consumers', {
      username: 'checked',
      plugins: { 'key-auth': { key: 'checked-key' }, 'custom-auth': config },
    });
    assert.ok(status < 300, JSON.stringify(body));
    await gateway.admin('PUT', '/routes/of-consumer', {
      uri: '/of-consumer/*',
      plugins: { 'key-auth': {} },
      upstream: nodes,
    });
    await gateway.admin('PUT', '/consumer_groups/g', { plugins: { 'custom-auth': config } });
    await gateway.admin('PUT', '/consumers', {
      username: 'member',
      group_id: 'g',
      plugins: { 'key-auth': { key: 'member-key' } },
    });
    for (const [path, apikey] of [
      ['/of-service/a', 'checked-key'],
      ['/of-config/a', 'checked-key'],
      ['/of-consumer/a', 'member-key'],
      ['/of-consumer/a', 'checked-key'],
    ] as const) {
      const headers = { apikey };
      assert.equal((await get(path, { ...headers, Header1: 'good' })).status, 200, path);
      assert.equal((await get(path, { ...headers, Header1: 'bad' })).status, 401, path);
    }
    // A consumer's verdicts are purged by his name, and dropped when he changes.
    const kept = { username: 'checked', plugins: { 'key-auth': { key: 'checked-key' }, 'custom-auth': missionConfig } };
    const asks = async (): Promise<number> => {
      const before = (await calls()).length;
      assert.equal((await get('/of-consumer/a', { apikey: 'checked-key', Header1: 'good' })).status, 200);
      return (await calls()).length - before;
    };
    await gateway.admin('PUT', '/consumers', kept);
    assert.deepEqual([await asks(), await asks()], [1, 0]);
    assert.equal((await gateway.admin('DELETE', '/verdicts/consumers/checked')).status, 200);
    assert.deepEqual([await asks(), await asks()], [1, 0]);
    await gateway.admin('PUT', '/consumers', { ...kept, labels: { team: 'other' } });
    assert.deepEqual([await asks(), await asks()], [1, 0]);
    // The function is told who the caller is.
    const told = ((await calls()).at(-1) ?? {}) as Parsed;
    assert.equal(told.requestContext.consumer.username, 'checked');

    await gateway.admin('PUT', '/routes/open', { uri: '/open/*', upstream: nodes });
    await gateway.admin('PUT', '/global_rules/1', { plugins: { 'custom-auth': config } });
    assert.equal((await get('/open/a', { Header1: 'good' })).status, 200);
    assert.equal((await get('/open/a', { Header1: 'bad' })).status, 401);
    assert.equal((await get('/no-such-route', { Header1: 'bad' })).status, 401);
    assert.equal((await get('/no-such-route', { Header1: 'good' })).status, 404);
    await gateway.admin('DELETE', '/global_rules/1');
  });

  it('refuses with 503, and passes again, whatever the function does', async () => {
    await write(
      'test_namespace/chaos.ts',
      `const kept = [];
       export default async (event) => {
         switch (event.headers.chaos) {
           case 'throws': throw new Error('secret ' + event.headers.secret);
           case 'loops': for (;;);
           case 'memory': for (;;) kept.push(new Array(1000).fill(kept.length));
           case 'exits': process.exit(0);
           case 'waits': await new Promise(() => {});
           case 'garbage': return 'garbage';
           case 'ring': { const a = {}; a.a = a; return a; }
           case 'truthy': return { 'api-auth': 'true' };
           default: return { 'api-auth': true };
         }
       };`,
    );
    await route('chaos', {
      ...missionConfig,
      func_name: 'chaos',
      cache_time: 60,
      header_auth_parameters: ['chaos'],
      endpoint_timeout: 5,
    });
    await route('short', { ...missionConfig, func_name: 'chaos', cache_time: 0, endpoint_timeout: 1 });
    for (const chaos of ['throws', 'garbage', 'ring', 'truthy', 'exits', 'memory', 'loops']) {
      const answer = await get('/chaos/a', { chaos, secret: 'tell-nobody' });
      assert.equal(answer.status, 503, chaos);
      assert.equal(answer.body, '{"message":"Authorization is unavailable"}\n');
      await until(async () => (await get('/chaos/a', { chaos: `fine-${String(Math.random())}` })).status === 200);
    }
    assert.equal((await get('/short/a', { chaos: 'waits' })).status, 503);
    await route('missing', { ...missionConfig, func_name: 'no_such' });
    assert.equal((await get('/missing/a', { Header1: 'good' })).status, 503);
    assert.doesNotMatch(gateway.output(), /tell-nobody/);
    // A call may meet a thread that an earlier one has just ended: then that is its reason.
    await until(async () => {
      assert.equal((await get('/chaos/a', { chaos: 'loops' })).status, 503);
      return /no verdict .*reason=stalled/.test(gateway.output());
    });
  });

  const explain = async (path: string, headers: string[][]): Promise<Parsed> => {
    const response = await fetch(`http://127.0.0.1:${String(gateway.ports.control)}/v1/explain`, {
      method: 'POST',
      body: JSON.stringify({ method: headers.length > 1 ? 'POST' : 'GET', url: `${gateway.url}${path}`, headers }),
    });
    return (await response.json()) as Parsed;
  };
  /** All that is counted of a scope. */
  const counted = async (scope: string): Promise<string[]> => {
    const metrics = await fetch(`http://127.0.0.1:${String(gateway.ports.metrics)}/apisix/prometheus/metrics`);
    return (await metrics.text())
      .split('\n')
      .filter((line) => line.includes(`scope="${scope}"`) && !line.endsWith(' 0'));
  };
  const count = async (scope: string, line: string): Promise<number> =>
    Number((await counted(scope)).find((one) => one.includes(line))?.split(' ')[1] ?? NaN);

  it('is explained without being asked: whether a verdict is kept, until when, and nothing is changed by it', async () => {
    await route('told', missionConfig);
    const path = '/told/a?Query1=1';
    const calledBefore = (await calls()).length;
    const before = await counted('route#told');
    const unknown = await explain(path, [['Header1', 'good']]);
    assert.equal(unknown.outcome.reason, 'custom-auth.verdict_unknown');
    assert.match(unknown.outcome.detail, /no verdict is kept/);
    assert.deepEqual(await counted('route#told'), before);
    // It filled nothing: the next request asks.
    const from = Date.now();
    assert.equal((await get(path, { Header1: 'good' })).status, 200);
    assert.equal((await get(path, { Header1: 'bad' })).status, 401);
    assert.equal((await calls()).length - calledBefore, 2);
    const asked = await counted('route#told');
    const [passed] = (await explain(path, [['Header1', 'good']])).steps;
    assert.equal(passed.verdict, 'passed');
    const until = Date.parse(/verdict is kept until (\S+)$/.exec(passed.detail)?.[1] ?? '');
    assert.ok(until >= from + 10_000 && until <= Date.now() + 10_000, passed.detail);
    const refused = await explain(path, [['Header1', 'bad']]);
    assert.match(refused.steps[0].detail, /^custom-auth would not ask: this verdict is kept until 20/);
    assert.deepEqual([refused.outcome.status, refused.outcome.reason], [401, 'custom-auth.refused']);
    assert.doesNotMatch(JSON.stringify([passed, refused]), /good|bad/);
    assert.deepEqual(await counted('route#told'), asked);
    assert.equal((await calls()).length - calledBefore, 2);
    // A verdict that was made for a request without a body says nothing of one with.
    const withBody = [
      ['Header1', 'good'],
      ['Content-Length', '1'],
    ];
    assert.match((await explain(path, withBody)).outcome.detail, /kept by the body, which explain is not told/);
    await route('told', { ...missionConfig, cache_time: 0 });
    assert.match((await explain(path, [['Header1', 'good']])).outcome.detail, /nothing is kept/);
  });

  it('is counted where verdicts give way before their time', async () => {
    const little = await startGateway({
      settings: { gatewright: { functions: { directory }, verdicts: { size: '64k' } } },
    });
    try {
      const { status } = await little.admin('PUT', '/routes/1', {
        uri: '/*',
        plugins: { 'custom-auth': missionConfig },
        upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } },
      });
      assert.equal(status, 201);
      const evictions = async (): Promise<number> => {
        const metrics = await fetch(`http://127.0.0.1:${String(little.ports.metrics)}/apisix/prometheus/metrics`);
        return Number(/^verdict_cache_evictions_total (\d+)$/m.exec(await metrics.text())?.[1] ?? NaN);
      };
      assert.equal(await evictions(), 0);
      for (let i = 0; i < 20; i++)
        await Promise.all(
          Array.from({ length: 50 }, (_, j) => request(little, `/a?Query1=${String(i * 50 + j)}`, { Header1: 'good' })),
        );
      assert.ok((await evictions()) > 100, String(await evictions()));
    } finally {
      await little[Symbol.asyncDispose]();
    }
  });

  it('is counted: hits, misses, calls, errors and latency', async () => {
    await route('counted', missionConfig);
    for (const value of ['good', 'good', 'good', 'bad']) await get('/counted/a', { Header1: value });
    const at = (line: string): Promise<number> => count('route#counted', line);
    assert.equal(await at('result="hit"'), 2);
    assert.equal(await at('result="miss"'), 2);
    assert.equal(await at('outcome="passed"'), 1);
    assert.equal(await at('outcome="refused"'), 1);
    assert.equal(await at('authorizer_call_duration_ms_count'), 2);
    assert.ok((await count('route#chaos', 'outcome="failed"')) >= 7);
  });
});
