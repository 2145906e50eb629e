/** Headers that configurations write: no literal that would end a line is taken, and no variable ends one or leads to another site. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Gateway, startGateway } from '../gateway.ts';
import { RawClient, type RawResponse } from '../wire/raw-client.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';

const evil = 'a\r\nX-Evil: 1';
const bad = { 'X-A': evil };
const asked = { cache_time: 0, endpoint_timeout: 1, is_send_body: false };

/** Plugin and field → a configuration whose field would end a line, or whose name is none. */
const refused: Record<string, object> = {
  'mocking response_headers': { mocking: { response_example: 'a', response_headers: bad } },
  'mocking content_type': { mocking: { response_example: 'a', content_type: evil } },
  'fault-injection abort.headers': { 'fault-injection': { abort: { http_status: 200, headers: bad } } },
  'echo headers': { echo: { before_body: 'a', headers: bad } },
  'echo headers, a name': { echo: { before_body: 'a', headers: { 'X A': 'a' } } },
  'response-rewrite headers': { 'response-rewrite': { headers: { set: bad } } },
  'proxy-rewrite headers': { 'proxy-rewrite': { headers: { set: bad } } },
  'cors allow_methods': { cors: { allow_methods: evil } },
  'cors allow_headers': { cors: { allow_headers: evil } },
  'cors expose_headers': { cors: { expose_headers: evil } },
  'http-logger auth_header': { 'http-logger': { uri: 'http://127.0.0.1:1', auth_header: evil } },
  'forward-auth extra_headers': { 'forward-auth': { uri: 'http://127.0.0.1:1', extra_headers: bad } },
  'forward-auth upstream_headers': { 'forward-auth': { uri: 'http://127.0.0.1:1', upstream_headers: ['X A'] } },
  'custom-auth function.headers': {
    'custom-auth': { ...asked, function: { type: 'http', uri: 'http://127.0.0.1:1', headers: bad } },
  },
  'jwe-decrypt forward_header': { 'jwe-decrypt': { forward_header: 'X A' } },
  'request-id header_name': { 'request-id': { header_name: evil } },
  'csrf name': { csrf: { key: 'k', name: evil } },
  'attach-consumer-label headers': { 'attach-consumer-label': { headers: { 'X A': '$a' } } },
  'basic-auth realm': { 'basic-auth': { realm: evil } },
  'key-auth realm': { 'key-auth': { realm: evil } },
  'jwt-auth realm': { 'jwt-auth': { realm: evil } },
  'hmac-auth realm': { 'hmac-auth': { realm: evil } },
};

/** Each writes `$arg_v` into the answer. */
const writers: Record<string, object> = {
  'fault-injection': { 'fault-injection': { abort: { http_status: 200, headers: { 'X-A': '$arg_v' } } } },
  'response-rewrite': { 'response-rewrite': { headers: { set: { 'X-A': '$arg_v' } } } },
  redirect: { redirect: { uri: '/to/$arg_v' } },
};

describe('a header of a configuration', () => {
  let gateway: Gateway;
  let upstream: TestUpstream;
  const write = (id: string, plugins: object, uri = `/${id}`): ReturnType<Gateway['admin']> =>
    gateway.admin('PUT', `/routes/${id}`, {
      uri,
      plugins,
      upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } },
    });
  const get = async (target: string): Promise<RawResponse> => {
    using client = await RawClient.connect(gateway.ports.data);
    client.write(`GET ${target} HTTP/1.1\r\nHost: a.test\r\n\r\n`);
    return await client.response();
  };
  before(async () => {
    [upstream, gateway] = await Promise.all([startUpstream(), startGateway()]);
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
  });

  for (const [what, plugins] of Object.entries(refused))
    it(`that would end its line is refused when it is written: ${what}`, async () => {
      assert.equal((await write('refused', plugins)).status, 400);
    });

  for (const [name, plugins] of Object.entries(writers))
    it(`has its line end encoded where a client’s text stands in it: ${name} (apisix#13787, CVE-2023-27493)`, async () => {
      assert.ok((await write(name, plugins)).status < 300);
      const response = await get(`/${name}?v=a%0d%0aX-Evil:%201%0d%0a%0d%0aHTTP/1.1%20200`);
      assert.ok(response.status < 400, String(response.status));
      assert.equal(response.header('x-evil'), undefined);
      assert.match(response.header('x-a') ?? response.header('location') ?? '', /a%0D%0AX-Evil/);
    });

  it('does not lead to another site by what a client sent (cas-auth)', async () => {
    await write('captured', { redirect: { regex_uri: ['^/captured(.*)', '/$1'] } }, '/captured/*');
    await write('stripped', { redirect: { regex_uri: ['^/stripped/(.*)', '/$1'] } }, '/stripped/*');
    await write('slash', { redirect: { uri: '$request_uri/' } }, '/*');
    await write('secure', { redirect: { http_to_https: true } }, '/secure/*');
    const spellings = [
      '//evil.test',
      '/%2fevil.test',
      '/%2f%2fevil.test',
      '/\\evil.test',
      '/%5cevil.test',
      '/.//evil.test',
    ];
    const targets = spellings.flatMap((path) => ['', '/captured', '/stripped', '/secure'].map((at) => at + path));
    for (const target of [...targets, 'http://a.test//evil.test']) {
      const response = await get(target);
      if (response.status === 400) continue;
      const url = new URL(response.header('location') ?? '', 'http://a.test/');
      assert.equal(url.hostname, 'a.test', `${target}: ${url.href}`);
    }
  });
});
