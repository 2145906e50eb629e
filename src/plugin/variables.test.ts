import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Exchange } from './exchange.ts';
import { testConsumer } from './testing/harness.ts';
import { TestExchange, type TestExchangeInit } from './testing/exchange.ts';
import { compileTemplate, compileVariable } from './variables.ts';

function valueOf(name: string, init: TestExchangeInit = {}, more: Partial<Exchange> = {}): string | undefined {
  return compileVariable(name)(Object.assign(new TestExchange(init), more));
}

test('the request line and its parts', () => {
  const init = { method: 'POST', target: '/a%20b?x=1&y=%32', host: 'example.com', scheme: 'https' } as const;
  const expected = {
    uri: '/a b',
    document_uri: '/a b',
    request_uri: '/a%20b?x=1&y=%32',
    args: 'x=1&y=%32',
    query_string: 'x=1&y=%32',
    is_args: '?',
    arg_x: '1',
    arg_y: '2',
    arg_z: undefined,
    host: 'example.com',
    http_host: 'example.com',
    request_method: 'POST',
    scheme: 'https',
    https: 'on',
    server_protocol: 'HTTP/1.1',
    request: 'POST /a%20b?x=1&y=%32 HTTP/1.1',
    server_addr: '127.0.0.1',
    server_port: '9080',
    remote_addr: '127.0.0.1',
    remote_port: '51234',
    realip_remote_addr: '127.0.0.1',
  };
  for (const [name, value] of Object.entries(expected)) assert.equal(valueOf(name, init), value, name);
});

test('without a query, args has no value and is_args is empty', () => {
  assert.equal(valueOf('args'), undefined);
  assert.equal(valueOf('is_args'), '');
});

test('header fields are found by their nginx name, and several of one name are joined', () => {
  const exchange = new TestExchange({
    headers: { 'X-Api-Key': 'k', 'Content-Type': 'text/plain', Cookie: 'a=1; b=2' },
  });
  exchange.headers.append('X-Api-Key', 'second');
  assert.equal(compileVariable('http_x_api_key')(exchange), 'k, second');
  assert.equal(compileVariable('http_absent')(exchange), undefined);
  assert.equal(compileVariable('content_type')(exchange), 'text/plain');
  assert.equal(compileVariable('cookie_b')(exchange), '2');
});

test('remote_user is the user of Basic credentials', () => {
  const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;
  assert.equal(valueOf('remote_user', { headers: { Authorization: basic('foo:bar:baz') } }), 'foo');
  assert.equal(valueOf('remote_user', { headers: { Authorization: 'Bearer Zm9vOmJhcg==' } }), undefined);
  assert.equal(valueOf('remote_user'), undefined);
});

test('request_id is 32 hex digits, one for each exchange', () => {
  const exchange = new TestExchange();
  const read = compileVariable('request_id');
  const id = read(exchange);
  assert.match(id ?? '', /^[0-9a-f]{32}$/);
  assert.equal(read(exchange), id);
  assert.notEqual(read(new TestExchange()), id);
});

test('times are seconds with three decimals, absent until they happened', () => {
  const times = {
    start: 1000,
    upstreamStart: 1001,
    upstreamConnected: 1002.4,
    upstreamHead: 1011,
    upstreamEnd: 2251,
    end: 2260,
  };
  assert.equal(valueOf('request_time', { times }), '1.260');
  assert.equal(valueOf('upstream_connect_time', { times }), '0.001');
  assert.equal(valueOf('upstream_header_time', { times }), '0.010');
  assert.equal(valueOf('upstream_response_time', { times }), '1.250');
  assert.equal(valueOf('upstream_response_time'), undefined);
});

test('the clock in nginx’s two forms', () => {
  assert.match(valueOf('time_local') ?? '', /^\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}$/);
  const iso = valueOf('time_iso8601') ?? '';
  assert.match(iso, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d$/);
  assert.ok(Math.abs(Date.parse(iso) - Date.now()) < 2000);
  assert.match(valueOf('msec') ?? '', /^\d+\.\d{3}$/);
});

