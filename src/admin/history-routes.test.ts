import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { createRegistry } from '../plugins/registry.ts';
import { certificate, certificateKey } from '../resources/certificate.fixture.ts';
import { mask } from '../resources/secret-fields.ts';
import { encryptStore } from '../store/encrypted-store.ts';
import { defaultRetention } from '../store/history.ts';
import { MemoryStore } from '../store/memory.ts';
import { adminKey, startAdmin, viewerKey, type Admin, type Answer } from './admin.fixture.ts';

const nodes = { type: 'roundrobin', nodes: { '127.0.0.1:1': 1 } };
const route = (uri: string): object => ({ uri, upstream: nodes });
const jack = (key: string, username = 'jack'): object => ({ username, plugins: { 'key-auth': { key } } });
const viewer = { 'x-api-key': viewerKey };
const message = ({ body }: Answer): unknown => body.error_msg;

const listOf = (body: { list: Record<string, unknown>[] }): Record<string, unknown>[] => body.list;

/** Everything in the store but the times. */
async function content(admin: Admin): Promise<Record<string, unknown>> {
  const { entries } = await admin.store.list('');
  return Object.fromEntries(
    entries.map(({ key, value }) => [key, { ...(JSON.parse(value) as object), update_time: 0, create_time: 0 }]),
  );
}

describe('the record of a change', () => {
  test('says who, from where, by what, which resource and which fields; the newest first', async (t) => {
    const other = 'another-admin-key-0123456789abcdef';
    const admin = startAdmin(t, {
      keys: [
        { name: 'ops', key: adminKey, role: 'admin' },
        { name: 'deploy', key: other, role: 'admin' },
      ],
    });
    await admin.done('PUT', '/routes/1', route('/a'));
    await admin.done('PUT', '/routes/1', { ...route('/b'), hosts: ['a.test'] }, { 'x-api-key': other });
    await admin.done('PATCH', '/routes/1', { hosts: null });
    const { id } = (await admin.done('POST', '/upstreams', nodes)).body.value;
    await admin.done('DELETE', '/routes/1', undefined, { 'x-api-key': other });
    const { body } = await admin.done('GET', '/history');
    assert.equal(body.total, 5);
    for (const { time, address } of body.list) {
      assert.ok(Math.abs(Date.parse(time) - Date.now()) < 60_000);
      assert.equal(address, '127.0.0.1');
    }
    assert.deepEqual(
      listOf(body).map(({ time: _time, address: _address, ...entry }) => entry),
      [
        { revision: 5, who: 'deploy', action: 'DELETE', resource: 'routes/1', change: 'deleted', fields: [] },
        { revision: 4, who: 'ops', action: 'POST', resource: `upstreams/${id}`, change: 'created', fields: [] },
        {
          revision: 3,
          who: 'ops',
          action: 'PATCH',
          resource: 'routes/1',
          change: 'updated',
          fields: [{ path: 'hosts', from: ['a.test'] }],
        },
        {
          revision: 2,
          who: 'deploy',
          action: 'PUT',
          resource: 'routes/1',
          change: 'updated',
          fields: [
            { path: 'uri', from: '/a', to: '/b' },
            { path: 'hosts', to: ['a.test'] },
          ],
        },
        { revision: 1, who: 'ops', action: 'PUT', resource: 'routes/1', change: 'created', fields: [] },
      ],
    );
    const text = JSON.stringify(await admin.store.history?.find({ limit: 100 })) + admin.logged.join('\n');
    for (const key of [adminKey, other]) assert.ok(!text.includes(key), 'a key of the Admin API is in the history');
  });

  test('names no key where none is asked for', async (t) => {
    const admin = startAdmin(t, { keyRequired: false });
    await admin.done('PUT', '/routes/1', route('/a'));
    assert.equal((await admin.done('GET', '/history')).body.list[0].who, 'no key');
  });

  test('is none of a change that was refused', async (t) => {
    const admin = startAdmin(t);
    assert.equal((await admin.call('PUT', '/routes/1', { uri: 7 })).status, 400);
    assert.equal((await admin.call('PUT', '/routes/1', route('/a'), viewer)).status, 401);
    assert.equal((await admin.call('DELETE', '/routes/1')).status, 404);
    assert.deepEqual((await admin.done('GET', '/history')).body, { total: 0, list: [] });
  });

  test('of a consumer that goes holds its credentials', async (t) => {
    const admin = startAdmin(t);
    await admin.done('PUT', '/consumers', { username: 'jack' });
    await admin.done('PUT', '/consumers/jack/credentials/c', { plugins: { 'key-auth': { key: 'k' } } });
    await admin.done('DELETE', '/consumers/jack');
    const { body } = await admin.done('GET', '/history/3');
    assert.deepEqual(
      listOf(body).map(({ resource, change, after }) => [resource, change, after]),
      [
        ['consumers/jack', 'deleted', null],
        ['consumers/jack/credentials/c', 'deleted', null],
      ],
    );
    assert.equal(body.list[0].before.username, 'jack');
  });
});

