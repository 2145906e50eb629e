/** Plugins that answer or change requests by themselves, in a real gateway: mocking, fault-injection, request-validation, echo. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Gateway, startGateway } from '../gateway.ts';
import { request } from '../request.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';

describe('plugins that answer', () => {
  let gateway: Gateway;
  let upstream: TestUpstream;
  before(async () => {
    upstream = await startUpstream();
    gateway = await startGateway();
    const consumer = { username: 'jack', plugins: { 'key-auth': { key: 'k' } } };
    assert.equal((await gateway.admin('PUT', '/consumers', consumer)).status, 201);
    await putRoute('mock', {
      'key-auth': {},
      mocking: { response_example: '{"for":"$consumer_name"}', response_status: 201 },
    });
    await putRoute('fault', {
      'fault-injection': { abort: { http_status: 418, body: 'no', vars: [[['arg_a', '==', '1']]] } },
    });
    await putRoute('valid', {
      'request-validation': {
        body_schema: { type: 'object', required: ['a'], properties: { a: { type: 'integer' } } },
      },
    });
    await putRoute('echo', { echo: { before_body: '<', after_body: '>', headers: { 'X-Echo': 'yes' } } });
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
  });
  async function putRoute(id: string, plugins: object): Promise<void> {
    const { status, body } = await gateway.admin('PUT', `/routes/${id}`, {
      uri: `/${id}`,
      plugins,
      upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } },
    });
    assert.ok(status < 300, JSON.stringify(body));
  }

  it('mocking answers whom the route lets in, and sends nothing upstream', async () => {
    assert.equal((await request(gateway, '/mock')).status, 401);
    const { status, body, headers } = await request(gateway, '/mock', { apikey: 'k' });
    assert.deepEqual([status, body, headers['x-mock-by']], [201, '{"for":"jack"}', 'Gatewright']);
    assert.equal(headers['content-type'], 'application/json;charset=utf8');
    assert.equal(upstream.requests.length, 0);
  });

  it('fault-injection aborts what its vars select', async () => {
    const { status, body } = await request(gateway, '/fault?a=1');
    assert.deepEqual([status, body], [418, 'no']);
    assert.equal((await request(gateway, '/fault?a=2')).status, 200);
  });

  it('request-validation passes a valid body byte for byte, and refuses others', async () => {
    const send = (body: string) => request(gateway, '/valid', {}, { method: 'POST', body });
    const body = '{ "a" : 12345678901234567890, "b": 1.0 }';
    assert.equal((await send(body)).status, 200);
    assert.equal(upstream.requests.at(-1)?.body, body);
    const seen = upstream.requests.length;
    const refused = await send('{"b":1}');
    assert.deepEqual([refused.status, refused.body], [400, 'property "a" is required']);
    assert.equal((await send('{"a":1,"a":2}')).status, 400);
    assert.equal((await request(gateway, '/valid')).status, 400);
    assert.equal(upstream.requests.length, seen);
  });

  it('echo wraps the upstream’s body', async () => {
    const { body, headers } = await request(gateway, '/echo');
    assert.deepEqual([body, headers['x-echo']], ['<GET /echo\n>', 'yes']);
  });
});
