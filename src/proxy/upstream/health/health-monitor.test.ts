import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { certificate, certificateKey } from '../../../resources/certificate.fixture.ts';
import type { HealthChecks, Upstream } from '../../../resources/upstream.ts';
import { createManualClock, type ManualClock } from '../discovery/manual-clock.fixture.ts';
import { createNameResolver } from '../discovery/name-resolver.ts';
import { answerHealthcheck } from './control-api.ts';
import { createHealthMonitor, type HealthMonitor } from './health-monitor.ts';
import { createHealthView } from './health-view.ts';

const key = 'upstreams/1';
/** Odd values, so that a waiting timer tells which it is. */
const intervals = { healthy: { interval: 7, successes: 2 }, unhealthy: { interval: 3, http_failures: 2, timeouts: 1 } };

interface Node {
  readonly label: string;
  readonly port: number;
  readonly requests: IncomingMessage[];
  /** 0: never answers. */
  status: number;
}

interface Setup {
  readonly monitor: HealthMonitor;
  readonly clock: ManualClock;
  /** `label healthy|unhealthy`, as listeners heard it; only where health itself changed. */
  readonly heard: string[];
}

function setUp(t: TestContext): Setup {
  const clock = createManualClock();
  const resolver = createNameResolver({ hostsFile: '/dev/null', clock });
  const monitor = createHealthMonitor({ resolver, clock });
  const heard: string[] = [];
  const view = createHealthView();
  monitor.onChange((of, label, healthy, settled) => {
    if (view.isHealthy(of, label) !== healthy) heard.push(`${label} ${healthy ? 'healthy' : 'unhealthy'}`);
    view.apply({ type: 'health', key: of, label, healthy, settled });
  });
  t.after(() => {
    monitor.dispose();
    resolver.dispose();
    assert.equal(clock.waiting, 0);
  });
  return { monitor, clock, heard };
}

async function startNode(t: TestContext, status = 200): Promise<Node> {
  const requests: IncomingMessage[] = [];
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    requests.push(request);
    if (node.status !== 0) response.writeHead(node.status).end();
  });
  const port = await listen(t, server);
  const node: Node = { label: `127.0.0.1:${port}`, port, requests, status };
  return node;
}

