/** Loggers in a real gateway: consumer B's requests are collected over HTTP; bodies as they went by; nothing lost at the end. */
import assert from 'node:assert/strict';
import { readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Gateway, startGateway } from '../gateway.ts';
import { request } from '../request.ts';
import { put as putResource } from '../resources.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';

interface Entry {
  readonly request: { readonly uri: string; readonly body?: string };
  readonly response: { readonly status: number; readonly body?: string };
  readonly consumer?: { readonly username: string };
}

describe('loggers', () => {
  let gateway: Gateway;
  let upstream: TestUpstream;
  let collector: TestUpstream;

  before(async () => {
    upstream = await startUpstream((incoming, response, body) => response.end(`${incoming.url ?? ''} got ${body}`));
    collector = await startUpstream();
    gateway = await startGateway();
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
    await collector[Symbol.asyncDispose]();
  });

  const put = (path: string, body: object): Promise<void> => putResource(gateway, path, body);
  const route = (id: string, plugins: object) =>
    put(`/routes/${id}`, { uri: `/${id}`, plugins, upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } } });
  const logged = (): Entry[] => collector.requests.flatMap(({ body }) => JSON.parse(body) as Entry[]);

  it('sends the requests of consumer B alone, with bodies, and what still waits when the gateway ends', async () => {
    await put('/consumers', { username: 'a', plugins: { 'key-auth': { key: 'key-a' } } });
    await put('/consumers', {
      username: 'b',
      plugins: {
        'key-auth': { key: 'key-b' },
        'http-logger': {
          uri: `http://${collector.node}/logs`,
          include_req_body: true,
          include_resp_body: true,
          inactive_timeout: 600,
          buffer_duration: 600,
        },
      },
    });
    const file = join(gateway.directory, 'requests.log');
    await route('app', { 'key-auth': {}, 'file-logger': { path: file, log_format: { consumer: '$consumer_name' } } });
    for (const apikey of ['key-a', 'key-b', 'wrong', 'key-b']) {
      const { status, body } = await request(gateway, '/app', { apikey }, { method: 'POST', body: `from ${apikey}` });
      assert.equal(status, apikey === 'wrong' ? 401 : 200);
      if (status === 200) assert.equal(body, `/app got from ${apikey}`);
    }
    assert.deepEqual(logged(), [], 'the batch waits');

    await rename(file, `${file}.1`);
    gateway.process.kill('SIGHUP');
    // The first request after the signal was taken goes to the new file; both together hold all lines.
    await request(gateway, '/app', { apikey: 'key-a' });
    assert.equal(await gateway.stop(), 0);

    const entries = logged();
    assert.equal(entries.length, 2);
    for (const entry of entries) {
      assert.equal(entry.consumer?.username, 'b');
      assert.equal(entry.request.uri, '/app');
      assert.equal(entry.request.body, 'from key-b');
      assert.equal(entry.response.status, 200);
      assert.equal(entry.response.body, '/app got from key-b');
    }
    const lines = (await Promise.all([`${file}.1`, file].map((name) => readFile(name, 'utf8').catch(() => '')))).join(
      '',
    );
    const consumers = lines
      .split('\n')
      .slice(0, -1)
      .map((line) => (JSON.parse(line) as { consumer?: string }).consumer);
    assert.deepEqual(consumers.map(String).sort(), ['a', 'a', 'b', 'b', 'undefined']);
  });
});
