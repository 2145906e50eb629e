/** Explain over real plugins: what it says of a request is what the gateway does with it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { explain } from '../../src/explain/explain.ts';
import { renderReport } from '../../src/explain/render.ts';
import type { ExplainReport, ExplainRequest } from '../../src/explain/report.ts';
import { compileAddressMatcher } from '../../src/address/cidr.ts';
import { createExchange } from '../../src/explain/stand-in.ts';
import type { BalancedEndpoint } from '../../src/proxy/upstream/balancers/balancer.ts';
import type { PeerTrust } from '../../src/proxy/exchange.ts';
import { createSnapshot, type Resources } from '../wire/snapshot.ts';

const trust: PeerTrust = {
  realIpFrom: compileAddressMatcher(['127.0.0.1']),
  realIpHeader: 'x-real-ip',
  realIpRecursive: false,
  forwardedFrom: () => false,
  underscoresInHeaders: true,
};

const resources: Resources = {
  'consumers/jack': { username: 'jack', plugins: { 'key-auth': { key: 'jack-secret-key' } } },
  'consumers/rose': { username: 'rose', group_id: 'g1', plugins: { 'ip-restriction': { blacklist: ['10.0.0.0/8'] } } },
  'consumers/rose/credentials/c1': { plugins: { 'key-auth': { key: 'rose-secret-key' } } },
  'consumer_groups/g1': { plugins: { 'response-rewrite': { headers: { set: { 'X-Group': 'g1' } } } } },
  'upstreams/u1': { nodes: { '127.0.0.1:1980': 1 }, pass_host: 'rewrite', upstream_host: 'inner.example' },
  'routes/1': {
    name: 'nexus',
    uri: '/nexus/*',
    host: 'ops.example.com',
    plugins: {
      'key-auth': {},
      'consumer-restriction': { whitelist: ['rose'] },
      'ip-restriction': { blacklist: ['192.0.2.0/24'] },
      'proxy-rewrite': { regex_uri: ['^/nexus/(.*)', '/inner/$1'] },
    },
    upstream_id: 'u1',
  },
  'routes/2': { uri: '/nexus/*', host: 'other.example.com', upstream_id: 'u1' },
  'routes/3': { uri: '/vars', vars: [['http_apikey', '==', 'a-secret-in-vars']], upstream_id: 'u1' },
  'routes/4': { uri: '/bare', plugins: { 'ip-restriction': { whitelist: ['127.0.0.1'] } } },
};

async function ask(url: string, request: Partial<ExplainRequest> = {}): Promise<ExplainReport> {
  return explain({ method: 'GET', url, headers: [], ...request }, { snapshot: createSnapshot(resources), trust });
}

const verdicts = (report: ExplainReport): string[] =>
  report.steps.map(({ plugin, phase, verdict }) => `${plugin} ${phase} ${verdict}`);

describe('explain', () => {
  it('names the plugin that refuses, its reason, and the plugins that were not reached', async () => {
    const report = await ask('http://ops.example.com/nexus/');
    assert.deepEqual(report.route, { id: '1', name: 'nexus', uri: '/nexus/*' });
    assert.deepEqual(report.outcome, { status: 401, reason: 'key-auth.missing', detail: undefined });
    assert.deepEqual(verdicts(report), [
      'key-auth rewrite refused',
      'proxy-rewrite rewrite not reached',
      'ip-restriction access not reached',
      'consumer-restriction access not reached',
    ]);
    assert.equal(report.consumer, undefined);
    assert.equal(report.upstream, undefined);
  });

  it('names the consumer that a key finds, and who refuses it', async () => {
    const report = await ask('http://ops.example.com/nexus/', { headers: [['apikey', 'jack-secret-key']] });
    assert.deepEqual(report.consumer, { username: 'jack', credentialId: undefined, groupId: undefined });
    assert.equal(report.outcome.status, 403);
    assert.equal(report.outcome.reason, 'consumer-restriction.not_whitelisted');
  });

  it('shows request line, Host and node where the request goes upstream', async () => {
    const report = await ask('http://ops.example.com/nexus/a%20b?apikey=rose-secret-key');
    assert.deepEqual(report.outcome, { status: undefined, reason: undefined, detail: undefined });
    assert.deepEqual(report.consumer, { username: 'rose', credentialId: 'c1', groupId: 'g1' });
    assert.deepEqual(report.upstream, {
      key: 'upstreams/u1',
      node: '127.0.0.1:1980',
      scheme: 'http',
      method: 'GET',
      target: '/inner/a%20b?apikey=***',
      host: 'inner.example',
    });
  });

  it("lists a consumer's and its group's plugins in the place of the route's", async () => {
    const report = await ask('http://ops.example.com/nexus/', {
      headers: [['apikey', 'rose-secret-key']],
      remoteAddress: '10.1.2.3',
    });
    assert.equal(report.outcome.reason, 'ip-restriction.blacklisted');
    assert.deepEqual(
      report.steps.map(({ plugin, from, verdict }) => `${plugin} ${from} ${verdict}`),
      [
        'key-auth route passed',
        'proxy-rewrite route passed',
        'ip-restriction consumer refused',
        'consumer-restriction route not reached',
        'response-rewrite consumer on response',
      ],
    );
  });

  it('says why the nearest routes do not match', async () => {
    const report = await ask('http://third.example.com/nexus/');
    assert.equal(report.route, undefined);
    assert.equal(report.outcome.status, 404);
    assert.equal(report.outcome.reason, 'ROUTE_NOT_FOUND');
    assert.deepEqual(
      report.misses.slice(0, 2).map(({ id, reason }) => `${id} ${reason}`),
      ['1 host', '2 host'],
    );
  });

  it('refuses what the parser and the path normaliser refuse', async () => {
    const above = await ask('http://ops.example.com/../etc/passwd');
    assert.equal(above.outcome.status, 400);
    assert.equal(above.outcome.reason, 'REQUEST_PATH_REFUSED');
    assert.equal(above.path, undefined);
    assert.equal((await ask('http://ops.example.com/a#b')).outcome.status, 400);
    assert.equal((await ask('http://ops.example.com/a', { method: 'BREW' })).outcome.status, 501);
    assert.equal((await ask('http://ops.example.com/a', { method: 'TRACE' })).outcome.status, 405);
    assert.equal((await ask('http://ops.example.com/a', { headers: [['X-A', 'b\r\nX-C: d']] })).outcome.status, 400);
    assert.equal((await ask('ftp://ops.example.com/a')).outcome.status, 400);
  });

  it('shows the normalised path that rules see', async () => {
    assert.equal((await ask('http://ops.example.com//nexus/x/%2e%2e/y')).path, '/nexus/y');
  });

  it("takes the client's address from the header of a trusted peer only", async () => {
    const headers = [
      ['apikey', 'rose-secret-key'],
      ['X-Real-IP', '10.1.2.3'],
    ] as const;
    assert.equal(
      (await ask('http://ops.example.com/nexus/', { headers })).outcome.reason,
      'ip-restriction.blacklisted',
    );
    const direct = await ask('http://ops.example.com/nexus/', { headers, remoteAddress: '198.51.100.1' });
    assert.equal(direct.outcome.status, undefined);
  });

  it('says that a route has no upstream', async () => {
    const report = await ask('http://any.example.com/bare');
    assert.deepEqual(verdicts(report), ['ip-restriction access passed']);
    assert.equal(report.outcome.reason, 'UPSTREAM_MISSING');
    assert.equal(report.outcome.status, 503);
  });

  it('runs global rules for a request that no route matches', async () => {
    const snapshot = createSnapshot({
      'global_rules/1': { plugins: { 'ip-restriction': { blacklist: ['127.0.0.1'] } } },
    });
    const report = await explain({ method: 'GET', url: 'http://a/', headers: [] }, { snapshot, trust });
    assert.equal(report.outcome.reason, 'ip-restriction.blacklisted');
    assert.deepEqual(
      report.steps.map(({ from, verdict }) => `${from} ${verdict}`),
      ['global_rule refused'],
    );
  });

  it('holds no credential, of the request or of a rule', async () => {
    for (const headers of [
      [['apikey', 'rose-secret-key']],
      [['Authorization', 'Bearer jack-secret-key']],
      [],
    ] as const) {
      for (const path of ['/nexus/?apikey=jack-secret-key&x=rose-secret-key', '/vars?token=jack-secret-key', '/vars']) {
        const report = await ask(`http://ops.example.com${path}`, { headers });
        assert.doesNotMatch(JSON.stringify(report) + renderReport(report), /secret/);
      }
    }
  });

  it('leaves nothing behind: endpoint and pipelines are given back', async () => {
    const snapshot = createSnapshot({
      'routes/1': {
        uri: '/*',
        plugins: { 'key-auth': {} },
        upstream: { type: 'least_conn', nodes: { '127.0.0.1:1': 1 } },
      },
      'routes/2': { uri: '/open', upstream: { type: 'least_conn', nodes: { '127.0.0.1:1': 1 } } },
    });
    for (const path of ['/', '/open']) {
      const request = { method: 'GET', url: `http://a${path}`, headers: [] };
      await explain(request, { snapshot, trust });
      const exchange = createExchange(request, trust);
      const ready = snapshot.match(exchange)?.value.ready();
      assert.equal(ready?.active.route?.users, 0);
      const endpoint = ready.upstream?.target.pick(exchange, []) as BalancedEndpoint;
      assert.equal(endpoint.active, 1);
    }
  });
});

describe('explain and limits', () => {
  it('takes nothing from a quota', async () => {
    const snapshot = createSnapshot({
      'routes/1': {
        uri: '/*',
        plugins: { 'limit-count': { count: 1, time_window: 600, key: 'remote_addr' } },
        upstream: { nodes: { '127.0.0.1:1': 1 } },
      },
    });
    for (let i = 0; i < 3; i++) {
      const report = await explain({ method: 'GET', url: 'http://a.example/', headers: [] }, { snapshot, trust });
      assert.equal(report.outcome.status, undefined);
      assert.deepEqual(report.steps.map(({ plugin, verdict }) => [plugin, verdict]).slice(0, 1), [
        ['limit-count', 'passed'],
      ]);
    }
  });
});
