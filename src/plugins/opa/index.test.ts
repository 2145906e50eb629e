/** What a verdict is kept by and which answers are none, with a server that is no OPA; test/integration/opa.test.ts has a real one. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { TestExchange, type TestExchangeInit } from '../../plugin/testing/exchange.ts';
import { compilePlugin } from '../../plugin/testing/harness.ts';
import { opa } from './index.ts';

let asked = 0;
let answer = { status: 200, body: '{"result":true}' };
const server = createServer((request, response) => {
  asked++;
  request.resume();
  response.writeHead(answer.status, { 'Content-Type': 'application/json' }).end(answer.body);
});
const state = (cache: object): ReturnType<typeof opa.compile> => {
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return compilePlugin(opa, { host: `http://127.0.0.1:${port}`, policy: 'p', keepalive: false, ...cache }).state;
};
before(async () => {
  await once(server.listen(0, '127.0.0.1'), 'listening');
});
after(() => {
  server.close();
});

test('a verdict is kept by method, scheme, host, path, query, headers and address', async () => {
  const compiled = state({ cache: { ttl: 60 } });
  const first: TestExchangeInit = { target: '/a?q=1', remoteAddress: '192.0.2.1', headers: { Token: 'a' } };
  const asks = async (change: TestExchangeInit): Promise<number> => {
    const from = asked;
    assert.equal(await opa.access?.(compiled, new TestExchange({ ...first, ...change })), undefined);
    return asked - from;
  };
  assert.deepEqual([await asks({}), await asks({})], [1, 0]);
  for (const change of [
    { method: 'PUT' },
    { scheme: 'https' },
    { host: 'other.example' },
    { target: '/b?q=1' },
    { target: '/a?q=2' },
    { target: '/a?q' },
    { headers: { Token: 'b' } },
    { remoteAddress: '192.0.2.2' },
  ] as const)
    assert.deepEqual([await asks(change), await asks(change)], [1, 0], JSON.stringify(change));
});

test('what does not come with 200, or is not whole, is no verdict', async (t) => {
  const compiled = state({});
  t.after(() => {
    answer = { status: 200, body: '{"result":true}' };
  });
  for (const [status, body] of [
    [500, '{"result":true}'],
    [201, '{"result":true}'],
    [200, '{"result":true'],
    [200, '{}'],
    [200, 'null'],
    [200, '{"result":{"allow":true,"headers":"X-A: b"}}'],
    [200, '{"result":{"allow":true,"headers":{"X-A":"b\\r\\nX-C: d"}}}'],
  ] as const) {
    answer = { status, body };
    const reply = await opa.access?.(compiled, new TestExchange());
    assert.equal(reply?.status, 503, body);
  }
});
