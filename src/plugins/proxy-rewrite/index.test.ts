import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compilePlugin, TestExchange, type TestExchangeInit } from '../../plugin/testing/index.ts';
import { proxyRewrite } from './index.ts';

function rewrite(config: object, init: TestExchangeInit = {}): TestExchange {
  const { state } = compilePlugin(proxyRewrite, config);
  const exchange = new TestExchange(init);
  assert.equal(proxyRewrite.rewrite?.(state, exchange), undefined);
  return exchange;
}

test('uri replaces the path and keeps the query', () => {
  const { upstream } = rewrite({ uri: '/test/home.html' }, { target: '/test/index.html?a=1' });
  assert.equal(upstream.path, '/test/home.html');
  assert.equal(upstream.query, undefined);
});

test("a query in the new URI goes before the client's", () => {
  assert.equal(rewrite({ uri: '/x?v=1' }, { target: '/y?a=1' }).upstream.query, 'v=1&a=1');
  assert.equal(rewrite({ uri: '/x?v=1' }, { target: '/y' }).upstream.query, 'v=1');
  assert.equal(rewrite({ regex_uri: ['^/y/(.*)', '/x?id=$1'] }, { target: '/y/7?a=1' }).upstream.query, 'id=7&a=1');
});

test('a parameter that an auth plugin hid does not come back', () => {
  const { state } = compilePlugin(proxyRewrite, { uri: '/x?v=1' });
  const exchange = new TestExchange({ target: '/y?apikey=secret&a=1' });
  exchange.upstream.query = 'a=1';
  void proxyRewrite.rewrite?.(state, exchange);
  assert.equal(exchange.upstream.query, 'v=1&a=1');
});

test('variables stand in uri, and are empty without a value', () => {
  const { upstream } = rewrite({ uri: '/$arg_tenant/${host}/$arg_none' }, { target: '/?tenant=blue' });
  assert.equal(upstream.path, '/blue/example.com/');
});

test('regex_uri with captures strips a prefix, as in the documented walk', () => {
  const config = { regex_uri: ['^/nexus(/|$)(.*)', '/$2'] };
  assert.equal(rewrite(config, { target: '/nexus/static/a.js' }).upstream.path, '/static/a.js');
  assert.equal(rewrite(config, { target: '/nexus' }).upstream.path, '/');
});

test('a path that regex_uri does not match goes as it came', () => {
  assert.equal(rewrite({ regex_uri: ['^/x', '/y'] }, { target: '/a%20b' }).upstream.path, undefined);
});

test('the first pair that matches applies, and uri goes before regex_uri', () => {
  const pairs = ['^/a/(.*)', '/one/$1', '^/(.*)', '/two/$1'];
  assert.equal(rewrite({ regex_uri: pairs }, { target: '/a/b' }).upstream.path, '/one/b');
  assert.equal(rewrite({ regex_uri: pairs }, { target: '/b' }).upstream.path, '/two/b');
  assert.equal(rewrite({ uri: '/u', regex_uri: pairs }, { target: '/b' }).upstream.path, '/u');
});

