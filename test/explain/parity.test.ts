/** Explain and the request path, side by side: the same requests to both end in the same way, for the same reason. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { explain } from '../../src/explain/explain.ts';
import type { UpstreamRequest } from '../../src/plugin/exchange.ts';
import { definePlugin } from '../../src/plugin/plugin.ts';
import { distrust as trust, type Gateway, startGateway, startUpstream, type Upstream } from '../wire/gateway.ts';
import { createSnapshot, type Resources } from '../wire/snapshot.ts';

/** Throws, at once or later. */
const faulty = definePlugin<{ later: boolean }, boolean>({
  name: 'test-faulty',
  priority: 1,
  schema: { type: 'object', properties: { later: { type: 'boolean', default: false } } },
  compile: ({ later }) => later,
  access: (later) => {
    if (later) return Promise.reject(new Error('secret'));
    throw new Error('secret');
  },
});

/** Writes what no upstream may get. */
const escaping = definePlugin<Partial<UpstreamRequest>, Partial<UpstreamRequest>>({
  name: 'test-escaping',
  priority: 1,
  schema: { type: 'object' },
  compile: (config) => config,
  rewrite: (config, exchange) => {
    Object.assign(exchange.upstream, config);
  },
});
const escapes = { path: '/a/../b', query: 'a b', method: 'GET /', host: 'a/b' };

const resources = (upstream: Upstream): Resources => ({
  'consumers/jack': {
    username: 'jack',
    plugins: { 'key-auth': { key: 'k-jack' }, 'proxy-rewrite': { uri: '/for-jack' } },
  },
  'consumers/rose': { username: 'rose', plugins: { 'key-auth': { key: 'k-rose' } } },
  'global_rules/1': { plugins: { 'ip-restriction': { blacklist: ['192.0.2.1'] } } },
  'upstreams/u': { nodes: upstream.nodes },
  'routes/auth': {
    uri: '/auth/*',
    upstream_id: 'u',
    plugins: { 'key-auth': {}, 'consumer-restriction': { blacklist: ['rose'] } },
  },
  'routes/rewrite': {
    uri: '/rewrite',
    upstream_id: 'u',
    plugins: { 'proxy-rewrite': { uri: '/new', method: 'POST' } },
  },
  'routes/redirect': { uri: '/redirect', upstream_id: 'u', plugins: { redirect: { uri: '/there', ret_code: 302 } } },
  'routes/filter': {
    uri: '/filter',
    upstream_id: 'u',
    plugins: { 'key-auth': { _meta: { filter: [['arg_open', '~=', '1']] } } },
  },
  'routes/message': {
    uri: '/message',
    upstream_id: 'u',
    plugins: { 'key-auth': { _meta: { error_response: { message: 'no' } } } },
  },
  'routes/faulty': { uri: '/faulty', upstream_id: 'u', plugins: { 'test-faulty': {} } },
  'routes/later': { uri: '/later', upstream_id: 'u', plugins: { 'test-faulty': { later: true } } },
  ...Object.fromEntries(
    Object.entries(escapes).map(([part, text]) => [
      `routes/escaping-${part}`,
      { uri: `/escaping-${part}`, upstream_id: 'u', plugins: { 'test-escaping': { [part]: text } } },
    ]),
  ),
  'routes/bare': { uri: '/bare', plugins: { 'ip-restriction': { whitelist: ['127.0.0.1'] } } },
  'routes/off': { uri: '/off', status: 0, upstream_id: 'u' },
  'routes/empty': { uri: '/empty', upstream: { nodes: {} } },
});

const requests: readonly (readonly [method: string, target: string, fields?: string])[] = [
  ['GET', '/auth/x'],
  ['GET', '/auth/x', 'apikey: wrong'],
  ['GET', '/auth/x', 'apikey: k-jack'],
  ['GET', '/auth/x', 'apikey: k-rose'],
  ['GET', '/auth/./x?apikey=k-jack'],
  ['GET', '/rewrite?a=1'],
  ['GET', '/redirect'],
  ['GET', '/filter?open=1'],
  ['GET', '/filter'],
  ['GET', '/message'],
  ['GET', '/faulty'],
  ['GET', '/later'],
  ...Object.keys(escapes).map((part) => ['GET', `/escaping-${part}`] as const),
  ['GET', '/bare'],
  ['GET', '/off'],
  ['GET', '/empty'],
  ['GET', '/nowhere'],
  ['TRACE', '/bare'],
];

describe('explain and the gateway agree', () => {
  let upstream: Upstream;
  let gateway: Gateway;
  before(async () => {
    upstream = await startUpstream();
    gateway = await startGateway({ resources: resources(upstream), plugins: [faulty, escaping] });
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
  });

  for (const [method, target, fields = 'X: y'] of requests) {
    it(`on ${method} ${target} with ${fields}`, async () => {
      upstream.requests.length = 0;
      gateway.refusals.length = 0;
      using client = await gateway.connect();
      client.write(`${method} ${target} HTTP/1.1\r\nHost: a.example\r\n${fields}\r\n\r\n`);
      const { status } = await client.response();
      const [sent] = upstream.requests;
      const [name = '', value = ''] = fields.split(': ');
      const report = await explain(
        { method, url: `http://a.example${target}`, headers: [[name, value]] },
        { snapshot: createSnapshot(resources(upstream), [faulty, escaping]), trust },
      );
      if (sent !== undefined) {
        assert.equal(report.outcome.status, undefined);
        assert.equal(report.upstream?.method, sent.method);
        assert.equal(report.upstream.target.split('?')[0], sent.target.split('?')[0]);
        assert.equal(report.upstream.host, sent.header('host'));
        assert.equal(report.upstream.node, `127.0.0.1:${upstream.port}`);
      } else {
        assert.equal(report.outcome.status, status);
        assert.equal(report.outcome.reason, gateway.refusals[0] ?? report.outcome.reason);
        assert.notEqual(report.outcome.reason, undefined);
      }
      assert.doesNotMatch(JSON.stringify(report), /secret|k-jack|k-rose/);
    });
  }
});
