/** What the snapshot makes of changes: what a request meets, what is compiled anew, what is disposed, what is refused. */
import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { createExchange } from '../../src/explain/stand-in.ts';
import type { AnyPlugin } from '../../src/plugin/plugin.ts';
import { testDeps } from '../../src/plugin/testing/index.ts';
import { compileVariable } from '../../src/plugin/variables.ts';
import type { ReadyRoute } from '../../src/proxy/pipeline/compiled.ts';
import { createNameResolver } from '../../src/proxy/upstream/discovery/name-resolver.ts';
import { createHealthView } from '../../src/proxy/upstream/health/health-view.ts';
import { CredentialTable } from '../../src/snapshot/credentials.ts';
import { Snapshot } from '../../src/snapshot/snapshot.ts';

/** Counts what is compiled and disposed; its state is its configuration. */
function countingPlugin(
  name: string,
  priority: number,
  more: Partial<AnyPlugin> = {},
): AnyPlugin & { compiled: object[]; disposed: object[] } {
  const compiled: object[] = [];
  const disposed: object[] = [];
  return {
    name,
    priority,
    schema: { type: 'object', properties: { level: { type: 'integer', default: 7 } } },
    compile: (config: object) => {
      if ('broken' in config) throw new Error('broken');
      compiled.push(config);
      return config;
    },
    dispose: (state: object) => void disposed.push(state),
    access: () => undefined,
    compiled,
    disposed,
    ...more,
  };
}

