import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { Upstream } from '../../resources/upstream.ts';
import { createRandom } from '../../random.fixture.ts';
import { exchangeFrom } from './balancers/endpoint.fixture.ts';
import { startDnsServer, type DnsServer } from './discovery/dns-server.fixture.ts';
import { createManualClock, type ManualClock } from './discovery/manual-clock.fixture.ts';
import { createNameResolver, type NameResolver } from './discovery/name-resolver.ts';
import { createHealthView, type HealthView } from './health/health-view.ts';
import { createTarget, type Endpoint, type UpstreamTarget } from './target.ts';

const exchange = exchangeFrom('192.0.2.1');
const checks = { active: {} };

interface Setup {
  readonly health: HealthView;
  readonly clock: ManualClock;
  readonly resolver: NameResolver;
  create(upstream: Upstream): UpstreamTarget;
}

function setUp(t: TestContext, server?: DnsServer): Setup {
  const clock = createManualClock();
  const resolver = createNameResolver({
    ...(server && { servers: [server.address] }),
    hostsFile: '/dev/null',
    clock,
  });
  t.after(() => {
    resolver.dispose();
  });
  const health = createHealthView();
  const deps = { key: 'upstreams/1', resolver, health, clock, random: () => 0 };
  return {
    health,
    clock,
    resolver,
    create: (upstream) => createTarget(upstream, { ...deps, compileVariable: () => () => undefined }),
  };
}

/** Labels of the endpoints that a request meets which fails everywhere. */
function retryOrder(target: UpstreamTarget): string[] {
  const tried: Endpoint[] = [];
  for (let endpoint = target.pick(exchange, tried); endpoint; endpoint = target.pick(exchange, tried)) {
    tried.push(endpoint);
    target.done(endpoint, { latencyMs: 1, failed: true });
  }
  return tried.map(({ label }) => label);
}

/** How often each address is picked by requests that end at once. */
function countAddresses(target: UpstreamTarget, requests: number): Record<string, number> {
  const counts: Record<string, number> = {};
  for (let i = 0; i < requests; i++) {
    const endpoint = target.pick(exchange, []);
    assert.ok(endpoint);
    counts[endpoint.address] = (counts[endpoint.address] ?? 0) + 1;
    target.done(endpoint, { latencyMs: 1, failed: false });
  }
  return counts;
}