describe('the list', () => {
  test('is filtered by resource, who, time and revision, and paged', async (t) => {
    const admin = startAdmin(t);
    for (const id of ['1', '2', '3']) await admin.done('PUT', `/routes/${id}`, route(`/${id}`));
    await admin.done('PUT', '/consumers', { username: 'jack' });
    const found = async (query: string): Promise<string[]> =>
      listOf((await admin.done('GET', `/history?${query}`)).body).map(({ resource }) => String(resource));
    assert.deepEqual(await found('resource=routes/2'), ['routes/2']);
    assert.deepEqual(await found('resource=/apisix/routes/2'), ['routes/2']);
    assert.deepEqual(await found('resource=routes'), ['routes/3', 'routes/2', 'routes/1']);
    assert.deepEqual(await found('page_size=2&page=2'), ['routes/2', 'routes/1']);
    assert.deepEqual(await found('revision=4'), ['consumers/jack']);
    assert.equal((await found('who=admin')).length, 4);
    assert.deepEqual(await found('who=nobody'), []);
    assert.equal((await found('since=2020-01-01T00:00:00Z&until=2999-01-01')).length, 4);
    assert.deepEqual(await found(`since=${String(Math.ceil(Date.now() / 1000) + 60)}`), []);
    assert.deepEqual((await admin.done('GET', '/history?resource=routes&page_size=1')).body.total, 3);
  });

  for (const [query, expected] of [
    ['page_size=0', 'invalid argument page_size: expected a whole number from 1 to 500'],
    ['page_size=501', 'invalid argument page_size: expected a whole number from 1 to 500'],
    ['page=x', 'invalid argument page: expected a whole number from 1'],
    ['since=yesterday', 'invalid argument since: expected a date such as 2026-01-31T12:00:00Z, or seconds'],
  ] as const) {
    test(`refuses ${query}`, async (t) => {
      const answer = await startAdmin(t).call('GET', `/history?${query}`);
      assert.deepEqual([answer.status, message(answer)], [400, expected]);
    });
  }

  test('a revision that it does not know is answered 404, and 405 where no history is kept', async (t) => {
    const answer = await startAdmin(t).call('GET', '/history/7');
    assert.deepEqual([answer.status, message(answer)], [404, 'the history does not know revision 7']);
    const without = new MemoryStore(
      { onError: assert.fail, onWarning: assert.fail },
      { ...defaultRetention, entries: 0 },
    );
    const admin = startAdmin(t, { store: without });
    for (const [method, path] of [
      ['GET', '/history'],
      ['GET', '/history/1'],
      ['POST', '/history/1/rollback'],
    ] as const) {
      const refused = await admin.call(method, path);
      assert.deepEqual([refused.status, message(refused)], [405, 'no history is kept (gatewright.history.entries)']);
    }
  });
});