test('no client byte leaves the request line raw (apisix#13787)', () => {
  const target = `/x/${encodeURIComponent('a b\r\nX: 1\u007f"<>\\^`{|}é%?#')}?q=${encodeURIComponent('\r\nY: 2 #')}`;
  const { upstream } = rewrite({ regex_uri: ['^/x/([\\s\\S]*)$', '/$1/$arg_q?back=$arg_q&$1'] }, { target });
  assert.match(upstream.path ?? '', /^[!$-;=?-Z_a-z~]+$/);
  assert.match(upstream.query ?? '', /^[!$-;=?-[\]_a-z~]+$/);
  assert.doesNotMatch(upstream.path ?? '', /[?#]/);
  assert.doesNotMatch(upstream.query ?? '', /#/);
});

test('a question mark that the client encoded stays in the path', () => {
  const exchange = rewrite({ regex_uri: ['^/x/(.*)$', '/y/$1'] }, { target: '/x/a%3Fb' });
  assert.equal(exchange.upstream.path, '/y/a%3Fb');
  assert.equal(exchange.upstream.query, undefined);
  assert.equal(rewrite({ uri: '/$arg_q' }, { target: '/?q=a%3Fb' }).upstream.path, '/a%3Fb');
});

test('a result without a leading slash gets one', () => {
  assert.equal(rewrite({ regex_uri: ['^/x/(.*)$', '$1'] }, { target: '/x/evil.com' }).upstream.path, '/evil.com');
});

test('use_real_request_uri_unsafe starts from the target as received', () => {
  const config = { use_real_request_uri_unsafe: true };
  const plain = rewrite(config, { target: '/a%2Fb?q=%20' });
  assert.deepEqual([plain.upstream.path, plain.upstream.query], ['/a%2Fb', 'q=%20']);
  const matched = rewrite({ ...config, regex_uri: ['^/a%2F(.*)', '/c/$1'] }, { target: '/a%2Fb?q=1' });
  assert.deepEqual([matched.upstream.path, matched.upstream.query], ['/c/b', 'q=1']);
});

test('method, host and scheme are set', () => {
  const { upstream } = rewrite({ method: 'POST', host: 'iresty.com:8080', scheme: 'https' });
  assert.deepEqual([upstream.method, upstream.host, upstream.scheme], ['POST', 'iresty.com:8080', 'https']);
});

test('headers are added, set and removed in that order', () => {
  const headers = { add: { 'X-A': 'two' }, set: { 'X-B': 7, 'x-c': '$remote_addr' }, remove: ['X-D'] };
  const exchange = rewrite({ headers }, { headers: { 'X-A': 'one', 'X-B': ['1', '2'], 'X-D': 'x' } });
  assert.deepEqual(exchange.headers.getAll('X-A'), ['one', 'two']);
  assert.deepEqual(exchange.headers.getAll('X-B'), ['7']);
  assert.equal(exchange.headers.get('X-C'), '127.0.0.1');
  assert.equal(exchange.headers.has('X-D'), false);
});

test('the flat form sets, and removes with an empty value', () => {
  const exchange = rewrite({ headers: { 'X-A': 'v1', 'X-B': '' } }, { headers: { 'X-B': 'x' } });
  assert.equal(exchange.headers.get('X-A'), 'v1');
  assert.equal(exchange.headers.has('X-B'), false);
});

test('headers may hold captures of regex_uri', () => {
  const config = { regex_uri: ['^/t/(\\w+)/(.*)', '/$2'], headers: { set: { 'X-Tenant': '${1}-$host' } } };
  assert.equal(rewrite(config, { target: '/t/blue/x' }).headers.get('X-Tenant'), 'blue-example.com');
  assert.equal(rewrite(config, { target: '/x' }).headers.get('X-Tenant'), '-example.com');
});

test('a variable cannot end a header line, and text beyond Latin-1 goes as UTF-8', () => {
  const config = { headers: { set: { 'X-Q': '$arg_q' } } };
  assert.equal(rewrite(config, { target: '/?q=a%0d%0aY:%201' }).headers.get('X-Q'), 'a%0D%0AY: 1');
  const value = rewrite(config, { target: `/?q=${encodeURIComponent('中')}` }).headers.get('X-Q');
  assert.equal(Buffer.from(value ?? '', 'latin1').toString(), '中');
});

test('Host set as a header is the upstream Host', () => {
  assert.equal(rewrite({ headers: { set: { Host: '$arg_h' } } }, { target: '/?h=a.com' }).upstream.host, 'a.com');
});

test('bad configuration is refused in APISIX’s words', () => {
  const refused: [object, RegExp][] = [
    [{ regex_uri: ['^/(', '/$1'] }, /invalid regex_uri\(\^\/\(, \/\$1\): /],
    [{ regex_uri: ['^/', '/', '^/x'] }, /The length of regex_uri should be an even number/],
    [{ headers: { 'X A': 'x' } }, /invalid field character in header/],
    [{ headers: { set: { 'X-A': 'a\r\nb' } } }, /invalid value character in header/],
    [{ uri: 'x' }, /uri/],
    [{ host: 'a b' }, /host/],
    [{ method: 'BREW' }, /method/],
  ];
  for (const [config, message] of refused) assert.throws(() => compilePlugin(proxyRewrite, config), message);
});
