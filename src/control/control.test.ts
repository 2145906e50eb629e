import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import type { ExplainReport, ExplainRequest } from '../explain/report.ts';
import { createMetrics } from '../observability/metrics.ts';
import { createRegistry } from '../plugins/registry.ts';
import { createNameResolver } from '../proxy/upstream/discovery/name-resolver.ts';
import { createHealthMonitor } from '../proxy/upstream/health/health-monitor.ts';
import { MemoryStore } from '../store/memory.ts';
import { createControlServer } from './control-server.ts';
import { createMetricsServer } from './metrics-server.ts';
import { createStatusServer } from './status-server.ts';

interface Answer {
  readonly status: number;
  readonly type: string | undefined;
  readonly body: string;
}

type Ask = (method: string, path: string, body?: string) => Promise<Answer>;

async function serving(server: Server, run: (ask: Ask) => Promise<void>): Promise<void> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const ask: Ask = async (method, path, body) => {
    const sent = request({ host: '127.0.0.1', port, method, path, agent: false });
    sent.end(body);
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    let text = '';
    for await (const chunk of response.setEncoding('utf8') as AsyncIterable<string>) text += chunk;
    return { status: response.statusCode ?? 0, type: response.headers['content-type'], body: text };
  };
  try {
    await run(ask);
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

const report: ExplainReport = {
  path: '/x',
  route: undefined,
  misses: [],
  steps: [],
  consumer: undefined,
  upstream: undefined,
  outcome: { status: 404, reason: 'router.no_route', detail: undefined },
};

async function withControl(run: (ask: Ask, explained: ExplainRequest[]) => Promise<void>): Promise<void> {
  const store = new MemoryStore({ onError: assert.fail, onWarning: assert.fail });
  const resolver = createNameResolver();
  const monitor = createHealthMonitor({ resolver });
  const explained: ExplainRequest[] = [];
  const put = (key: string, value: object): { type: 'put'; key: string; value: string } => {
    return { type: 'put', key, value: JSON.stringify(value) };
  };
  await store.commit([
    put('routes/1', { id: '1', uri: '/hello' }),
    put('upstreams/u', { id: 'u', nodes: {}, tls: { client_cert: 'c', client_key: 'secret-key' } }),
    put('plugin_metadata/prometheus', { a: 1 }),
  ]);
  const workers = {
    explain: (asked: ExplainRequest) => {
      explained.push(asked);
      return Promise.resolve(report);
    },
    served: { revision: 1, workers: [{ number: 1, revision: 1 }] },
  };
  const server = createControlServer({ store, registry: createRegistry(['key-auth']), monitor, workers });
  try {
    await serving(server, (ask) => run(ask, explained));
  } finally {
    monitor.dispose();
    resolver.dispose();
    await store.close();
  }
}

test('resources are listed and found as APISIX shows them', async () => {
  await withControl(async (ask) => {
    const route = { key: '/apisix/routes/1', value: { id: '1', uri: '/hello' }, createdIndex: 1, modifiedIndex: 1 };
    const list = await ask('GET', '/v1/routes');
    assert.deepEqual([list.status, JSON.parse(list.body)], [200, [route]]);
    assert.deepEqual(JSON.parse((await ask('GET', '/v1/route/1')).body), route);
    assert.equal((await ask('GET', '/v1/route/2')).status, 404);
    assert.deepEqual(JSON.parse((await ask('GET', '/v1/services')).body), []);
    assert.deepEqual(JSON.parse((await ask('GET', '/v1/plugin_metadatas')).body), [{ a: 1, id: 'prometheus' }]);
    assert.deepEqual(JSON.parse((await ask('GET', '/v1/plugin_metadata/prometheus')).body), { a: 1, id: 'prometheus' });
  });
});

test('a private key is not shown', async () => {
  await withControl(async (ask) => {
    assert.doesNotMatch((await ask('GET', '/v1/upstreams')).body, /secret-key/);
    assert.doesNotMatch((await ask('GET', '/v1/upstream/u')).body, /secret-key/);
  });
});

test('the schema lists the resources and the enabled plugins alone', async () => {
  await withControl(async (ask) => {
    const { main, plugins } = JSON.parse((await ask('GET', '/v1/schema')).body) as Record<string, object>;
    assert.ok('route' in (main ?? {}));
    assert.ok('consumer_group' in (main ?? {}));
    assert.deepEqual(Object.keys(plugins ?? {}), ['key-auth']);
  });
});

test('healthcheck: the whole list, and reasons where one has none', async () => {
  await withControl(async (ask) => {
    assert.equal((await ask('GET', '/v1/healthcheck')).body, '[]\n');
    assert.equal((await ask('GET', '/v1/healthcheck/routes/1')).body, '{"error_msg":"no checker for routes[1]"}\n');
    assert.equal((await ask('GET', '/v1/healthcheck/routes/9')).status, 404);
    assert.equal((await ask('GET', '/v1/healthcheck/nothing/9')).status, 400);
  });
});

test('explain passes a valid request on, and refuses others with the field', async () => {
  await withControl(async (ask, explained) => {
    const asked = { method: 'GET', url: 'http://a.com/x', headers: [['Authorization', 'Basic eA==']] };
    const answer = await ask('POST', '/v1/explain', JSON.stringify(asked));
    assert.deepEqual([answer.status, JSON.parse(answer.body)], [200, JSON.parse(JSON.stringify(report))]);
    assert.deepEqual(explained, [asked]);
    for (const bad of ['', '[]', '{"url":"x"}', '{"url":"http://a/","headers":[["a"]]}']) {
      assert.equal((await ask('POST', '/v1/explain', bad)).status, 400, bad);
    }
    assert.equal((await ask('GET', '/v1/explain')).status, 404);
  });
});

test('other paths and broken escapes are refused', async () => {
  await withControl(async (ask) => {
    assert.equal((await ask('GET', '/')).status, 404);
    assert.equal((await ask('GET', '/v1/consumers')).status, 404);
    assert.equal((await ask('DELETE', '/v1/routes')).status, 404);
    assert.equal((await ask('GET', '/v1/route/%zz')).status, 400);
  });
});

test('status answers while the process lives; ready only when every worker serves the current configuration', async () => {
  let reason: string | undefined = 'worker 1 serves revision 2 of 3';
  await serving(
    createStatusServer(() => reason),
    async (ask) => {
      assert.deepEqual(await ask('GET', '/status'), {
        status: 200,
        type: 'application/json',
        body: '{"status":"ok"}\n',
      });
      const waiting = await ask('GET', '/status/ready');
      assert.deepEqual([waiting.status, JSON.parse(waiting.body)], [503, { status: 'error', error: reason }]);
      reason = undefined;
      assert.equal((await ask('GET', '/status/ready')).body, '{"status":"ok"}\n');
      assert.equal((await ask('HEAD', '/status/ready')).status, 200);
      assert.equal((await ask('POST', '/status')).status, 404);
    },
  );
});

test('metrics adds the workers up, at its own path alone', async () => {
  const workers = [createMetrics(), createMetrics()];
  for (const metrics of workers) metrics.counter('apisix_http_status', 'h', ['code']).with(['200']).add(2);
  const server = createMetricsServer(() => Promise.resolve(workers.map((metrics) => metrics.snapshot())), {
    uri: '/m',
  });
  await serving(server, async (ask) => {
    assert.deepEqual(await ask('GET', '/m'), {
      status: 200,
      type: 'text/plain; version=0.0.4; charset=utf-8',
      body: '# HELP apisix_http_status h\n# TYPE apisix_http_status counter\napisix_http_status{code="200"} 4\n',
    });
    assert.equal((await ask('GET', '/')).status, 404);
    assert.equal((await ask('POST', '/m')).status, 404);
  });
});