describe('createTarget with addresses', () => {
  it('gives the only node to every request, ready at once, and nothing after it was tried', (t) => {
    const target = setUp(t).create({ nodes: { '10.0.0.1:8080': 1 } });
    assert.equal(target.ready(), undefined);
    const endpoint = target.pick(exchange, []);
    assert.deepEqual([endpoint?.host, endpoint?.port, endpoint?.address], ['10.0.0.1', 8080, '10.0.0.1']);
    assert.equal(target.pick(exchange, []), endpoint);
    assert.ok(endpoint);
    assert.equal(target.pick(exchange, [endpoint]), undefined);
    assert.equal(target.nodeCount, 1);
  });

  it('connects to an IPv6 address without brackets and labels it with them', (t) => {
    const endpoint = setUp(t)
      .create({ nodes: { '[::1]:8080': 1 } })
      .pick(exchange, []);
    assert.deepEqual([endpoint?.address, endpoint?.label], ['::1', '[::1]:8080']);
  });

  it('sends nothing to a node of weight 0, even where it is the only one', (t) => {
    const { create } = setUp(t);
    const target = create({ nodes: { '10.0.0.1:80': 0, '10.0.0.2:80': 1, '10.0.0.3:80': 1 } });
    assert.deepEqual(countAddresses(target, 10), { '10.0.0.2': 5, '10.0.0.3': 5 });
    assert.equal(target.nodeCount, 2);
    assert.equal(create({ nodes: { '10.0.0.1:80': 0 } }).pick(exchange, []), undefined);
    assert.equal(create({ nodes: {} }).pick(exchange, []), undefined);
  });

  it('spreads by weight (roundrobin where no type is given)', (t) => {
    const target = setUp(t).create({ nodes: { '10.0.0.1:80': 3, '10.0.0.2:80': 1 } });
    assert.deepEqual(countAddresses(target, 400), { '10.0.0.1': 300, '10.0.0.2': 100 });
  });

  for (const type of ['roundrobin', 'chash', 'least_conn', 'ewma'] as const) {
    it(`tries all nodes of the highest priority before any lower one (${type})`, (t) => {
      const target = setUp(t).create({
        type,
        nodes: [
          { host: '10.0.0.5', port: 80, weight: 1, priority: -1 },
          { host: '10.0.0.1', port: 80, weight: 1, priority: 10 },
          { host: '10.0.0.3', port: 80, weight: 1 },
          { host: '10.0.0.2', port: 80, weight: 9, priority: 10 },
        ],
      });
      for (let i = 0; i < 20; i++) {
        const order = retryOrder(target);
        assert.deepEqual(order.slice(0, 2).sort(), ['10.0.0.1:80', '10.0.0.2:80']);
        assert.deepEqual(order.slice(2), ['10.0.0.3:80', '10.0.0.5:80']);
      }
    });
  }

  it('counts a request as active until it is done (least_conn)', (t) => {
    const target = setUp(t).create({ type: 'least_conn', nodes: { '10.0.0.1:80': 1, '10.0.0.2:80': 1 } });
    const [a, b] = [target.pick(exchange, []), target.pick(exchange, [])];
    assert.ok(a && b);
    assert.notEqual(a, b);
    target.done(b, { latencyMs: 1, failed: false });
    assert.equal(target.pick(exchange, []), b);
  });

  it('learns latencies from what is done (ewma)', (t) => {
    const { clock, create } = setUp(t);
    const target = create({ type: 'ewma', nodes: { '10.0.0.1:80': 1, '10.0.0.2:80': 1 } });
    for (let i = 0; i < 50; i++) {
      const endpoint = target.pick(exchange, []);
      assert.ok(endpoint);
      clock.advance(10);
      target.done(endpoint, { latencyMs: endpoint.address === '10.0.0.1' ? 5 : 300, failed: false });
    }
    assert.deepEqual(countAddresses(target, 20), { '10.0.0.1': 20 });
  });

  it('hashes by the configured key (chash)', (t) => {
    const { resolver, health } = setUp(t);
    const variable = createRandom(3).unit;
    const target = createTarget(
      { type: 'chash', key: 'arg_id', nodes: { '10.0.0.1:80': 1, '10.0.0.2:80': 1 } },
      { key: 'routes/1', resolver, health, compileVariable: (name) => () => `${name}${variable()}` },
    );
    assert.equal(Object.keys(countAddresses(target, 100)).length, 2);
  });
});

