import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { ItemCheck } from './item-check.ts';
import { createLogger } from './observability/error-log.ts';
import { type AnyPlugin, definePlugin } from './plugin/plugin.ts';
import { createRegistry } from './plugins/registry.ts';
import type { Change } from './store/store.ts';

const put = (key: string, value: object): Change => ({
  key,
  entry: { key, value: JSON.stringify(value), createdIndex: 1, modifiedIndex: 1 },
});
const gone = (key: string): Change => ({ key, entry: undefined });
const consumer = (username: string, key: string): Change =>
  put(`consumers/${username}`, { username, plugins: { 'key-auth': { key } } });

describe('items of a file', () => {
  let check: ItemCheck;
  /** What is served: key → the key-auth key, or the uri. */
  let served: Map<string, string>;
  beforeEach(() => {
    check = new ItemCheck(createRegistry(undefined), createLogger({ level: 'error', write: () => undefined }));
    served = new Map();
  });
  const change = (...changes: Change[]): Record<string, string> => {
    for (const [key, { value: text, problem }] of check.accept(changes)) {
      if (text === undefined) served.delete(key);
      else if (problem !== undefined) served.set(key, `refused: ${text}`);
      else {
        const value = JSON.parse(text) as { uri?: string; plugins?: { 'key-auth'?: { key: string } } };
        served.set(key, value.uri ?? value.plugins?.['key-auth']?.key ?? '');
      }
    }
    return Object.fromEntries(served);
  };

  it('are served with their defaults', () => {
    const accepted = check.accept([put('routes/1', { id: '1', uri: '/a', plugins: { 'key-auth': {} } })]);
    const value = JSON.parse(accepted.get('routes/1')?.value ?? '') as {
      status: number;
      plugins: Record<string, object>;
    };
    assert.equal(value.status, 1);
    assert.deepEqual((value.plugins['key-auth'] as { header: string }).header, 'apikey');
  });

  it('a secret that the gateway made is the same for every worker that reads the same item, and new for a new one', () => {
    const jwt = (desc: string): Change =>
      put('consumers/jack', { username: 'jack', desc, plugins: { 'jwt-auth': { key: 'k' } } });
    const [first, second] = [check.accept([jwt('a')]), check.accept([jwt('a')])];
    assert.match(first.get('consumers/jack')?.value ?? '', /"secret":"[A-Za-z0-9+/]{43}="/);
    assert.deepEqual(second, first);
    assert.notDeepEqual(check.accept([jwt('b')]), first);
  });

  it('that are refused keep their last good value', () => {
    change(put('routes/1', { uri: '/a', plugins: {} }));
    const after = change(
      put('routes/1', { uri: '/b', plugins: { nope: {} } }),
      put('routes/2', { uri: 7, plugins: {} }),
    );
    assert.deepEqual(after, { 'routes/1': '/a' });
    assert.equal(check.problems.length, 2);
    assert.match(check.problems[0] ?? '', /^routes\/1: unknown plugin \[nope\]$/);
    assert.deepEqual(change(gone('routes/1')), {});
  });

  it('a route that never was good refuses the requests it was meant for, until it is good or gone', () => {
    const matching = {
      hosts: ['a.example'],
      methods: ['GET'],
      vars: [['arg_a', '==', '1']],
      priority: 3,
      service_id: 's',
    };
    const route = { uri: '/a', ...matching, desc: 'x', plugins: { nope: {} } };
    const [key, text = ''] = Object.entries(change(put('routes/1', route)))[0] ?? [];
    assert.equal(key, 'routes/1');
    assert.deepEqual(JSON.parse(text.replace('refused: ', '')), { uri: '/a', ...matching });
    assert.deepEqual(change(put('routes/1', { ...route, plugins: {} })), { 'routes/1': '/a' });
    change(put('routes/2', { uri: '/b', plugins: { nope: {} } }));
    assert.deepEqual(change(gone('routes/2')), { 'routes/1': '/a' });
  });

  it('a condition of a refused route that cannot be used is left out; without a path, nothing stands for it', () => {
    const refused = (fields: object): unknown => {
      const [only] = check.accept([put('routes/1', fields)]).values();
      check.accept([gone('routes/1')]);
      return only && (JSON.parse(only.value ?? '') as unknown);
    };
    const conditions = {
      methods: ['GETT'],
      remote_addr: 'nowhere',
      hosts: ['a b'],
      vars: [['a', 'nope', 'b']],
      priority: 'x',
    };
    assert.deepEqual(refused({ uri: '/a', ...conditions, host: 'a.example' }), { uri: '/a', host: 'a.example' });
    assert.deepEqual(refused({ uris: ['/a', '/b'], upstream: 7 }), { uris: ['/a', '/b'] });
    const both = { uri: '/a', uris: ['/b'], host: 'a.example', hosts: ['b.example'], plugins: {} };
    assert.deepEqual(refused(both), { uris: ['/b', '/a'], hosts: ['b.example', 'a.example'] });
    assert.equal(refused({ uri: 7, plugins: {} }), undefined);
    assert.equal(refused({ uri: '/a', status: 0, plugins: { nope: {} } }), undefined);
  });

  it('a global rule that never was good refuses all requests; other items are left out', () => {
    const bad = { plugins: { nope: {} } };
    const after = change(
      put('global_rules/1', bad),
      put('services/1', bad),
      put('consumers/jack', { username: 'jack', ...bad }),
    );
    assert.deepEqual(after, { 'global_rules/1': 'refused: {}' });
    assert.deepEqual(change(gone('global_rules/1')), {});
  });

  it('a credential has one owner: the second claim is refused', () => {
    const after = change(consumer('jack', 'k'), consumer('jill', 'k'));
    assert.deepEqual(after, { 'consumers/jack': 'k' });
    assert.deepEqual(check.problems, ['consumers/jill: duplicate key found with consumer: jack']);
  });

  it("a refused claim is served as soon as the owner lets go, though the item's own text did not change", () => {
    change(consumer('jack', 'k'), consumer('jill', 'k'));
    assert.deepEqual(change(consumer('jack', 'other')), { 'consumers/jack': 'other', 'consumers/jill': 'k' });
    change(consumer('jill', 'k2'));
    assert.deepEqual(change(gone('consumers/jack')), { 'consumers/jill': 'k2' });
  });

  it('two consumers may exchange their credentials in one change', () => {
    change(consumer('jack', '1'), consumer('jill', '2'));
    assert.deepEqual(change(consumer('jack', '2'), consumer('jill', '1')), {
      'consumers/jack': '2',
      'consumers/jill': '1',
    });
    assert.deepEqual(check.problems, []);
  });

  it('that refer to nothing are named', async () => {
    change(put('routes/1', { uri: '/a', upstream_id: 'u' }), put('routes/2', { uri: '/b', service_id: 's' }));
    change(put('upstreams/u', { type: 'roundrobin', nodes: { '127.0.0.1:1': 1 } }));
    assert.deepEqual(await check.missingReferences(), [
      'routes/2: failed to fetch service info by service id [s], response code: 404',
    ]);
  });

  it('a plugin whose file was swapped owns the keys that its new version makes', () => {
    const badge = (keyOf: (token: string) => string): AnyPlugin =>
      definePlugin<object, object, { token: string }>({
        name: 'badge',
        priority: 1,
        type: 'auth',
        schema: { type: 'object' },
        consumerSchema: { type: 'object' },
        credential: { compile: ({ token }) => ({ indexKey: keyOf(token), state: undefined }) },
        compile: (config) => config,
      });
    let registry = createRegistry(undefined, [badge((token) => token)]);
    const swapped = new ItemCheck(
      { get: (name) => registry.get(name), list: () => registry.list() },
      createLogger({ level: 'error', write: () => undefined }),
    );
    const carry = (username: string, token: string): boolean =>
      swapped
        .accept([put(`consumers/${username}`, { username, plugins: { badge: { token } } })])
        .get(`consumers/${username}`)?.value !== undefined;
    assert.ok(carry('ann', 'Red'));
    registry = createRegistry(undefined, [badge((token) => token.toLowerCase())]);
    assert.ok(!carry('bob', 'RED'));
    assert.match(swapped.problems.at(-1) ?? '', /duplicate key found with consumer: ann/);
    registry = createRegistry(undefined, [badge((token) => token)]);
    assert.ok(carry('eve', 'red'));
  });
});
