/** A route is judged once, by what was asked for: whoever rewrites path or host afterwards changes what goes upstream, not the verdict. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { type Gateway, startGateway } from '../gateway.ts';
import { request } from '../request.ts';
import { put as putResource } from '../resources.ts';
import { type FakeRunner, startFakeRunner } from '../runners/fake-runner.ts';
import { rewrite } from '../runners/runner-messages.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';

const pluginFile = `
import { definePlugin } from 'gatewright/plugin';
export default definePlugin({
  name: 'moves',
  priority: 400,
  schema: { type: 'object', properties: { path: { type: 'string' }, host: { type: 'string' } }, required: ['path'] },
  beforeProxy(to, exchange) { Object.assign(exchange.upstream, to); },
});
`;
const openHost = 'open.test';

/** Each writes `path` and the open host after authentication. */
const writers: Record<string, (path: string) => object> = {
  'proxy-rewrite': (path) => ({ 'proxy-rewrite': { uri: path, host: openHost } }),
  'a serverless function': (path) => ({
    'serverless-post-function': {
      phase: 'before_proxy',
      functions: [`(conf, { upstream }) => void Object.assign(upstream, { path: '${path}', host: '${openHost}' })`],
    },
  }),
  'a plugin file': (path) => ({ moves: { path, host: openHost } }),
  'a runner': (path) => ({ 'ext-plugin-post-req': { conf: [{ name: 'moves', value: path }] } }),
};

describe('a route that is guarded', () => {
  let gateway: Gateway;
  let upstream: TestUpstream;
  let other: TestUpstream;
  let runner: FakeRunner;
  before(async () => {
    [upstream, other] = await Promise.all([startUpstream(), startUpstream()]);
    runner = await startFakeRunner({
      request: (call, conf) => rewrite(call.id, { path: conf?.conf[0]?.[1] ?? '', headers: [['host', openHost]] }),
    });
    gateway = await startGateway({
      settings: {
        plugin_dirs: ['plugins'],
        gatewright: { code_in_config: true },
        'ext-plugin': { path_for_test: runner.socket },
      },
      files: { 'plugins/moves.ts': pluginFile },
    });
    const put = (path: string, body: object): Promise<void> => putResource(gateway, path, body);
    const to = ({ node }: TestUpstream): object => ({ type: 'roundrobin', nodes: { [node]: 1 } });
    await put('/consumers', { username: 'jack', plugins: { 'key-auth': { key: 'jack-key' } } });
    // What is rewritten to: open on one host, guarded on the other.
    await put('/routes/open', { uri: '/open', host: openHost, upstream: to(other) });
    await put('/routes/guarded', { uri: '/guarded', plugins: { 'key-auth': {} }, upstream: to(other) });
    for (const [i, plugins] of Object.values(writers).entries()) {
      const keyed = { 'key-auth': {}, ...plugins('/open') };
      await put(`/routes/keyed-${String(i)}`, { uri: `/keyed-${String(i)}`, plugins: keyed, upstream: to(upstream) });
      await put(`/routes/free-${String(i)}`, {
        uri: `/free-${String(i)}`,
        plugins: plugins('/guarded'),
        upstream: to(upstream),
      });
      await put(`/routes/escape-${String(i)}`, {
        uri: `/escape-${String(i)}`,
        plugins: plugins('/open/../guarded'),
        upstream: to(upstream),
      });
    }
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await runner[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
    await other[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    upstream.requests.length = 0;
    other.requests.length = 0;
  });

  for (const [i, writer] of Object.keys(writers).entries()) {
    it(`stays guarded where ${writer} writes the path and host of an open one`, async () => {
      assert.equal((await request(gateway, `/keyed-${String(i)}`)).status, 401);
      assert.equal(upstream.requests.length, 0);
      assert.equal((await request(gateway, `/keyed-${String(i)}`, { apikey: 'jack-key' })).status, 200);
      assert.equal(upstream.requests.length, 1);
      const [sent] = upstream.requests;
      assert.deepEqual([sent?.url, sent?.headers.host], ['/open', openHost]);
      // Nothing was routed again.
      assert.deepEqual(other.requests, []);
    });

    it(`is not reached where ${writer} writes its path: the upstream stays the route’s own`, async () => {
      assert.equal((await request(gateway, `/free-${String(i)}`)).status, 200);
      assert.equal(upstream.requests.length, 1);
      assert.deepEqual(other.requests, []);
      assert.equal((await request(gateway, `/escape-${String(i)}`)).status, 400);
      assert.equal(upstream.requests.length, 1);
    });
  }
});
