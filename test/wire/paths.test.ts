/**
 * The path that rules see and the path that the upstream gets name the same resource, or the request is refused
 * (CVE-2021-43557, CVE-2025-32431, CVE-2019-9901, CVE-2021-29492).
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { definePlugin } from '../../src/plugin/plugin.ts';
import { startGateway, startUpstream, type Upstream } from './gateway.ts';
import type { Resources } from './snapshot.ts';

/** Refuses everything under `/admin`: by the path that it sees. */
const guard = definePlugin<object, undefined>({
  name: 'test-guard',
  priority: 3000,
  schema: { type: 'object' },
  compile: () => undefined,
  access: (_state, exchange) =>
    exchange.path.startsWith('/admin') ? { status: 403, body: 'guarded', reason: 'test-guard.refused' } : undefined,
});

/** `/admin/*` is guarded, `/*` is open, `/strip/*` loses its first segment. */
const routes = (upstream: Upstream): Resources => ({
  'upstreams/u': { nodes: upstream.nodes },
  'routes/admin': { uri: '/admin/*', upstream_id: 'u', plugins: { 'test-guard': {} } },
  'routes/open': { uri: '/*', upstream_id: 'u', plugins: { 'test-guard': {} } },
  'routes/strip': {
    uri: '/strip/*',
    upstream_id: 'u',
    plugins: { 'proxy-rewrite': { regex_uri: ['^/strip/(.*)', '/$1'] } },
  },
});

/** What a lenient backend makes of a path: decodes twice, folds backslashes, drops parameters, resolves dots. */
function resolvedByBackend(target: string): string {
  let path = target.split('?')[0] ?? '';
  for (let i = 0; i < 2; i++)
    path = path.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  path = path
    .replace(/\xc0\xae|\xe0\x80\xae/g, '.')
    .replace(/\xc0\xaf|\xe0\x80\xaf/g, '/')
    .replaceAll('\\', '/')
    .replace(/;[^/]*/g, '');
  const kept: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '..') kept.pop();
    else if (segment !== '' && segment !== '.') kept.push(segment);
  }
  return `/${kept.join('/')}`;
}

const spellings = [
  '/admin/x',
  '//admin/x',
  '///admin//x',
  '/./admin/x',
  '/a/../admin/x',
  '/a/b/../../admin/x',
  '/a/%2e%2e/admin/x',
  '/a/%2E%2e/admin/x',
  '/a/.%2e/admin/x',
  '/%2e/admin/x',
  '/%2fadmin/x',
  '/a%2f..%2fadmin/x',
  '/a/..%2fadmin/x',
  '/%61dmin/x',
  '/admin%2fx',
  '/a\\..\\admin/x',
  '/a%5c..%5cadmin/x',
  '/a/..%5cadmin/x',
  '/%5cadmin/x',
  '/a/..;/admin/x',
  '/a/..;b=c/admin/x',
  '/a/%2e%2e;/admin/x',
  '/a/..%3b/admin/x',
  '/.;/admin/x',
  '/admin%00/x',
  '/%00/../admin/x',
  '/admin/x%0a',
  '/a/%c0%ae%c0%ae/admin/x',
  '/a/%c0%ae%c0%ae%c0%afadmin/x',
  '/a/%e0%80%ae./admin/x',
  '/../admin/x',
  '/%2e%2e/admin/x',
  '/a/../../admin/x',
  '/admin/../admin/x',
  '/admin/%',
  '/admin/%4',
  '/admin/%zz',
  '/x/..%c0%afadmin/x',
];

