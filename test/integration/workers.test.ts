/** What an Admin API write promises: once answered, every worker serves it. Two workers, many connections. */
import assert from 'node:assert/strict';
import { Agent, request as httpRequest } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { type Gateway, startGateway } from '../gateway.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';

const rounds = 200;
/** The kernel spreads connections over the workers: all of them on one of two happens in one run of 2,000. */
const connections = 12;

describe('two workers', () => {
  let gateway: Gateway;
  let upstream: TestUpstream;
  const agents = Array.from({ length: connections }, () => new Agent({ keepAlive: true, maxSockets: 1 }));
  before(async () => {
    upstream = await startUpstream((_, response) => response.end());
    gateway = await startGateway();
  });
  after(async () => {
    for (const agent of agents) agent.destroy();
    await gateway[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
  });

  const get = (agent: Agent, path: string, headers: Record<string, string> = {}): Promise<number> =>
    new Promise((resolve, reject) => {
      httpRequest({ host: '127.0.0.1', port: gateway.ports.data, path, headers, agent }, (response) => {
        response.resume();
        response.once('end', () => {
          resolve(response.statusCode ?? 0);
        });
      })
        .once('error', reject)
        .end();
    });
  /** The status on every connection, at once. */
  const onAll = async (path: string, headers?: Record<string, string>): Promise<number[]> => {
    const statuses = await Promise.all(agents.map((agent) => get(agent, path, headers)));
    return [...new Set(statuses)];
  };
  const route = (uri: string, plugins: object = {}): object => ({
    uri,
    plugins,
    upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } },
  });
  const write = async (method: string, path: string, body?: object): Promise<void> => {
    const { status, body: answer } = await gateway.admin(method, path, body);
    assert.ok(status === 200 || status === 201, JSON.stringify(answer));
  };

  it('both take requests', async () => {
    const { workers } = (await (await fetch(`http://127.0.0.1:${gateway.ports.control}/v1/served`)).json()) as {
      workers: unknown[];
    };
    assert.equal(workers.length, 2);
  });

  it(`serve each of ${rounds} routes on every connection once its PUT was answered, and not once its DELETE was`, async () => {
    for (let round = 0; round < rounds; round++) {
      await write('PUT', '/routes/rw', route(`/rw/${round}`));
      assert.deepEqual(await onAll(`/rw/${round}`), [200]);
      if (round % 4 !== 3) continue;
      await write('DELETE', '/routes/rw');
      assert.deepEqual(await onAll(`/rw/${round}`), [404]);
    }
  });

  it(`notice each of ${rounds} changes of a credential (apisix#12393, #13707)`, async () => {
    await write('PUT', '/routes/cred', route('/cred', { 'key-auth': {} }));
    await write('PUT', '/consumers', { username: 'changing' });
    for (let round = 0; round < rounds; round++) {
      await write('PUT', '/consumers/changing/credentials/c', { plugins: { 'key-auth': { key: `key-${round}` } } });
      assert.deepEqual(await onAll('/cred', { apikey: `key-${round}` }), [200]);
      assert.deepEqual(await onAll('/cred', { apikey: `key-${round - 1}` }), [401]);
    }
    await write('DELETE', '/consumers/changing/credentials/c');
    assert.deepEqual(await onAll('/cred', { apikey: `key-${rounds - 1}` }), [401]);
  });

  it('notice that a consumer is gone, with its credentials', async () => {
    await write('PUT', '/routes/gone', route('/gone', { 'key-auth': {} }));
    for (let round = 0; round < 20; round++) {
      await write('PUT', '/consumers', { username: 'gone', plugins: { 'key-auth': { key: 'own-key' } } });
      await write('PUT', '/consumers/gone/credentials/c', { plugins: { 'key-auth': { key: 'credential-key' } } });
      assert.deepEqual(await onAll('/gone', { apikey: 'own-key' }), [200]);
      assert.deepEqual(await onAll('/gone', { apikey: 'credential-key' }), [200]);
      await write('DELETE', '/consumers/gone');
      assert.deepEqual(await onAll('/gone', { apikey: 'own-key' }), [401]);
      assert.deepEqual(await onAll('/gone', { apikey: 'credential-key' }), [401]);
    }
  });

  it('serve what two clients write at the same time', async () => {
    await Promise.all(
      ['left', 'right'].map(async (client) => {
        for (let n = 0; n < 50; n++) {
          await write('PUT', `/routes/${client}`, route(`/${client}/${n}`));
          assert.deepEqual(await onAll(`/${client}/${n}`), [200]);
        }
      }),
    );
  });

  it('of several writes that name the same version with If-Match, exactly one wins', async () => {
    for (let round = 0; round < 20; round++) {
      const { headers } = await gateway.admin('PUT', '/routes/race', route(`/race/${round}`));
      const tag = headers.get('etag') ?? '';
      const answers = await Promise.all(
        Array.from({ length: 5 }, (_, n) =>
          gateway.admin('PUT', '/routes/race', route(`/race/${round}/${n}`), { 'If-Match': tag }),
        ),
      );
      assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 412, 412, 412, 412]);
      const winner = answers.findIndex(({ status }) => status === 200);
      assert.deepEqual(await onAll(`/race/${round}/${winner}`), [200]);
    }
  });
});
