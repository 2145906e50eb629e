import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compilePlugin, TestExchange, type TestExchangeInit } from '../../plugin/testing/index.ts';
import { redirect } from './index.ts';

function answer(config: object, init: TestExchangeInit = {}, attributes = {}) {
  const { state } = compilePlugin(redirect, config, { attributes });
  const reply = redirect.rewrite?.(state, new TestExchange(init));
  assert.ok(!(reply instanceof Promise));
  return reply ?? undefined;
}
const location = (config: object, init: TestExchangeInit = {}, attributes = {}) =>
  answer(config, init, attributes)?.headers?.['Location'];

test('uri is the Location, with 302 or the configured status', () => {
  assert.deepEqual(answer({ uri: '/test/default.html', ret_code: 301 }), {
    status: 301,
    headers: { Location: '/test/default.html' },
    reason: 'redirect.redirected',
  });
  assert.equal(answer({ uri: 'https://example.com/foo/bar' })?.status, 302);
});

test('variables stand in uri; one without a value is empty', () => {
  assert.equal(location({ uri: '$uri/index.html' }, { target: '/test' }), '/test/index.html');
  assert.equal(location({ uri: '${uri}x/$arg_none' }, { target: '/test' }), '/testx/');
});

test('regex_uri redirects what it matches and lets the rest pass', () => {
  const config = { regex_uri: ['^(/nexus)$', '$1/'] };
  assert.equal(location(config, { target: '/nexus' }), '/nexus/');
  assert.equal(answer(config, { target: '/nexus/' }), undefined);
  assert.equal(
    location({ regex_uri: ['^/x', 'https://new.$host/$0'] }, { target: '/x' }),
    'https://new.example.com//x',
  );
  const three = { regex_uri: ['^/iresty/(.*)/(.*)/(.*)', '/$1-$2-$3'] };
  assert.equal(location(three, { target: '/iresty/a/b/c' }), '/a-b-c');
});

test('append_query_string adds the query with ? or &', () => {
  const init = { target: '/a?x=1' };
  assert.equal(location({ uri: '/b', append_query_string: true }, init), '/b?x=1');
  assert.equal(location({ uri: '/b?y=2', append_query_string: true }, init), '/b?y=2&x=1');
  assert.equal(location({ uri: '/b', append_query_string: true }, { target: '/a' }), '/b');
  assert.equal(location({ uri: '/b' }, init), '/b');
});

test('encode_uri encodes up to the query', () => {
  const init = { target: '/a%20b%25' };
  assert.equal(location({ uri: 'http://[::1]$uri?q=%20', encode_uri: true }, init), 'http://[::1]/a%20b%25?q=%20');
});

test('http_to_https is 301 for GET and HEAD and 308 for other methods', () => {
  const config = { http_to_https: true };
  for (const [method, status] of [
    ['GET', 301],
    ['HEAD', 301],
    ['POST', 308],
    ['DELETE', 308],
  ] as const) {
    const reply = answer(config, { method, target: '/a%20b?q=1' });
    assert.equal(reply?.status, status);
    assert.equal(reply.headers?.['Location'], 'https://example.com/a%20b?q=1');
  }
});

test('http_to_https leaves HTTPS alone, a trusted proxy’s too', () => {
  const config = { http_to_https: true };
  assert.equal(answer(config, { scheme: 'https' }), undefined);
  assert.equal(answer(config, { headers: { 'X-Forwarded-Proto': 'https' } }), undefined);
});

test('http_to_https names plugin_attr.redirect.https_port unless it is 443 or no port', () => {
  const config = { http_to_https: true };
  assert.equal(location(config, { target: '/a' }, { https_port: 9443 }), 'https://example.com:9443/a');
  for (const port of [443, 0, 65536, 1.5, '9443']) {
    assert.equal(location(config, { target: '/a' }, { https_port: port }), 'https://example.com/a');
  }
});

test('http_to_https takes the path of an absolute-form target, and the server’s address without a Host', () => {
  const config = { http_to_https: true };
  assert.equal(location(config, { method: 'OPTIONS', target: '*' }), 'https://example.com/');
  assert.equal(location(config, { host: '' }), 'https://127.0.0.1/');
});

test('a Location holds visible ASCII only, and no backslash that a browser takes for a slash', () => {
  const target = `/x/${encodeURIComponent('\\evil.com\r\nSet-Cookie: a=b é')}`;
  const value = location({ regex_uri: ['^/x([\\s\\S]*)$', '$1'] }, { target });
  assert.equal(value, '/%5Cevil.com%0D%0ASet-Cookie:%20a=b%20%C3%A9');
});

test('bad configuration is refused', () => {
  assert.throws(() => compilePlugin(redirect, { regex_uri: ['(', '$1'] }), /invalid regex_uri \(\(, \$1\), err:/);
  assert.throws(() => compilePlugin(redirect, {}));
  assert.throws(() => compilePlugin(redirect, { uri: '/a', http_to_https: true }));
  assert.throws(
    () => compilePlugin(redirect, { http_to_https: true, append_query_string: true }),
    /only one of `http_to_https` and `append_query_string` can be configured\./,
  );
});