describe('a guarded path', () => {
  for (const spelling of spellings) {
    it(`is refused, guarded or harmless: ${spelling}`, async () => {
      await using upstream = await startUpstream();
      await using gateway = await startGateway({ resources: routes(upstream), plugins: [guard] });
      using client = await gateway.connect();
      client.write(`GET ${spelling} HTTP/1.1\r\nHost: a.example\r\n\r\n`);
      const { status } = await client.response();
      assert.ok([200, 400, 403].includes(status), `${status}`);
      assert.equal(upstream.requests.length, status === 200 ? 1 : 0);
      for (const { target } of upstream.requests) assert.doesNotMatch(resolvedByBackend(target), /^\/admin/, target);
    });

    it(`is not reached through a rewritten path: /strip${spelling}`, async () => {
      await using upstream = await startUpstream();
      await using gateway = await startGateway({ resources: routes(upstream), plugins: [guard] });
      using client = await gateway.connect();
      client.write(`GET /strip${spelling} HTTP/1.1\r\nHost: a.example\r\n\r\n`);
      const { status } = await client.response();
      assert.ok([200, 400, 403].includes(status), `${status}`);
      // The rewriting itself may name /admin; dots, slashes and their spellings must not be left for the backend to resolve.
      for (const { target } of upstream.requests)
        assert.doesNotMatch(target, /\/\.{1,2}(?:[/;]|$)|%2e|%5c|%00|\\/i, target);
    });
  }
});

describe('the target upstream', () => {
  const upstreamTarget = async (target: string, route: object = {}): Promise<string | number> => {
    await using upstream = await startUpstream();
    await using gateway = await startGateway({
      resources: { 'routes/1': { uri: '/*', upstream: { nodes: upstream.nodes }, ...route } },
    });
    using client = await gateway.connect();
    client.write(`GET ${target} HTTP/1.1\r\nHost: a.example\r\n\r\n`);
    const { status } = await client.response();
    return upstream.requests[0]?.target ?? status;
  };

  it('is the one that was sent, where nothing in it needs resolving', async () => {
    for (const target of [
      '/',
      '/a%20b',
      '/a%2Fb',
      '/%e4%bd%a0',
      '/a;b=c',
      "/!$&'()*+,;=:@",
      '/a?x=/../y&z=%2e%2e',
      '/a?',
      '/a??b',
    ])
      assert.equal(await upstreamTarget(target), target === '/a?' ? '/a' : target);
  });

  it('is resolved and encoded again, where it had dots or double slashes', async () => {
    assert.equal(await upstreamTarget('/a/./b//c/../d%20e/%E4%BD%A0?q=1'), '/a/b/d%20e/%E4%BD%A0?q=1');
    assert.equal(await upstreamTarget('/a//b%252e%252e/c'), '/a/b%252e%252e/c');
    assert.equal(await upstreamTarget('/a/..'), '/');
    assert.equal(await upstreamTarget('/a/b/.'), '/a/b/');
  });

  it('keeps the query from being a path', async () => {
    assert.equal(await upstreamTarget('/a%3fb/c?d'), '/a%3fb/c?d');
  });

  it('carries no line break that a rewriting put in (apisix#13787)', async () => {
    for (const uri of ['/x/$arg_v', '/x$arg_v']) {
      for (const value of ['%0d%0aX-Injected:%201', '%0a', '%20HTTP/1.1%0d%0aHost:%20evil%0d%0a%0d%0a', '%00', '%23']) {
        const target = await upstreamTarget(`/?v=${value}`, { plugins: { 'proxy-rewrite': { uri } } });
        // eslint-disable-next-line no-control-regex -- control bytes are what is looked for
        if (typeof target === 'string') assert.doesNotMatch(target, /[\x00-\x20#]/);
        else assert.equal(target, 400);
      }
    }
  });
});

describe('a guarded path, read as a servlet container does', () => {
  it('is guarded whatever parameters its segments have, and parameters go upstream', async () => {
    await using upstream = await startUpstream();
    await using gateway = await startGateway({
      resources: routes(upstream),
      plugins: [guard],
      trust: { servletPaths: true },
    });
    const ask = async (target: string): Promise<number> => {
      using client = await gateway.connect();
      client.write(`GET ${target} HTTP/1.1\r\nHost: a.example\r\n\r\n`);
      return (await client.response()).status;
    };
    for (const target of ['/admin;a=1/x', '/;x/admin/y', '/admin;/x;b', '/x;/../admin/y']) {
      assert.equal(await ask(target), 403, target);
    }
    for (const target of ['/a/..;/admin/x', '/..;x/admin/y']) assert.equal(await ask(target), 400, target);
    assert.equal(upstream.requests.length, 0);
    assert.equal(await ask('/open;v=1/a;b?c;d'), 200);
    assert.equal(upstream.requests[0]?.target, '/open;v=1/a;b?c;d');
  });
});