test('the response and the upstream', () => {
  const init = {
    upstreamNode: '[::1]:8080',
    bytesSent: 120,
    response: { status: 201, headers: { 'X-Made': 'yes' }, source: 'upstream' },
  } as const;
  assert.equal(valueOf('status', init), '201');
  assert.equal(valueOf('bytes_sent', init), '120');
  assert.equal(valueOf('sent_http_x_made', init), 'yes');
  assert.equal(valueOf('upstream_http_x_made', init), 'yes');
  assert.equal(valueOf('upstream_http_x_made', { response: { ...init.response, source: 'gateway' } }), undefined);
  assert.equal(valueOf('upstream_addr', init), '[::1]:8080');
  assert.equal(valueOf('balancer_ip', init), '::1');
  assert.equal(valueOf('balancer_port', init), '8080');
  assert.equal(valueOf('balancer_ip', { upstreamNode: '10.0.0.1:80' }), '10.0.0.1');
  assert.equal(valueOf('balancer_ip'), undefined);
  assert.equal(valueOf('upstream_status', {}, { upstreamStatuses: [502, 200] }), '502, 200');
  assert.equal(valueOf('upstream_status', {}, { upstreamStatuses: [200] }), '200');
  assert.equal(valueOf('upstream_status'), undefined);
});

test('upstream_uri is what was rewritten, and empty where nothing was', () => {
  const exchange = new TestExchange({ target: '/a?x=1' });
  const read = compileVariable('upstream_uri');
  assert.equal(read(exchange), '');
  exchange.upstream.path = '/b';
  assert.equal(read(exchange), '/b?x=1');
  exchange.upstream.query = '';
  assert.equal(read(exchange), '/b');
  assert.equal(compileVariable('upstream_host')(exchange), 'example.com');
  exchange.upstream.host = 'inner';
  assert.equal(compileVariable('upstream_host')(exchange), 'inner');
});

test('the route, service and consumer', () => {
  const init = {
    route: { id: '7', name: 'shop', uri: '/shop/*', host: '*.com', serviceId: '3', serviceName: 'goods' },
    consumer: testConsumer('jack', { groupId: 'g' }),
  };
  const expected = {
    route_id: '7',
    route_name: 'shop',
    matched_uri: '/shop/*',
    matched_host: '*.com',
    service_id: '3',
    service_name: 'goods',
    consumer_name: 'jack',
    consumer_group_id: 'g',
  };
  for (const [name, value] of Object.entries(expected)) {
    assert.equal(valueOf(name, init), value, name);
    assert.equal(valueOf(name), undefined, name);
  }
});

test('parameters of the route', () => {
  assert.equal(valueOf('uri_param_id', {}, { params: new Map([['id', '42']]) }), '42');
});

test('post_arg: a form field by its name, a JSON member by its path', () => {
  const exchange = new TestExchange();
  assert.equal(compileVariable('post_arg_a')(exchange), undefined);
  exchange.context.set('post_args', { a: '1', 'b.c': 'dotted', model: { name: 'x', size: 3, tags: ['p', 'q'] } });
  assert.equal(compileVariable('post_arg_a')(exchange), '1');
  assert.equal(compileVariable('post_arg.b.c')(exchange), 'dotted');
  assert.equal(compileVariable('post_arg.model.name')(exchange), 'x');
  assert.equal(compileVariable('post_arg.model.size')(exchange), '3');
  assert.equal(compileVariable('post_arg.model.tags')(exchange), '["p","q"]');
  assert.equal(compileVariable('post_arg.model.none.more')(exchange), undefined);
  assert.equal(compileVariable('post_arg.constructor')(exchange), undefined);
});

test('a name nobody knows has no value, whatever JavaScript thinks of it', () => {
  for (const name of ['nothing', 'constructor', '__proto__', 'toString', '', 'http_', 'arg_', 'graphql_name']) {
    assert.equal(valueOf(name), undefined, name);
  }
});

test('a name is compiled once', () => {
  assert.equal(compileVariable('arg_once'), compileVariable('arg_once'));
});

test('a template holds variables with and without braces; one without a value is empty', () => {
  const exchange = new TestExchange({ target: '/p?x=1' });
  const fill = (text: string): string => compileTemplate(text)(exchange);
  assert.equal(fill('$request_method ${uri}s $arg_x-$arg_none.'), 'GET /ps 1-.');
  assert.equal(fill('$uri'), '/p');
  assert.equal(fill('plain'), 'plain');
  assert.equal(fill(''), '');
  assert.equal(fill(String.raw`5 \$uri $ 1`), '5 $uri $ 1');
});
