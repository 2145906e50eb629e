/** What operators see of traffic: metrics on their port, access log lines in the file. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Gateway, startGateway } from '../gateway.ts';
import { request } from '../request.ts';
import { until } from '../until.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';

describe('a gateway with prometheus and an access log', () => {
  let gateway: Gateway;
  let upstream: TestUpstream;
  before(async () => {
    upstream = await startUpstream((_, response) => response.end('12345'));
    gateway = await startGateway({
      settings: {
        nginx_config: {
          http: {
            enable_access_log: true,
            access_log_buffer: 0,
            access_log_format:
              '{"uri":"$request_uri","status":$status,"agent":"$http_user_agent","consumer":"$consumer_name","route":"$route_id","bytes":$body_bytes_sent,"node":"$upstream_addr","host":"$host"}',
            access_log_format_escape: 'json',
          },
        },
      },
    });
    await gateway.admin('PUT', '/consumers', { username: 'jack', plugins: { 'key-auth': { key: 'jack-key' } } });
    await gateway.admin('PUT', '/routes/r1', {
      uri: '/counted',
      plugins: { prometheus: {}, 'key-auth': {} },
      upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } },
    });
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
  });
  const scrape = async (): Promise<string> => {
    const response = await fetch(`http://127.0.0.1:${gateway.ports.metrics}/apisix/prometheus/metrics`);
    assert.match(response.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
    return response.text();
  };
  const lines = async (): Promise<Record<string, unknown>[]> => {
    const text = await readFile(join(gateway.directory, 'data/logs/access.log'), 'utf8').catch(() => '');
    return text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  };

  it("counts requests of all workers under APISIX's names", async () => {
    for (let i = 0; i < 20; i++) await request(gateway, '/counted', { apikey: 'jack-key', 'User-Agent': 'agent' });
    for (let i = 0; i < 3; i++) await request(gateway, '/counted', { 'User-Agent': 'agent' });
    const labels = (code: number, consumer: string, node: string): string =>
      `apisix_http_status{code="${code}",route="r1",matched_uri="/counted",matched_host="",service="",consumer="${consumer}",node="${node}"`;
    const count = (text: string, prefix: string): number =>
      text
        .split('\n')
        .filter((line) => line.startsWith(prefix))
        .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
    await until(async () => count(await scrape(), labels(401, '', '')) === 3);
    const text = await scrape();
    assert.equal(count(text, labels(200, 'jack', '127.0.0.1')), 20);
    assert.match(text, /^# TYPE apisix_http_latency histogram$/m);
    assert.match(text, /^apisix_http_latency_count\{type="request",route="r1",[^}]*consumer="jack"[^}]*\} 20$/m);
    assert.match(text, /^apisix_bandwidth\{type="egress",route="r1",/m);
  });

  it('answers 404 on any other path of the metrics port', async () => {
    assert.equal((await fetch(`http://127.0.0.1:${gateway.ports.metrics}/metrics`)).status, 404);
  });

  it('writes a line for each request in the format of the settings', async () => {
    await until(async () => (await lines()).length >= 23);
    const all = await lines();
    assert.equal(all.length, 23);
    assert.deepEqual(
      all.find(({ status }) => status === 200),
      {
        uri: '/counted',
        status: 200,
        agent: 'agent',
        consumer: 'jack',
        route: 'r1',
        bytes: 5,
        node: upstream.node,
        host: '127.0.0.1',
      },
    );
    const refused = all.find(({ status }) => status === 401);
    assert.equal(refused?.['consumer'], '');
    assert.equal(refused['node'], '');
  });

  it('a client cannot forge a line or a field', async () => {
    await request(gateway, '/forged?a="},{"status":200', { 'User-Agent': '"},{"x":"\\ \t' });
    await until(async () => (await lines()).length >= 24);
    const all = await lines();
    assert.equal(all.length, 24);
    assert.equal(all.at(-1)?.['agent'], '"},{"x":"\\ \t'.trimEnd());
    assert.equal(all.at(-1)?.['status'], 404);
  });
});