describe('secrets', () => {
  const secrets = async (t: TestContext): Promise<Admin> => {
    const admin = startAdmin(t);
    for (const key of ['secret-one', 'secret-two']) await admin.done('PUT', '/consumers', jack(key));
    await admin.done('PUT', '/ssls/1', { sni: 'gatewright.test', cert: certificate, key: certificateKey });
    await admin.done('DELETE', '/ssls/1');
    return admin;
  };

  test('are masked for every role, but that one was changed is told', async (t) => {
    const admin = await secrets(t);
    for (const headers of [{}, viewer]) {
      const answers: Answer[] = [];
      for (const path of ['', '/1', '/2', '/3', '/4', '?resource=consumers/jack'])
        answers.push(await admin.done('GET', `/history${path}`, undefined, headers));
      const text = JSON.stringify(answers);
      assert.doesNotMatch(text, /secret-(one|two)|PRIVATE KEY/);
      assert.deepEqual(answers[2]?.body.list[0].fields, [{ path: 'plugins.key-auth.key', from: mask, to: mask }]);
    }
    const rollback = await admin.done('POST', '/history/1/rollback');
    assert.doesNotMatch(JSON.stringify(rollback.body), /secret-(one|two)/);
    assert.doesNotMatch(admin.logged.join('\n'), /secret-(one|two)/);
  });

  test('are shown to a key with the role admin that asks for them, and not to a viewer', async (t) => {
    const admin = await secrets(t);
    for (const path of ['/history', '/history/2']) {
      const { body } = await admin.done('GET', `${path}?show_secrets=true`);
      assert.match(JSON.stringify(body), /secret-one.*secret-two/);
      const refused = await admin.call('GET', `${path}?show_secrets=true`, undefined, viewer);
      assert.deepEqual([refused.status, message(refused)], [403, 'show_secrets needs a key with the role admin']);
    }
  });
});