describe('Snapshot', () => {
  let first: ReturnType<typeof countingPlugin>;
  let second: ReturnType<typeof countingPlugin>;
  let credentials: CredentialTable;
  let snapshot: Snapshot;

  beforeEach(() => {
    first = countingPlugin('first', 100);
    second = countingPlugin('second', 50);
    const auth: AnyPlugin = {
      ...countingPlugin('auth', 200),
      type: 'auth',
      credential: { compile: ({ key }: { key: string }) => ({ indexKey: key, state: key }) },
    };
    const plugins = new Map<string, AnyPlugin>([first, second, auth].map((plugin) => [plugin.name, plugin]));
    credentials = new CredentialTable((name) => plugins.get(name));
    snapshot = new Snapshot({
      routerMode: 'radixtree_host_uri',
      plugins: { find: (name) => plugins.get(name), deps: () => testDeps(first) },
      credentials,
      metadata: new Map(),
      target: { resolver: createNameResolver(), health: createHealthView(), compileVariable },
      upstreamDefaults: { poolSize: 1, poolIdleTimeoutMs: 1000, poolRequests: 10 },
      onSsl: () => undefined,
    });
  });

  const apply = (key: string, value: object | undefined): void => {
    assert.deepEqual(snapshot.apply([{ key, value: value === undefined ? undefined : JSON.stringify(value) }]), []);
  };
  const ready = (url = 'http://a.example/x'): ReadyRoute | undefined => {
    const exchange = createExchange(
      { method: 'GET', url, headers: [] },
      {
        realIpFrom: () => false,
        realIpHeader: 'x-real-ip',
        realIpRecursive: false,
        forwardedFrom: () => false,
        underscoresInHeaders: true,
      },
    );
    return snapshot.match(exchange)?.value.ready();
  };
  const names = (route: ReadyRoute | undefined): string[] =>
    (route?.active.route?.plugins ?? []).map((plugin) => plugin.name);
  const nodes = { type: 'roundrobin', nodes: { '127.0.0.1:1': 1 } };
  const consumer = (name: string): NonNullable<ReturnType<ReturnType<CredentialTable['indexOf']>['consumer']>> => {
    const found = credentials.indexOf('auth').consumer(name);
    assert.ok(found);
    return found;
  };

  it('compiles a route on its first request, once', () => {
    apply('routes/1', { uri: '/x', plugins: { first: {} }, upstream: nodes });
    assert.equal(first.compiled.length, 0);
    assert.equal(ready(), ready());
    assert.equal(first.compiled.length, 1);
  });

  it('fills the defaults of a value that was stored without them', () => {
    apply('routes/1', { uri: '/x', plugins: { first: {} }, upstream: nodes });
    ready();
    assert.deepEqual(first.compiled, [{ level: 7 }]);
  });

  it('leaves the other routes compiled when one changes', () => {
    apply('routes/1', { uri: '/x', plugins: { first: {} }, upstream: nodes });
    apply('routes/2', { uri: '/y', plugins: { first: {} }, upstream: nodes });
    const other = ready('http://a.example/y');
    ready();
    apply('routes/1', { uri: '/x', plugins: { second: {} }, upstream: nodes });
    assert.deepEqual(names(ready()), ['second']);
    assert.equal(ready('http://a.example/y'), other);
  });

  it('disposes the old state when the last exchange on it has ended', () => {
    apply('routes/1', { uri: '/x', plugins: { first: {} }, upstream: nodes });
    const pipeline = ready()?.active.route;
    assert.ok(pipeline);
    pipeline.users = 1;
    apply('routes/1', { uri: '/x', upstream: nodes });
    assert.equal(first.disposed.length, 0);
    assert.equal(pipeline.retired, true);
    apply('routes/1', undefined);
    assert.equal(ready(), undefined);
  });

  it('merges service, plugin config and route, the nearest configuration of a plugin winning whole', () => {
    apply('services/s', { plugins: { first: { level: 1, other: 1 }, second: {} }, upstream: nodes });
    apply('plugin_configs/p', { plugins: { first: { level: 2 } } });
    apply('routes/1', { uri: '/x', service_id: 's', plugin_config_id: 'p' });
    assert.deepEqual(names(ready()), ['first', 'second']);
    assert.deepEqual(first.compiled.at(-1), { level: 2 });
    apply('routes/1', { uri: '/x', service_id: 's', plugin_config_id: 'p', plugins: { first: { level: 3 } } });
    ready();
    assert.deepEqual(first.compiled.at(-1), { level: 3 });
  });

  it('shows a change of the service to its routes: plugins, hosts and upstream', () => {
    apply('upstreams/u', nodes);
    apply('services/s', { hosts: ['a.example'], upstream: nodes });
    apply('routes/1', { uri: '/x', service_id: 's' });
    assert.equal(ready()?.upstream?.key, 'services/s');
    apply('services/s', { hosts: ['b.example'], upstream_id: 'u', plugins: { first: {} } });
    assert.equal(ready(), undefined);
    const changed = ready('http://b.example/x');
    assert.equal(changed?.upstream?.key, 'upstreams/u');
    assert.deepEqual(names(changed), ['first']);
  });

  it('compiles anew what uses an upstream, directly or through a service, when it changes', () => {
    apply('upstreams/u', nodes);
    apply('services/s', { upstream_id: 'u' });
    apply('routes/1', { uri: '/x', service_id: 's' });
    apply('routes/2', { uri: '/y', upstream_id: 'u' });
    const before = [ready()?.upstream, ready('http://a.example/y')?.upstream];
    assert.equal(before[0], before[1]);
    apply('upstreams/u', { ...nodes, scheme: 'https' });
    assert.equal(ready()?.upstream?.scheme, 'https');
    assert.equal(ready('http://a.example/y')?.upstream?.scheme, 'https');
  });

  it('fails closed where a plugin is unknown or a reference is missing', () => {
    apply('routes/1', { uri: '/x', plugins: { nobody: {} }, upstream: nodes });
    assert.throws(() => ready(), /unknown plugin \[nobody\]/);
    apply('routes/1', { uri: '/x', service_id: 'gone' });
    assert.throws(() => ready(), /service gone does not exist/);
    apply('routes/1', { uri: '/x', plugin_config_id: 'gone', upstream: nodes });
    assert.throws(() => ready(), /plugin config gone does not exist/);
    apply('routes/1', { uri: '/x', upstream_id: 'gone' });
    assert.throws(() => ready(), /upstream gone does not exist/);
  });

  it('serves no disabled route', () => {
    apply('routes/1', { uri: '/x', upstream: nodes });
    apply('routes/1', { uri: '/x', status: 0, upstream: nodes });
    assert.equal(ready(), undefined);
  });

  it('reports an item that cannot be used, keeps its last good value and applies the others (apisix#12834)', () => {
    apply('global_rules/1', { plugins: { first: {} } });
    const errors = snapshot.apply([
      { key: 'global_rules/1', value: '{"plugins":{"first":{"broken":true}}}' },
      { key: 'global_rules/2', value: '{"plugins":{"second":{}}}' },
    ]);
    assert.deepEqual(errors, [{ key: 'global_rules/1', message: 'broken' }]);
    assert.deepEqual(
      snapshot.global?.plugins.map((plugin) => plugin.name),
      ['first', 'second'],
    );
    assert.equal(first.disposed.length, 0);
  });

  it('disposes only the rule that changed', () => {
    apply('global_rules/1', { plugins: { first: {} } });
    apply('global_rules/2', { plugins: { second: {} } });
    apply('global_rules/2', { plugins: { second: { level: 2 } } });
    assert.equal(first.disposed.length, 0);
    assert.equal(second.disposed.length, 1);
    apply('global_rules/1', undefined);
    assert.equal(first.disposed.length, 1);
  });

  it('merges consumer over group over route, and only for that consumer', () => {
    apply('consumer_groups/g', { plugins: { first: { level: 2 }, second: { level: 2 } } });
    apply('consumers/jack', { username: 'jack', group_id: 'g', plugins: { auth: { key: 'k' }, first: { level: 3 } } });
    apply('consumers/rose', { username: 'rose', plugins: { auth: { key: 'r' } } });
    apply('routes/1', { uri: '/x', plugins: { first: { level: 1 } }, upstream: nodes });
    const route = ready();
    assert.ok(route);
    assert.equal(route.forConsumer(consumer('rose')), route.active);
    const jack = route.forConsumer(consumer('jack'));
    assert.deepEqual(
      jack.route?.plugins.map((plugin) => [plugin.name, plugin.fromConsumer]),
      [
        ['first', true],
        ['second', true],
      ],
    );
    assert.deepEqual(first.compiled.at(-1), { level: 3 });
    assert.equal(route.forConsumer(consumer('jack')), jack);
    apply('consumers/jack', { username: 'jack', group_id: 'g', plugins: { auth: { key: 'k' } } });
    route.forConsumer(consumer('jack'));
    assert.deepEqual(first.compiled.at(-1), { level: 2 });
    assert.equal(jack.route.retired, true);
  });

  it('fails closed for a consumer whose group does not exist', () => {
    apply('consumers/jack', { username: 'jack', group_id: 'gone', plugins: { auth: { key: 'k' } } });
    apply('routes/1', { uri: '/x', upstream: nodes });
    assert.throws(() => ready()?.forConsumer(consumer('jack')), /consumer group gone does not exist/);
  });

  it('finds credentials at once, and no more after they changed or went', () => {
    const find = (key: string): string | undefined => {
      const found = credentials.indexOf('auth').find(key);
      return found === undefined ? undefined : `${found.consumer.username}/${found.consumer.credentialId ?? '-'}`;
    };
    apply('consumers/jack/credentials/c1', { plugins: { auth: { key: 'early' } } });
    assert.equal(find('early'), undefined);
    apply('consumers/jack', { username: 'jack', plugins: { auth: { key: 'own' } } });
    assert.equal(find('early'), 'jack/c1');
    assert.equal(find('own'), 'jack/-');
    apply('consumers/jack/credentials/c1', { plugins: { auth: { key: 'later' } } });
    assert.deepEqual([find('early'), find('later')], [undefined, 'jack/c1']);
    apply('consumers/jack', undefined);
    assert.deepEqual([find('own'), find('later')], [undefined, undefined]);
  });
});