async function listen(t: TestContext, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** A port that nobody listens on. */
async function closedPort(): Promise<number> {
  const server = createTcpServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Lets I/O happen until the condition holds. */
async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 5000;
  while (!condition()) {
    assert.ok(performance.now() < deadline, `never: ${String(condition)}`);
    await new Promise(setImmediate);
  }
}

/** Resolves when both rounds wait for their next interval. */
function roundsDone(clock: ManualClock): Promise<void> {
  return until(() => clock.waitingFor(7000) === 1 && clock.waitingFor(3000) === 1);
}

/** Lets time pass, each second's rounds to their end. */
async function pass(clock: ManualClock, seconds: number): Promise<void> {
  for (let second = 0; second < seconds; second++) {
    clock.advance(1000);
    await roundsDone(clock);
  }
}

function upstreamOf(labels: readonly string[], active: HealthChecks['active'] = {}, rest: Upstream = {}): Upstream {
  return {
    nodes: Object.fromEntries(labels.map((label) => [label, 1])),
    checks: { active: { ...intervals, ...active } },
    ...rest,
  };
}

function statusesOf(monitor: HealthMonitor): Record<string, string> {
  return Object.fromEntries((monitor.statusOf(key)?.nodes ?? []).map(({ port, status }) => [String(port), status]));
}

describe('active checks', () => {
  it('probe at once, then healthy nodes each healthy.interval and unhealthy ones each unhealthy.interval', async (t) => {
    const { monitor, clock, heard } = setUp(t);
    const good = await startNode(t);
    const bad = await startNode(t, 500);
    monitor.put(key, upstreamOf([good.label, bad.label]));
    await roundsDone(clock);
    assert.deepEqual([good.requests.length, bad.requests.length, heard], [1, 1, []]);
    assert.deepEqual(statusesOf(monitor), { [good.port]: 'healthy', [bad.port]: 'mostly_healthy' });
    await pass(clock, 6);
    assert.deepEqual([good.requests.length, bad.requests.length, heard], [1, 1, []]);
    await pass(clock, 1);
    assert.deepEqual([good.requests.length, bad.requests.length, heard], [2, 2, [`${bad.label} unhealthy`]]);
    bad.status = 302;
    await pass(clock, 2);
    assert.deepEqual([good.requests.length, bad.requests.length], [2, 3]);
    assert.equal(statusesOf(monitor)[bad.port], 'mostly_unhealthy');
    await pass(clock, 3);
    assert.deepEqual([good.requests.length, bad.requests.length], [2, 4]);
    assert.equal(heard[1], `${bad.label} healthy`);
  });

  it('send method, path, Host and headers as configured', async (t) => {
    const { monitor, clock } = setUp(t);
    const node = await startNode(t);
    const active = {
      http_path: '/status?x=1',
      http_method: 'POST',
      host: 'foo.com',
      req_headers: ['User-Agent: curl/7.29.0', 'X-Probe: a:b'],
    };
    monitor.put(key, upstreamOf([node.label, '127.0.0.2:9'], active));
    await roundsDone(clock);
    const [request] = node.requests;
    assert.deepEqual([request?.method, request?.url], ['POST', '/status?x=1']);
    assert.deepEqual(
      [request?.headers.host, request?.headers['user-agent'], request?.headers['x-probe'], request?.headers.connection],
      ['foo.com', 'curl/7.29.0', 'a:b', 'close'],
    );
  });

  it('send the rewritten host where pass_host is rewrite, else the node itself', async (t) => {
    const { monitor, clock } = setUp(t);
    const node = await startNode(t);
    monitor.put(key, upstreamOf([node.label, '127.0.0.2:9']));
    await roundsDone(clock);
    assert.equal(node.requests[0]?.headers.host, node.label);
    monitor.put(
      'routes/1',
      upstreamOf([node.label, '127.0.0.2:9'], {}, { pass_host: 'rewrite', upstream_host: 'r.test' }),
    );
    await until(() => node.requests.length === 2);
    assert.equal(node.requests[1]?.headers.host, 'r.test');
  });

  it('probe another port where one is configured', async (t) => {
    const { monitor, clock } = setUp(t);
    const node = await startNode(t);
    monitor.put(key, upstreamOf(['127.0.0.1:1', '127.0.0.1:2'], { port: node.port }));
    await roundsDone(clock);
    assert.equal(node.requests.length, 2);
    assert.deepEqual(
      monitor.statusOf(key)?.nodes.map(({ port }) => port),
      [node.port, node.port],
    );
  });

  it('count a refused connection as a TCP failure', async (t) => {
    const { monitor, clock } = setUp(t);
    const ports = [await closedPort(), await closedPort()];
    monitor.put(key, upstreamOf(ports.map((port) => `127.0.0.1:${port}`)));
    await roundsDone(clock);
    assert.deepEqual(monitor.statusOf(key)?.nodes[0]?.counter, {
      success: 0,
      http_failure: 0,
      tcp_failure: 1,
      timeout_failure: 0,
    });
  });

  it('count silence as a time-out, after the configured time', async (t) => {
    const { monitor, clock, heard } = setUp(t);
    const [silent, good] = [await startNode(t, 0), await startNode(t)];
    monitor.put(key, upstreamOf([silent.label, good.label], { timeout: 2 }));
    await until(() => silent.requests.length === 1 && clock.waitingFor(2000) === 1);
    clock.advance(1999);
    assert.deepEqual(heard, []);
    clock.advance(1);
    await until(() => heard.length === 1);
    assert.deepEqual(heard, [`${silent.label} unhealthy`]);
    assert.equal(monitor.statusOf(key)?.nodes[0]?.counter.timeout_failure, 1);
  });

  it('count an answer that is not HTTP as an HTTP failure', async (t) => {
    const { monitor, clock } = setUp(t);
    const server = createTcpServer((socket) => {
      socket.on('error', () => undefined);
      socket.end('SSH-2.0-x\r\n');
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const { port } = server.address() as AddressInfo;
    monitor.put(key, upstreamOf([`127.0.0.1:${port}`, '127.0.0.2:9']));
    await roundsDone(clock);
    assert.equal(monitor.statusOf(key)?.nodes[0]?.counter.http_failure, 1);
  });

  it('only connect where the type is tcp', async (t) => {
    const { monitor, clock, heard } = setUp(t);
    const node = await startNode(t, 500);
    const closed = `127.0.0.1:${await closedPort()}`;
    monitor.put(key, upstreamOf([node.label, closed], { type: 'tcp', unhealthy: { interval: 3, tcp_failures: 1 } }));
    await roundsDone(clock);
    assert.deepEqual([heard, node.requests.length], [[`${closed} unhealthy`], 0]);
    assert.equal(monitor.statusOf(key)?.type, 'tcp');
  });

  it('verify the certificate over https, unless https_verify_certificate is false', async (t) => {
    const { monitor, clock } = setUp(t);
    const serverNames: unknown[] = [];
    const server = createTlsServer({ cert: certificate, key: certificateKey }, (request, response) => {
      serverNames.push('servername' in request.socket && request.socket.servername);
      response.end();
    });
    const nodes = [`127.0.0.1:${await listen(t, server)}`, '127.0.0.2:9'];
    const active = { type: 'https', host: 'gatewright.test' } as const;
    monitor.put(key, upstreamOf(nodes, active));
    await roundsDone(clock);
    assert.equal(monitor.statusOf(key)?.nodes[0]?.counter.tcp_failure, 1);
    assert.deepEqual(serverNames, []);
    monitor.put('routes/1', upstreamOf(nodes, { ...active, https_verify_certificate: false }));
    await until(() => serverNames.length === 1);
    assert.deepEqual(serverNames, ['gatewright.test']);
    assert.equal(monitor.statusOf('routes/1')?.nodes[0]?.counter.tcp_failure, 0);
  });

  it('go on where a probe cannot even be made', async (t) => {
    const { monitor, clock, heard } = setUp(t);
    const nodes = [(await startNode(t)).label, '127.0.0.2:9'];
    const broken = { tls: { client_cert: 'no certificate', client_key: 'no key' } };
    monitor.put(key, upstreamOf(nodes, { type: 'https' }, broken));
    await roundsDone(clock);
    await pass(clock, 7);
    assert.equal(heard.length, 2);
  });

  it('resolve a name, and send it as Host', async (t) => {
    const { monitor, clock } = setUp(t);
    const node = await startNode(t);
    monitor.put(key, upstreamOf([`localhost:${node.port}`, '127.0.0.2:9']));
    await roundsDone(clock);
    assert.equal(node.requests[0]?.headers.host, `localhost:${node.port}`);
    assert.equal(monitor.statusOf(key)?.nodes[0]?.ip, '127.0.0.1');
  });

  it('run no more at once than their concurrency', async (t) => {
    const { monitor, clock } = setUp(t);
    const nodes = await Promise.all(Array.from({ length: 5 }, () => startNode(t, 0)));
    monitor.put(
      key,
      upstreamOf(
        nodes.map(({ label }) => label),
        { timeout: 2, concurrency: 2 },
      ),
    );
    const asked = (): number => nodes.reduce((sum, { requests }) => sum + requests.length, 0);
    await until(() => asked() === 2);
    assert.equal(clock.waitingFor(2000), 2);
    clock.advance(2000);
    await until(() => asked() === 4);
    assert.equal(clock.waitingFor(2000), 2);
  });

  it('leave an only node alone', async (t) => {
    const { monitor } = setUp(t);
    const node = await startNode(t);
    monitor.put(key, upstreamOf([node.label]));
    assert.deepEqual(monitor.statusOf(key), { name: '/apisix/upstreams/1', type: 'http', nodes: [] });
  });
});

describe('createHealthMonitor', () => {
  const passive = { unhealthy: { tcp_failures: 2, timeouts: 3, http_failures: 2 }, healthy: { successes: 1 } };
  const labels = ['127.0.0.1:1', '127.0.0.2:1'];
  const nodes = { '127.0.0.1:1': 1, '127.0.0.2:1': 1 };

  it('counts what workers report (passive checks)', (t) => {
    const { monitor, heard } = setUp(t);
    monitor.put(key, { nodes, checks: { passive } });
    monitor.report(key, '127.0.0.1:1', { kind: 'connect_failed' });
    monitor.report(key, '127.0.0.1:1', { kind: 'connect_failed' });
    monitor.report(key, '127.0.0.2:1', { kind: 'status', status: 500 });
    monitor.report(key, '127.0.0.2:1', { kind: 'status', status: 503 });
    monitor.report(key, '127.0.0.1:1', { kind: 'status', status: 200 });
    assert.deepEqual(heard, ['127.0.0.1:1 unhealthy', '127.0.0.2:1 unhealthy', '127.0.0.1:1 healthy']);
  });

  it('ignores reports of what it does not know', (t) => {
    const { monitor, heard } = setUp(t);
    monitor.put(key, { nodes, checks: { passive: { unhealthy: { timeouts: 1 } } } });
    monitor.report(key, '127.0.0.9:1', { kind: 'timeout' });
    monitor.report('upstreams/9', '127.0.0.1:1', { kind: 'timeout' });
    assert.deepEqual(heard, []);
  });

  it('keeps the health of nodes that stay, and calls those healthy that go', (t) => {
    const { monitor, heard } = setUp(t);
    const checks = { passive: { unhealthy: { timeouts: 1 } } };
    monitor.put(key, { nodes, checks });
    for (const label of labels) monitor.report(key, label, { kind: 'timeout' });
    heard.length = 0;
    monitor.put(key, { nodes: { '127.0.0.1:1': 5, '127.0.0.3:1': 1 }, checks });
    assert.deepEqual(heard, ['127.0.0.2:1 healthy']);
    assert.deepEqual(
      monitor.statusOf(key)?.nodes.map(({ ip, status }) => [ip, status]),
      [
        ['127.0.0.1', 'unhealthy'],
        ['127.0.0.3', 'healthy'],
      ],
    );
    monitor.remove(key);
    assert.deepEqual(heard, ['127.0.0.2:1 healthy', '127.0.0.1:1 healthy']);
    assert.equal(monitor.statusOf(key), undefined);
  });

  it('goes on with its intervals when only nodes change, starts anew when the checks do', async (t) => {
    const { monitor, clock } = setUp(t);
    const node = await startNode(t);
    monitor.put(key, upstreamOf([node.label, '127.0.0.2:9']));
    await roundsDone(clock);
    await pass(clock, 4);
    monitor.put(key, upstreamOf([node.label, '127.0.0.3:9']));
    assert.equal(node.requests.length, 1);
    await pass(clock, 3);
    assert.equal(node.requests.length, 2);
    monitor.put(key, upstreamOf([node.label, '127.0.0.3:9'], { http_path: '/new' }));
    await until(() => node.requests.length === 3);
    assert.equal(node.requests[2]?.url, '/new');
  });

  it('stops checking what is removed or has no checks any more', async (t) => {
    const { monitor, clock } = setUp(t);
    monitor.put(key, upstreamOf(labels));
    monitor.put('routes/1', upstreamOf(labels));
    await until(() => clock.waitingFor(7000) === 2 && clock.waitingFor(3000) === 2);
    monitor.remove(key);
    monitor.put('routes/1', { nodes });
    assert.equal(clock.waiting, 0);
    assert.deepEqual(monitor.status(), []);
  });

  it('tells a new worker all that is not plainly healthy', (t) => {
    const { monitor } = setUp(t);
    monitor.put(key, { nodes, checks: { passive: { unhealthy: { timeouts: 1, tcp_failures: 2 } } } });
    monitor.report(key, '127.0.0.1:1', { kind: 'timeout' });
    monitor.report(key, '127.0.0.2:1', { kind: 'connect_failed' });
    assert.deepEqual(structuredClone(monitor.snapshot()), [
      { type: 'health', key, label: '127.0.0.1:1', healthy: false, settled: true },
      { type: 'health', key, label: '127.0.0.2:1', healthy: true, settled: false },
    ]);
  });
});

describe('answerHealthcheck', () => {
  const checks = { passive: { unhealthy: { http_failures: 1 } } };
  const nodes = { '10.0.0.1:80': 1, '10.0.0.2:80': 1 };

  it('answers one resource, and all: routes, services, upstreams', (t) => {
    const { monitor } = setUp(t);
    for (const resource of ['upstreams/1', 'routes/1', 'services/7']) monitor.put(resource, { nodes, checks });
    monitor.report('routes/1', '10.0.0.2:80', { kind: 'status', status: 500 });
    const counter = { success: 0, http_failure: 0, tcp_failure: 0, timeout_failure: 0 };
    const one = answerHealthcheck(monitor, ['routes', '1'], () => true);
    assert.deepEqual(one, {
      status: 200,
      body: {
        name: '/apisix/routes/1',
        type: 'http',
        nodes: [
          { ip: '10.0.0.1', port: 80, status: 'healthy', counter },
          { ip: '10.0.0.2', port: 80, status: 'unhealthy', counter: { ...counter, http_failure: 1 } },
        ],
      },
    });
    const { status, body } = answerHealthcheck(monitor, [], () => true);
    assert.equal(status, 200);
    assert.ok(Array.isArray(body));
    assert.deepEqual(
      body.map(({ name }: { name: string }) => name),
      ['/apisix/routes/1', '/apisix/services/7', '/apisix/upstreams/1'],
    );
  });

  it("says in APISIX's words why there is nothing", (t) => {
    const { monitor } = setUp(t);
    const exists = (of: string): boolean => of === 'upstreams/2';
    const cases: readonly [string[], number, string][] = [
      [['upstreams'], 404, 'missing src id for src type upstreams'],
      [['consumers', '1'], 400, 'invalid src type consumers'],
      [['upstreams', '1'], 404, 'upstreams[1] not found'],
      [['upstreams', '2'], 404, 'no checker for upstreams[2]'],
    ];
    for (const [segments, status, message] of cases) {
      assert.deepEqual(answerHealthcheck(monitor, segments, exists), { status, body: { error_msg: message } });
    }
  });
});
