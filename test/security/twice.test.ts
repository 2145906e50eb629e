/** What comes twice has two readers, the gateway and the upstream, and each may take the other one: refused wherever the gateway decides by it. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { type Gateway, startGateway } from '../gateway.ts';
import { request } from '../request.ts';
import { startAuthoriser, type Authoriser } from '../services/authoriser.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';

const pluginFile = `
import { definePlugin } from 'gatewright/plugin';
export default definePlugin({
  name: 'reads',
  priority: 400,
  schema: { type: 'object' },
  async access(_, exchange) {
    const { tenant } = (await exchange.json(1000)) ?? {};
    return tenant === 'a' ? undefined : { status: 403 };
  },
});
`;

describe('a body with one key twice (CVE-2022-25757)', () => {
  let gateway: Gateway;
  let upstream: TestUpstream;
  let authoriser: Authoriser;
  const twice = [
    '{"tenant":"b","tenant":"a"}',
    '{"tenant":"b","\\u0074enant":"a"}',
    '{"tenant":"a","x":{"y":1,"y":2}}',
  ];
  const types = ['application/json', 'Application/JSON ; charset=utf-8', 'application/json;'];

  before(async () => {
    [upstream, authoriser] = await Promise.all([startUpstream(), startAuthoriser()]);
    gateway = await startGateway({
      settings: { plugin_dirs: ['plugins'], gatewright: { code_in_config: true } },
      files: { 'plugins/reads.ts': pluginFile },
    });
    const put = async (id: string, route: object): Promise<void> => {
      const { status, body } = await gateway.admin('PUT', `/routes/${id}`, {
        uri: `/${id}`,
        upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } },
        ...route,
      });
      assert.ok(status < 300, JSON.stringify(body));
    };
    await put('routed', { vars: [['post_arg.tenant', '==', 'a']] });
    await put('asked', {
      plugins: {
        'forward-auth': {
          uri: authoriser.url,
          request_headers: ['Authorization'],
          extra_headers: { 'X-Tenant': '$post_arg.tenant' },
        },
      },
    });
    await put('file', { plugins: { reads: {} } });
    await put('serverless', {
      plugins: {
        'serverless-pre-function': {
          phase: 'access',
          functions: [
            `async (conf, exchange) => (await exchange.json(1000))?.tenant === 'a' ? undefined : { status: 403 }`,
          ],
        },
      },
    });
    await put('validated', {
      plugins: { 'request-validation': { body_schema: { properties: { tenant: { const: 'a' } } } } },
    });
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await authoriser[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    upstream.requests.length = 0;
  });
  const post = async (path: string, type: string, body: string): Promise<number> =>
    (
      await request(
        gateway,
        path,
        { 'Content-Type': type, Authorization: 'good', 'Content-Length': String(body.length) },
        { method: 'POST', body },
      )
    ).status;

  for (const [what, path] of [
    ['routes by its fields', '/routed'],
    ['asks another by its fields', '/asked'],
    ['has a plugin file that decides by it', '/file'],
    ['has a serverless function that decides by it', '/serverless'],
    ['validates it', '/validated'],
  ] as const)
    it(`is refused where the gateway ${what}`, async () => {
      for (const type of types) {
        assert.equal(await post(path, type, '{"tenant":"a"}'), 200, type);
        assert.equal(upstream.requests.length, 1);
        upstream.requests.length = 0;
        for (const body of twice) assert.equal(await post(path, type, body), 400, `${type} ${body}`);
        assert.deepEqual(upstream.requests, []);
      }
      assert.equal((await authoriser.asked()).filter(({ headers }) => headers['x-tenant']?.[0] !== 'a').length, 0);
    });
});
