/** The life of credentials in a gateway with two workers: names, overlapping rotation, expiry, lockout, and asking without effect. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { type Gateway, startGateway } from '../gateway.ts';
import { request } from '../request.ts';
import { until } from '../until.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';

const inSeconds = (seconds: number): number => Math.floor(Date.now() / 1000) + seconds;
const basic = (credentials: string): string => `Basic ${Buffer.from(credentials).toString('base64')}`;

describe('credentials', () => {
  let gateway: Gateway;
  let upstream: TestUpstream;
  before(async () => {
    upstream = await startUpstream();
    gateway = await startGateway();
    await put('/consumers/jack', { username: 'jack' });
    await put('/consumers/hannah', {
      username: 'hannah',
      plugins: { 'hmac-auth': { key_id: 'hannah-key', secret_key: 'hannah-secret' } },
    });
    await putRoute('key', { 'key-auth': {} });
    await putRoute('basic', { 'basic-auth': { lockout: { failures: 3, window: 60, duration: 60 } } });
    await putRoute('once', { 'hmac-auth': { replay_protection: true } });
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
  });
  async function put(path: string, resource: object): Promise<void> {
    const { status, body } = await gateway.admin('PUT', path, resource);
    assert.ok(status < 300, JSON.stringify(body));
  }
  const putRoute = (id: string, plugins: object): Promise<void> =>
    put(`/routes/${id}`, {
      uri: `/${id}`,
      plugins,
      upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } },
    });
  const putKey = (id: string, key: string, more: object = {}): Promise<void> =>
    put(`/consumers/jack/credentials/${id}`, { plugins: { 'key-auth': { key } }, ...more });
  /** Connection after connection, so that both workers are asked. */
  async function statuses(path: string, headers: Record<string, string>): Promise<number[]> {
    const answers = await Promise.all(Array.from({ length: 8 }, () => request(gateway, path, headers)));
    return [...new Set(answers.map(({ status }) => status))].sort();
  }
  async function explain(path: string, headers: Record<string, string>): Promise<string | undefined> {
    const response = await fetch(`http://127.0.0.1:${gateway.ports.control}/v1/explain`, {
      method: 'POST',
      body: JSON.stringify({ method: 'GET', url: `${gateway.url}${path}`, headers: Object.entries(headers) }),
    });
    return ((await response.json()) as { outcome: { reason?: string } }).outcome.reason;
  }

  it('keys are rotated with an overlap: the old one serves until it is removed, the upstream sees which was used', async () => {
    await putKey('spring', 'spring-key', { name: 'spring 2026' });
    assert.deepEqual(await statuses('/key', { apikey: 'spring-key' }), [200]);
    await putKey('autumn', 'autumn-key', { name: 'autumn 2026' });
    for (const id of ['spring', 'autumn']) {
      assert.deepEqual(await statuses('/key', { apikey: `${id}-key` }), [200]);
      const { headers } = upstream.requests.at(-1) ?? {};
      assert.equal(headers?.['x-credential-identifier'], id);
      assert.equal(headers['x-consumer-username'], 'jack');
    }
    const { body } = await gateway.admin('GET', '/consumers/jack/credentials/spring');
    assert.equal((body['value'] as { name: string }).name, 'spring 2026');
    await gateway.admin('DELETE', '/consumers/jack/credentials/spring');
    assert.deepEqual(await statuses('/key', { apikey: 'spring-key' }), [401]);
    assert.deepEqual(await statuses('/key', { apikey: 'autumn-key' }), [200]);
  });

  it('a credential serves until it expires; the log tells expired from unknown, the client does not see it', async () => {
    await putKey('brief', 'brief-key', { expires_at: inSeconds(2) });
    assert.deepEqual(await statuses('/key', { apikey: 'brief-key' }), [200]);
    await until(async () => (await request(gateway, '/key', { apikey: 'brief-key' })).status === 401);
    const expired = await request(gateway, '/key', { apikey: 'brief-key' });
    const unknown = await request(gateway, '/key', { apikey: 'other-key' });
    assert.equal(expired.body, unknown.body);
    assert.equal(await explain('/key', { apikey: 'brief-key' }), 'key-auth.expired');
    assert.equal(await explain('/key', { apikey: 'other-key' }), 'key-auth.unknown_key');
    await until(() => gateway.output().includes('key-auth.expired'));
    await putKey('brief', 'brief-key', { expires_at: inSeconds(3600) });
    assert.deepEqual(await statuses('/key', { apikey: 'brief-key' }), [200]);
  });

  it('an expiry that is no time is refused when it is written', async () => {
    for (const expires_at of [0, -1, 1.5, '2026-01-01T00:00:00Z']) {
      const { status, body } = await gateway.admin('PUT', '/consumers/jack/credentials/wrong', {
        plugins: { 'key-auth': { key: 'wrong-key' } },
        expires_at,
      });
      assert.equal(status, 400);
      assert.match(String(body['error_msg']), /expires_at/);
    }
  });

  it('too many failures lock a name out on every worker, and asking locks nobody', async () => {
    await put('/consumers/jack/credentials/door', {
      plugins: { 'basic-auth': { username: 'jack', password: 'open' } },
    });
    const [right, wrong] = [{ Authorization: basic('jack:open') }, { Authorization: basic('jack:guess') }];
    for (let i = 0; i < 5; i++) assert.equal(await explain('/basic', wrong), 'basic-auth.wrong_password');
    assert.deepEqual(await statuses('/basic', right), [200]);
    for (let i = 0; i < 3; i++) assert.equal((await request(gateway, '/basic', wrong)).status, 401);
    assert.deepEqual(await statuses('/basic', right), [429]);
    assert.equal(await explain('/basic', right), 'basic-auth.locked_out');
    assert.deepEqual(await statuses('/basic', { Authorization: basic('jill:guess') }), [401, 429]);
  });

  it('asking what would happen uses up no nonce', async () => {
    const date = new Date().toUTCString();
    const signature = createHmac('sha256', 'hannah-secret')
      .update(`hannah-key\nGET /once\ndate: ${date}\nx-nonce: n-1\n`)
      .digest('base64');
    const headers = {
      Date: date,
      'X-Nonce': 'n-1',
      Authorization: `Signature keyId="hannah-key",algorithm="hmac-sha256",headers="@request-target date x-nonce",signature="${signature}"`,
    };
    for (let i = 0; i < 2; i++) assert.equal(await explain('/once', headers), undefined);
    assert.equal((await request(gateway, '/once', headers)).status, 200);
    assert.equal(await explain('/once', headers), 'hmac-auth.replayed');
    assert.equal((await request(gateway, '/once', headers)).status, 401);
  });
});