describe('createTarget and health', () => {
  const nodes = [
    { host: '10.0.0.1', port: 80, weight: 1 },
    { host: '10.0.0.2', port: 80, weight: 1 },
    { host: '10.0.0.9', port: 80, weight: 1, priority: -1 },
  ];

  it('leaves out an unhealthy node, also for retries, until it is healthy again', (t) => {
    const { health, create } = setUp(t);
    const target = create({ nodes, checks });
    assert.equal(retryOrder(target).length, 3);
    health.set('upstreams/1', '10.0.0.1:80', false);
    assert.deepEqual(retryOrder(target), ['10.0.0.2:80', '10.0.0.9:80']);
    health.set('upstreams/1', '10.0.0.1:80', true);
    assert.equal(retryOrder(target).length, 3);
  });

  it('goes to a lower priority where the higher is unhealthy throughout', (t) => {
    const { health, create } = setUp(t);
    const target = create({ nodes, checks });
    health.set('upstreams/1', '10.0.0.1:80', false);
    health.set('upstreams/1', '10.0.0.2:80', false);
    assert.deepEqual(countAddresses(target, 5), { '10.0.0.9': 5 });
  });

  it('uses all nodes where all are unhealthy', (t) => {
    const { health, create } = setUp(t);
    const target = create({ nodes, checks });
    for (const { host } of nodes) health.set('upstreams/1', `${host}:80`, false);
    assert.deepEqual(retryOrder(target).toSorted(), ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.9:80']);
  });

  it('uses an only node whatever its health', (t) => {
    const { health, create } = setUp(t);
    const target = create({ nodes: { '10.0.0.1:80': 1 }, checks });
    health.set('upstreams/1', '10.0.0.1:80', false);
    assert.equal(target.pick(exchange, [])?.address, '10.0.0.1');
  });

  it("does not mind another resource's health, nor any without checks", (t) => {
    const { health, create } = setUp(t);
    const checked = create({ nodes, checks });
    const unchecked = create({ nodes });
    health.set('upstreams/2', '10.0.0.1:80', false);
    assert.equal(retryOrder(checked).length, 3);
    health.set('upstreams/1', '10.0.0.1:80', false);
    assert.equal(retryOrder(unchecked).length, 3);
  });

  it('keeps what is active over a change of health (least_conn)', (t) => {
    const { health, create } = setUp(t);
    const target = create({
      type: 'least_conn',
      nodes: { '10.0.0.1:80': 1, '10.0.0.2:80': 1, '10.0.0.3:80': 1 },
      checks,
    });
    const [busy] = [target.pick(exchange, []), target.pick(exchange, [])];
    health.set('upstreams/1', '10.0.0.2:80', false);
    assert.equal(target.pick(exchange, [])?.address, '10.0.0.3');
    assert.equal(busy?.address, '10.0.0.1');
  });
});

describe('createTarget and names', () => {
  async function setUpNames(t: TestContext): Promise<Setup & { readonly server: DnsServer }> {
    const server = await startDnsServer();
    t.after(() => server.close());
    return { ...setUp(t, server), server };
  }

  it('is ready once the name is resolved, then takes turns over its addresses', async (t) => {
    const { server, create } = await setUpNames(t);
    server.zone.names.set('a.test', { a: ['10.0.0.1', '10.0.0.2'], ttl: 60 });
    const target = create({ nodes: { 'a.test:8080': 1 } });
    assert.equal(server.questions.length, 0);
    const ready = target.ready();
    assert.ok(ready);
    assert.equal(target.pick(exchange, []), undefined);
    assert.equal(target.nodeCount, 1);
    await ready;
    assert.equal(target.ready(), undefined);
    assert.equal(target.nodeCount, 2);
    assert.deepEqual(countAddresses(target, 10), { '10.0.0.1': 5, '10.0.0.2': 5 });
    const endpoint = target.pick(exchange, []);
    assert.deepEqual([endpoint?.host, endpoint?.label, endpoint?.port], ['a.test', 'a.test:8080', 8080]);
    assert.deepEqual(retryOrder(target), ['a.test:8080', 'a.test:8080']);
  });

  it("shares a node's weight between the addresses of its name", async (t) => {
    const { server, resolver, create } = await setUpNames(t);
    server.zone.names.set('a.test', { a: ['10.0.0.1', '10.0.0.2'], ttl: 60 });
    const target = create({ nodes: { 'a.test:80': 1, '10.0.0.9:80': 1 } });
    // A node that needs no name makes it ready at once; the name joins when its answer comes.
    assert.equal(target.ready(), undefined);
    assert.deepEqual(countAddresses(target, 3), { '10.0.0.9': 3 });
    await resolver.ensure(resolver.name('a.test'));
    assert.deepEqual(countAddresses(target, 400), { '10.0.0.1': 100, '10.0.0.2': 100, '10.0.0.9': 200 });
  });

  it('follows a name to its new addresses', async (t) => {
    const { server, clock, create } = await setUpNames(t);
    server.zone.names.set('a.test', { a: ['10.0.0.1'], ttl: 60 });
    const target = create({ nodes: { 'a.test:80': 1 } });
    await target.ready();
    assert.deepEqual(countAddresses(target, 2), { '10.0.0.1': 2 });
    server.zone.names.set('a.test', { a: ['10.0.0.7'], ttl: 60 });
    clock.advance(120_000);
    await target.ready();
    assert.deepEqual(countAddresses(target, 2), { '10.0.0.7': 2 });
  });

  it('waits for the first name that has an address, not for all', async (t) => {
    const { server, create } = await setUpNames(t);
    server.zone.names.set('good.test', { a: ['10.0.0.1'], ttl: 60 });
    const target = create({ nodes: { 'no.test:80': 1, 'good.test:80': 1 } });
    await target.ready();
    assert.deepEqual(countAddresses(target, 2), { '10.0.0.1': 2 });
  });

  it('has no endpoint where no name can be resolved, and does not wait again at each request', async (t) => {
    const { create } = await setUpNames(t);
    const target = create({ nodes: { 'no.test:80': 1, 'none.test:80': 1 } });
    await target.ready();
    assert.equal(target.pick(exchange, []), undefined);
    assert.equal(target.ready(), undefined);
  });
});
