import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { compilePlugin, ResourcePool, TestExchange, TestMetrics, WorkerSignals } from '../../plugin/testing/index.ts';
import type { HarnessOptions, TestExchangeInit } from '../../plugin/testing/index.ts';
import { httpLogger } from './index.ts';

interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A server that keeps what it is sent; `status` is what it answers next. */
async function startCollector() {
  const received: Received[] = [];
  const waiting: { count: number; resolve: () => void }[] = [];
  const collector = { status: 200, received, connections: 0, url: '', arrived, [Symbol.asyncDispose]: close };
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8');
    request.on('data', (piece: string) => (body += piece));
    request.on('end', () => {
      received.push({ headers: request.headers, body });
      response.statusCode = collector.status;
      response.end(collector.status < 400 ? 'ok' : 'secret of the server');
      for (const { count, resolve } of waiting) if (received.length >= count) resolve();
    });
  });
  server.on('connection', () => collector.connections++);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  collector.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/logs?x=1`;
  return collector;

  function arrived(count: number): Promise<void> {
    return new Promise((resolve) => {
      if (received.length >= count) resolve();
      else waiting.push({ count, resolve });
    });
  }
  async function close(): Promise<void> {
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  }
}

function logger(config: object, options: HarnessOptions = {}) {
  const shared = new ResourcePool();
  const events = new WorkerSignals();
  const metrics = new TestMetrics();
  const { state, logged } = compilePlugin(httpLogger, config, { shared, events, metrics, ...options });
  const log = (init: TestExchangeInit = {}, response: readonly string[] = []): void => {
    const exchange = new TestExchange({ route: { id: 'r1', serviceId: 's1' }, ...init });
    void httpLogger.access?.(state, exchange);
    for (const [i, piece] of response.entries())
      httpLogger.bodyFilter?.(state, exchange, Buffer.from(piece), i === response.length - 1);
    httpLogger.log?.(state, exchange);
  };
  return { state, shared, events, metrics, logged, log, dispose: () => httpLogger.dispose?.(state) };
}

const parse = (body: string): Record<string, unknown>[] => JSON.parse(body) as Record<string, unknown>[];

test('requests are sent in batches, as one JSON list each, over one connection', async () => {
  await using collector = await startCollector();
  const { log, events } = logger({ uri: collector.url, batch_max_size: 3, auth_header: 'Basic x' });
  for (let i = 0; i < 7; i++) {
    log({ target: `/${String(i)}` });
    if (i % 3 === 2) await collector.arrived((i + 1) / 3);
  }
  assert.equal(collector.received.length, 2, 'the seventh waits');
  await events.stop();
  assert.deepEqual(
    collector.received.map(({ body }) => parse(body).map(({ request }) => (request as { uri: string }).uri)),
    [['/0', '/1', '/2'], ['/3', '/4', '/5'], ['/6']],
  );
  assert.ok(collector.connections < 3, 'a connection is used again');
  assert.equal(collector.received[0]?.headers['content-type'], 'application/json');
  assert.equal(collector.received[0].headers.authorization, 'Basic x');
});

test('an entry holds what APISIX’s holds', async () => {
  await using collector = await startCollector();
  const { log } = logger({ uri: collector.url, batch_max_size: 1 });
  log({
    method: 'POST',
    target: '/a?x=1&x=2&y=3',
    host: 'example.com',
    remoteAddress: '192.0.2.1',
    headers: { 'X-Two': ['1', '2'] },
    response: { status: 201, headers: { 'Content-Type': 'text/plain' } },
    times: { start: 100, upstreamStart: 110, upstreamEnd: 140, end: 150 },
    upstreamNode: '10.0.0.1:80',
    bytesReceived: 12,
    bytesSent: 34,
  });
  await collector.arrived(1);
  const {
    server,
    start_time: start,
    ...entry
  } = JSON.parse(collector.received[0]?.body ?? '') as Record<string, unknown>;
  assert.equal(typeof (server as Record<string, unknown>)['hostname'], 'string');
  assert.equal(typeof start, 'number');
  assert.deepEqual(entry, {
    request: {
      url: 'http://example.com:9080/a?x=1&x=2&y=3',
      uri: '/a?x=1&x=2&y=3',
      method: 'POST',
      headers: { host: 'example.com', 'x-two': ['1', '2'] },
      querystring: { x: ['1', '2'], y: '3' },
      size: 12,
    },
    response: { status: 201, headers: { 'content-type': 'text/plain' }, size: 34 },
    upstream: '10.0.0.1:80',
    service_id: 's1',
    route_id: 'r1',
    client_ip: '192.0.2.1',
    latency: 50,
    upstream_latency: 30,
    apisix_latency: 20,
  });
});

test('log_format chooses the fields, the metadata’s where the place names none', async () => {
  await using collector = await startCollector();
  const own = { host: '$host', '@timestamp': 'now', inner: { client: '$remote_addr' }, none: '$http_none' };
  const one = logger({ uri: collector.url, batch_max_size: 1, log_format: own });
  one.log({ remoteAddress: '192.0.2.1' });
  await collector.arrived(1);
  const two = logger(
    { uri: collector.url, batch_max_size: 1 },
    { metadata: { log_format: { method: '$request_method' } } },
  );
  two.log();
  await collector.arrived(2);
  assert.deepEqual(JSON.parse(collector.received[0]?.body ?? ''), {
    host: 'example.com',
    '@timestamp': 'now',
    inner: { client: '192.0.2.1' },
    route_id: 'r1',
    service_id: 's1',
  });
  assert.deepEqual(JSON.parse(collector.received[1]?.body ?? ''), { method: 'GET', route_id: 'r1', service_id: 's1' });
});

test('a batch may be one object a line', async () => {
  await using collector = await startCollector();
  const { log } = logger({ uri: collector.url, batch_max_size: 2, concat_method: 'new_line', log_format: { a: '\n' } });
  log();
  log();
  await collector.arrived(1);
  const lines = (collector.received[0]?.body ?? '').split('\n');
  assert.equal(lines.length, 2);
  for (const line of lines) assert.equal((JSON.parse(line) as { a: string }).a, '\n');
});

test('bodies are part of the entry where they are asked for, and cut off', async () => {
  await using collector = await startCollector();
  const { log, state } = logger({
    uri: collector.url,
    batch_max_size: 1,
    include_req_body: true,
    include_req_body_expr: [['request_method', '==', 'POST']],
    include_resp_body: true,
    include_resp_body_expr: [['status', '==', '200']],
    max_req_body_bytes: 6,
    max_resp_body_bytes: 8,
  });
  assert.equal(httpLogger.filtersBody?.(state), true);
  log({ method: 'POST', body: 'question' }, ['an', 'sw', 'er: 42']);
  log({ method: 'PUT', body: 'question', response: { status: 404 } }, ['not here']);
  await collector.arrived(2);
  const bodies = collector.received.map(({ body }) => {
    const { request, response } = JSON.parse(body) as Record<string, { body?: string }>;
    return [request?.body, response?.body];
  });
  assert.deepEqual(bodies, [
    ['questi', 'answer: '],
    [undefined, undefined],
  ]);
  assert.equal(httpLogger.filtersBody(logger({ uri: collector.url }).state), false, 'bodies stream untouched');
});

test('a batch that the server refuses is sent again, then dropped and counted', async () => {
  await using collector = await startCollector();
  collector.status = 500;
  const config = { uri: collector.url, batch_max_size: 2, max_retry_count: 1, retry_delay: 0, name: 'n' };
  const { log, metrics, logged, events } = logger(config);
  log();
  log();
  await collector.arrived(2);
  assert.equal(collector.received[0]?.body, collector.received[1]?.body);
  await events.stop();
  assert.equal(metrics.value('log_entries_dropped_total', '{name="n",scope="route#1"}'), 2);
  assert.deepEqual(logged, Array(2).fill('error log entries could not be sent'));
  collector.status = 200;
  log();
  log();
  await collector.arrived(3);
  await events.stop();
  assert.equal(metrics.value('log_entries_dropped_total', '{name="n",scope="route#1"}'), 2);
});

test('a server that is away costs entries and no memory', async () => {
  const collector = await startCollector();
  await collector[Symbol.asyncDispose]();
  const config = { uri: collector.url, batch_max_size: 1000, max_pending_entries: 10, name: 'n' };
  const { log, metrics, events } = logger(config);
  for (let i = 0; i < 50; i++) log();
  assert.equal(metrics.value('log_entries_dropped_total', '{name="n",scope="route#1"}'), 40);
  await events.stop();
  assert.equal(metrics.value('log_entries_dropped_total', '{name="n",scope="route#1"}'), 50);
});

test('what waits is sent when the configuration goes, and places of one worker share a batch', async () => {
  await using collector = await startCollector();
  const shared = new ResourcePool();
  const config = { uri: collector.url, log_format: { a: '$uri' } };
  const one = logger(config, { shared });
  const two = logger(config, { shared });
  one.log({ target: '/1' });
  two.log({ target: '/2' });
  assert.equal(shared.size, 1);
  one.dispose();
  assert.equal(collector.received.length, 0);
  two.dispose();
  await collector.arrived(1);
  assert.deepEqual(
    parse(collector.received[0]?.body ?? '').map(({ a }) => a),
    ['/1', '/2'],
  );
});

test('configurations that cannot log are refused when they are written', () => {
  const uri = 'http://127.0.0.1/';
  for (const config of [{}, { uri: 'ftp://x/' }, { uri: 'http://[/' }, { uri, batch_max_size: 0 }, { uri, timeout: 0 }])
    assert.throws(() => compilePlugin(httpLogger, config), Error, JSON.stringify(config));
  assert.throws(
    () => compilePlugin(httpLogger, { uri, include_req_body: true, include_req_body_expr: [['a']] }),
    /failed to validate the 'include_req_body_expr' expression/,
  );
});
