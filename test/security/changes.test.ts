/** A write that was answered holds for the next request of every worker, also where a verdict is kept that names who the caller is. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Gateway, startGateway } from '../gateway.ts';
import { request } from '../request.ts';
import { startAuthoriser, type Authoriser } from '../services/authoriser.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';

describe('a kept verdict that names a consumer', () => {
  let gateway: Gateway;
  let upstream: TestUpstream;
  let authoriser: Authoriser;
  before(async () => {
    [upstream, authoriser] = await Promise.all([startUpstream(), startAuthoriser()]);
    gateway = await startGateway();
    await admin('PUT', '/consumers', { username: 'jack' });
    const forwardAuth = {
      'forward-auth': {
        uri: authoriser.url,
        request_headers: ['Authorization'],
        consumer_header: 'X-Who',
        cache: { ttl: 3600 },
      },
    };
    const node = { type: 'roundrobin', nodes: { [upstream.node]: 1 } };
    await admin('PUT', '/routes/alone', { uri: '/alone', plugins: forwardAuth, upstream: node });
    await admin('PUT', '/routes/member', {
      uri: '/member',
      plugins: { 'multi-auth': { auth_plugins: [{ 'key-auth': {} }, forwardAuth] } },
      upstream: node,
    });
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await authoriser[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
  });
  const admin = async (method: string, path: string, body?: object): Promise<void> => {
    const { status, body: answer } = await gateway.admin(method, path, body);
    assert.ok(status < 300, JSON.stringify(answer));
  };
  /** Each over a connection of its own, so that every worker answers some. */
  const statuses = async (path: string): Promise<Set<number>> => {
    const answers = await Promise.all(
      Array.from({ length: 16 }, () => request(gateway, path, { Authorization: 'consumer' })),
    );
    return new Set(answers.map(({ status }) => status));
  };

  for (const [path, refusal] of [
    ['/alone', 403],
    ['/member', 401],
  ] as const)
    it(`lets nobody in once the consumer is gone, and meets his new plugins: ${path} (apisix#12393, #13707)`, async () => {
      for (let round = 0; round < 5; round++) {
        assert.deepEqual([...(await statuses(path))], [200]);
        await admin('PUT', '/consumers', {
          username: 'jack',
          plugins: { 'ip-restriction': { blacklist: ['127.0.0.1'], response_code: 404 } },
        });
        assert.deepEqual([...(await statuses(path))], [404]);
        await admin('DELETE', '/consumers/jack');
        assert.deepEqual([...(await statuses(path))], [refusal]);
        await admin('PUT', '/consumers', { username: 'jack' });
      }
    });
});
