import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compilePlugin, testConsumer, TestExchange, type TestExchangeInit } from '../../plugin/testing/index.ts';
import { prometheus } from './index.ts';

const route = { id: '1', name: 'hello', uri: '/hello', host: 'a.com', serviceId: 's1', serviceName: 'greetings' };
const init: TestExchangeInit = {
  target: '/hello?tenant=blue',
  route,
  consumer: testConsumer('jack'),
  upstreamNode: '127.0.0.1:1980',
  times: { start: 100, upstreamStart: 102, upstreamEnd: 107, end: 110 },
  bytesReceived: 83,
  bytesSent: 355,
};
const common = 'route="1",service="s1",consumer="jack",node="127.0.0.1"';

function run(exchanges: TestExchange[], config: object = {}, attributes = {}) {
  const { state, metrics } = compilePlugin(prometheus, config, { attributes });
  for (const exchange of exchanges) prometheus.log?.(state, exchange);
  return metrics;
}

test('a request is counted by status, latency and bytes under APISIX’s names and labels', () => {
  const metrics = run([new TestExchange(init), new TestExchange({ ...init, response: { status: 503 } })]);
  const status = 'route="1",matched_uri="/hello",matched_host="a.com",service="s1",consumer="jack",node="127.0.0.1"';
  assert.equal(metrics.value('apisix_http_status', `{code="200",${status}}`), 1);
  assert.equal(metrics.value('apisix_http_status', `{code="503",${status}}`), 1);
  assert.equal(metrics.value('apisix_http_latency', `{type="request",${common}}`), 20);
  assert.equal(metrics.value('apisix_http_latency', `{type="upstream",${common}}`), 10);
  assert.equal(metrics.value('apisix_http_latency', `{type="apisix",${common}}`), 10);
  assert.equal(metrics.value('apisix_bandwidth', `{type="ingress",${common}}`), 166);
  assert.equal(metrics.value('apisix_bandwidth', `{type="egress",${common}}`), 710);
});

test('the latency buckets are APISIX’s, or the configured ones', () => {
  const bounds = (attributes: object) => run([], {}, attributes).instruments.get('apisix_http_latency')?.buckets;
  assert.deepEqual(bounds({}), [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 30000, 60000]);
  assert.deepEqual(bounds({ default_buckets: [100, 10] }), [10, 100]);
  assert.throws(() => bounds({ default_buckets: 'x' }), /default_buckets must be a list of numbers/);
});

test('a request that matched nothing and went nowhere has empty labels and no upstream latency', () => {
  const metrics = run([new TestExchange({ response: { status: 404 }, times: { start: 5, end: 6 } })]);
  const empty = 'route="",matched_uri="",matched_host="",service="",consumer="",node=""';
  assert.equal(metrics.value('apisix_http_status', `{code="404",${empty}}`), 1);
  const none = 'route="",service="",consumer="",node=""';
  assert.equal(metrics.value('apisix_http_latency', `{type="apisix",${none}}`), 1);
  assert.equal(metrics.value('apisix_http_latency', `{type="upstream",${none}}`), undefined);
});

test('prefer_name labels with names, and with ids where there is none', () => {
  const names = run([new TestExchange(init)], { prefer_name: true });
  const labels = 'route="hello",service="greetings",consumer="jack",node="127.0.0.1"';
  assert.equal(names.value('apisix_bandwidth', `{type="egress",${labels}}`), 355);
  const { name: _, serviceName: __, ...nameless } = route;
  const ids = run([new TestExchange({ ...init, route: nameless })], { prefer_name: true });
  assert.equal(ids.value('apisix_bandwidth', `{type="egress",${common}}`), 355);
});

test('one route’s consumers and nodes are told apart', () => {
  const metrics = run([
    new TestExchange(init),
    new TestExchange({ ...init, consumer: testConsumer('rose') }),
    new TestExchange({ ...init, upstreamNode: '[::1]:1980' }),
  ]);
  assert.equal(metrics.instruments.get('apisix_bandwidth')?.values.size, 6);
});

test('prefix and extra labels come from plugin_attr', () => {
  const attributes = {
    metric_prefix: 'gw_',
    metrics: {
      http_status: { extra_labels: [{ method: '$request_method' }] },
      bandwidth: { extra_labels: [{ tenant: '$arg_tenant' }, { gone: '$arg_gone' }] },
    },
  };
  const metrics = run([new TestExchange(init), new TestExchange({ ...init, target: '/hello' })], {}, attributes);
  assert.equal(metrics.instruments.get('gw_http_status')?.labels.at(-1), 'method');
  assert.equal(metrics.value('gw_bandwidth', `{type="egress",${common},tenant="blue",gone=""}`), 355);
  assert.equal(metrics.value('gw_bandwidth', `{type="egress",${common},tenant="",gone=""}`), 355);
  assert.equal(metrics.value('gw_http_latency', `{type="request",${common}}`), 20);
  const bad = { metrics: { bandwidth: { extra_labels: [{ tenant: 'arg_tenant' }] } } };
  assert.throws(() => run([], {}, bad), /metrics\.bandwidth\.extra_labels/);
});