describe('a rollback', () => {
  test('brings every resource back to how it was right after a revision, as one change that is recorded', async (t) => {
    const admin = startAdmin(t);
    await admin.done('PUT', '/upstreams/u', nodes);
    await admin.done('PUT', '/routes/1', { uri: '/a', upstream_id: 'u' });
    await admin.done('PUT', '/consumers', jack('secret-one'));
    await admin.done('PUT', '/consumers/jack/credentials/c', { plugins: { 'key-auth': { key: 'k' } } });
    const before = await content(admin);
    await admin.done('PUT', '/consumers', jack('secret-two'));
    await admin.done('DELETE', '/routes/1');
    await admin.done('DELETE', '/upstreams/u');
    await admin.done('DELETE', '/consumers/jack');
    await admin.done('PUT', '/routes/2', route('/new'));
    const answer = await admin.done('POST', '/history/4/rollback');
    assert.deepEqual(answer.body, {
      revision: 10,
      dry_run: false,
      list: [
        { resource: 'consumers/jack', change: 'created', fields: [] },
        { resource: 'consumers/jack/credentials/c', change: 'created', fields: [] },
        { resource: 'routes/1', change: 'created', fields: [] },
        { resource: 'routes/2', change: 'deleted', fields: [] },
        { resource: 'upstreams/u', change: 'created', fields: [] },
      ],
    });
    assert.equal(answer.headers['etag'], '"10"');
    assert.deepEqual(await content(admin), before);
    assert.equal(admin.published.at(-1), 10, 'it is answered when the workers serve it');
    const recorded = (await admin.done('GET', '/history?revision=10')).body;
    assert.equal(recorded.total, 5);
    for (const { who, action } of recorded.list) assert.deepEqual([who, action], ['admin', 'rollback to 4']);
    await admin.done('POST', '/history/9/rollback');
    assert.deepEqual(Object.keys(await content(admin)), ['routes/2'], 'the way back can be gone back');
  });

  test('keeps when a resource was made, and says that it is changed now', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: 1_800_000_000_000 });
    const admin = startAdmin(t);
    await admin.done('PUT', '/routes/1', route('/a'));
    await admin.done('DELETE', '/routes/1');
    t.mock.timers.setTime(1_800_000_100_000);
    await admin.done('POST', '/history/1/rollback');
    const { value } = (await admin.done('GET', '/routes/1')).body;
    assert.deepEqual([value.create_time, value.update_time], [1_800_000_000, 1_800_000_100]);
  });

  test('of some resources leaves the others, and takes along what stands under them', async (t) => {
    const admin = startAdmin(t);
    await admin.done('PUT', '/routes/1', route('/a'));
    await admin.done('PUT', '/routes/10', route('/b'));
    await admin.done('PUT', '/consumers', { username: 'jack' });
    await admin.done('PUT', '/consumers/jack/credentials/c', { plugins: { 'key-auth': { key: 'k' } } });
    await admin.done('DELETE', '/consumers/jack');
    for (const id of ['1', '10']) await admin.done('PATCH', `/routes/${id}`, { uri: '/changed' });
    await admin.done('POST', '/history/4/rollback', { resources: ['routes/1', '/apisix/consumers/jack'] });
    const { entries } = await admin.store.list('');
    assert.deepEqual(
      entries.map(({ key, value }) => [key, (JSON.parse(value) as { uri?: string }).uri]),
      [
        ['consumers/jack', undefined],
        ['consumers/jack/credentials/c', undefined],
        ['routes/1', '/a'],
        ['routes/10', '/changed'],
      ],
    );
    const unknown = await admin.call('POST', '/history/4/rollback', { resources: ['routes/7'] });
    assert.deepEqual(
      [unknown.status, message(unknown)],
      [404, 'there is no resource routes/7, now or since revision 4'],
    );
  });

  test('changes nothing where nothing differs, and nothing as a dry run', async (t) => {
    const admin = startAdmin(t);
    await admin.done('PUT', '/routes/1', route('/a'));
    await admin.done('PUT', '/routes/1', route('/b'));
    await admin.done('PUT', '/routes/1', route('/a'));
    const published = admin.published.length;
    assert.deepEqual((await admin.done('POST', '/history/1/rollback')).body, { revision: 3, dry_run: false, list: [] });
    const dry = await admin.done('POST', '/history/2/rollback', { dry_run: true });
    assert.deepEqual(dry.body, {
      revision: 3,
      dry_run: true,
      list: [{ resource: 'routes/1', change: 'updated', fields: [{ path: 'uri', from: '/a', to: '/b' }] }],
    });
    assert.equal((await admin.store.list('')).revision, 3);
    assert.equal(admin.published.length, published);
  });

  test('is refused where the store is not at the revision that If-Match names', async (t) => {
    const admin = startAdmin(t);
    await admin.done('PUT', '/routes/1', route('/a'));
    await admin.done('PUT', '/routes/1', route('/b'));
    await admin.done('PUT', '/routes/2', route('/c'));
    const refused = await admin.call('POST', '/history/1/rollback', {}, { 'if-match': '"2"' });
    assert.deepEqual(
      [refused.status, message(refused)],
      [412, 'the store is not at the revision that If-Match names: it is at 3'],
    );
    await admin.done('POST', '/history/1/rollback', {}, { 'if-match': '"3"' });
  });

  test('and the history stand in the OpenAPI document', async (t) => {
    const { paths } = (await startAdmin(t).done('GET', '/openapi.json')).body;
    const names = (path: string, method: string): string[] =>
      (paths[`/apisix/admin${path}`][method].parameters as { name: string }[]).map(({ name }) => name);
    assert.deepEqual(names('/history', 'get').slice(0, 3), ['show_secrets', 'resource', 'who']);
    assert.deepEqual(names('/history/{revision}', 'get'), ['revision', 'show_secrets']);
    assert.deepEqual(names('/history/{revision}/rollback', 'post'), ['revision', 'show_secrets', 'If-Match']);
  });

  test('is refused to a viewer', async (t) => {
    const admin = startAdmin(t);
    await admin.done('PUT', '/routes/1', route('/a'));
    const refused = await admin.call('POST', '/history/0/rollback', {}, viewer);
    assert.equal(refused.status, 401);
    assert.equal(refused.body.description, 'invalid method for role viewer');
    assert.deepEqual(Object.keys(await content(admin)), ['routes/1']);
  });

  test('is refused to a revision that is not known', async (t) => {
    const admin = startAdmin(t);
    await admin.done('PUT', '/routes/1', route('/a'));
    const refused = await admin.call('POST', '/history/2/rollback');
    const expected = 'there is no way back to revision 2: the history knows the revisions from 0 to 1';
    assert.deepEqual([refused.status, message(refused)], [404, expected]);
  });

  for (const body of [
    [],
    { resources: 'routes/1' },
    { resources: [7] },
    { resources: [''] },
    { dry_run: 1 },
    { all: true },
  ]) {
    test(`refuses the body ${JSON.stringify(body)}`, async (t) => {
      const admin = startAdmin(t);
      await admin.done('PUT', '/routes/1', route('/a'));
      assert.equal((await admin.call('POST', '/history/0/rollback', body)).status, 400);
      assert.deepEqual(Object.keys(await content(admin)), ['routes/1']);
    });
  }

  /** The rollback is refused for `reason`, and the store is as it was. */
  const refuses = async (admin: Admin, revision: number, reason: string, body?: object): Promise<void> => {
    const before = await admin.store.list('');
    const answer = await admin.call('POST', `/history/${String(revision)}/rollback`, body);
    assert.deepEqual(
      [answer.status, message(answer)],
      [400, `cannot roll back to revision ${String(revision)}: ${reason}`],
    );
    assert.deepEqual(await admin.store.list(''), before);
  };

  test('cannot bring back a key that another consumer has by now', async (t) => {
    const admin = startAdmin(t);
    await admin.done('PUT', '/consumers', jack('shared'));
    await admin.done('PUT', '/consumers', jack('other'));
    await admin.done('PUT', '/consumers', jack('shared', 'jill'));
    await refuses(admin, 1, 'consumers/jack: duplicate key found with consumer: jill', {
      resources: ['consumers/jack'],
    });
    // Together they go back, for then jill was not there.
    await admin.done('POST', '/history/1/rollback');
    assert.deepEqual(Object.keys(await content(admin)), ['consumers/jack']);
    // And two may exchange their keys.
    await admin.done('PUT', '/consumers', jack('second', 'jill'));
    const { revision } = await admin.store.list('');
    await admin.done('PUT', '/consumers', jack('third'));
    await admin.done('PUT', '/consumers', jack('shared', 'jill'));
    await admin.done('PUT', '/consumers', jack('second'));
    await admin.done('POST', `/history/${String(revision)}/rollback`);
    const back = await content(admin);
    assert.match(JSON.stringify(back['consumers/jack']), /"shared"/);
    assert.match(JSON.stringify(back['consumers/jill']), /"second"/);
    const third = await admin.call('PUT', '/consumers', jack('shared', 'joe'));
    assert.equal(message(third), 'duplicate key found with consumer: jack', 'the rule knows of what was rolled back');
  });

  test('cannot bring back what points at something that is gone, nor take away what is pointed at', async (t) => {
    const admin = startAdmin(t);
    await admin.done('PUT', '/upstreams/u', nodes);
    await admin.done('PUT', '/routes/1', { uri: '/a', upstream_id: 'u' });
    await refuses(admin, 0, 'upstreams/u: can not delete this upstream, route [1] is still using it now', {
      resources: ['upstreams'],
    });
    await admin.done('PUT', '/routes/1', route('/a'));
    await admin.done('DELETE', '/upstreams/u');
    await refuses(admin, 2, 'routes/1: failed to fetch upstream info by upstream id [u], response code: 404', {
      resources: ['routes/1'],
    });
  });

  test('cannot bring back a credential without its consumer, nor a consumer away from it', async (t) => {
    const admin = startAdmin(t);
    await admin.done('PUT', '/consumers', { username: 'jack' });
    await admin.done('PUT', '/consumers/jack/credentials/c', { plugins: { 'key-auth': { key: 'k' } } });
    await admin.done('DELETE', '/consumers/jack');
    await refuses(admin, 2, 'consumers/jack/credentials/c: consumer not found', {
      resources: ['consumers/jack/credentials/c'],
    });
    await admin.store.commit([
      { type: 'put', key: 'consumers/joe/credentials/c', value: '{"plugins":{}}' },
      { type: 'put', key: 'consumers/joe', value: '{"username":"joe"}' },
    ]);
    await admin.done('PUT', '/consumers/joe/credentials/d', { plugins: { 'key-auth': { key: 'd' } } });
    await admin.done('POST', '/history/3/rollback');
    assert.deepEqual(Object.keys(await content(admin)), []);
  });

  test('cannot bring back what would be refused today', async (t) => {
    const admin = startAdmin(t);
    const put = (value: object): Promise<unknown> =>
      admin.store.commit([{ type: 'put', key: 'routes/1', value: JSON.stringify(value) }]);
    await put({ ...route('/a'), plugins: { gone: {} } });
    await put({ uri: 7 });
    await admin.done('PUT', '/routes/1', route('/a'));
    await refuses(admin, 1, 'routes/1: unknown plugin [gone]');
    await refuses(
      admin,
      2,
      'routes/1: invalid configuration: property "uri" validation failed: wrong type: expected string, got number',
    );
  });

  test('cannot take a consumer away from a credential that stays', async (t) => {
    const admin = startAdmin(t);
    const put = (key: string, value: object): Promise<unknown> =>
      admin.store.commit([{ type: 'put', key, value: JSON.stringify(value) }]);
    await put('consumers/joe/credentials/c', { plugins: {} });
    await put('consumers/joe', { username: 'joe' });
    await refuses(admin, 1, 'consumers/joe: its credential consumers/joe/credentials/c would be left behind');
  });

  test('brings back no secret that no key of the keyring opens', async (t) => {
    const below = new MemoryStore({ onError: assert.fail, onWarning: assert.fail });
    t.after(() => below.close());
    const registry = createRegistry(['key-auth']);
    const lost = encryptStore(below, ['fedcba9876543210'], registry);
    await lost.commit([{ type: 'put', key: 'consumers/jack', value: JSON.stringify(jack('secret')) }]);
    const admin = startAdmin(t, { store: encryptStore(below, ['0123456789abcdef'], registry), registry });
    await admin.done('PUT', '/consumers', jack('another'));
    const answer = await admin.call('POST', '/history/1/rollback');
    assert.deepEqual(
      [answer.status, message(answer)],
      [
        400,
        'cannot roll back to revision 1: consumers/jack: a secret was encrypted by a key that is not in the keyring',
      ],
    );
    assert.equal((await below.list('')).revision, 2);
  });

  test('cannot bring back what a runner of plugins refuses', async (t) => {
    let refuse = false;
    const runnerRefusal = (): Promise<string | undefined> => Promise.resolve(refuse ? 'no runner knows it' : undefined);
    const admin = startAdmin(t, { runnerRefusal });
    await admin.done('PUT', '/routes/1', route('/a'));
    await admin.done('PUT', '/routes/1', route('/b'));
    refuse = true;
    await refuses(admin, 1, 'routes/1: no runner knows it');
  });

  test('writes no mask in the place of a secret', async (t) => {
    const admin = startAdmin(t);
    // However it got into the store.
    await admin.store.commit([{ type: 'put', key: 'consumers/jack', value: JSON.stringify(jack(mask)) }]);
    await admin.done('PUT', '/consumers', jack('secret'));
    await refuses(admin, 1, 'consumers/jack: plugins.key-auth.key is a mask, not a secret');
  });

  test('and writes that come at the same time: every change is whole, and none is lost from the history', async (t) => {
    const admin = startAdmin(t, {}, true);
    for (const id of ['1', '2']) await admin.done('PUT', `/routes/${id}`, route('/a'));
    const answers = await Promise.all([
      admin.call('PUT', '/routes/1', route('/b')),
      admin.call('POST', '/history/2/rollback'),
      admin.call('PUT', '/routes/2', route('/b')),
      admin.call('POST', '/history/1/rollback'),
      admin.call('PUT', '/routes/3', route('/c')),
      admin.call('POST', '/history/2/rollback'),
    ]);
    for (const { status, body } of answers) assert.ok(status < 300, JSON.stringify(body));
    const now = await content(admin);
    const at = async (revision: number): Promise<object> => {
      const state = { ...now };
      for (const [key, text] of (await admin.store.history?.since(revision))?.values ?? []) {
        if (text === undefined) Reflect.deleteProperty(state, key);
        else state[key] = { ...(JSON.parse(text) as object), update_time: 0, create_time: 0 };
      }
      return state;
    };
    const { revision } = await admin.store.list('');
    const { entries } = (await admin.store.history?.find({ limit: 100 })) ?? { entries: [] };
    assert.deepEqual(
      [...new Set(entries.map((entry) => entry.revision))].toReversed(),
      Array.from({ length: revision }, (_, i) => i + 1),
    );
    for (const { revision: made, action } of entries) {
      const to = /^rollback to (\d+)$/.exec(action)?.[1];
      if (to !== undefined)
        assert.deepEqual(await at(made), await at(Number(to)), `revision ${String(made)}: ${action}`);
    }
  });
});
