/** What a verdict is kept by, input by input; the rest is in test/integration/custom-auth.test.ts, over sockets. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestExchange, type TestExchangeInit } from '../../plugin/testing/exchange.ts';
import { compilePlugin } from '../../plugin/testing/harness.ts';
import { customAuth } from './index.ts';

const config = {
  cache_time: 10,
  endpoint_timeout: 15,
  func_name: 'f',
  func_namespace: 'n',
  func_qualifier: '$LATEST',
  is_send_body: true,
  header_auth_parameters: ['Token'],
};

/** Which of the requests, one after the other, ask the function. */
async function asked(changes: object, requests: readonly TestExchangeInit[], revision = () => '1'): Promise<boolean[]> {
  let calls = 0;
  const { state } = compilePlugin(
    customAuth,
    { ...config, ...changes },
    {
      functions: {
        acquire: () => ({
          revision,
          call: () => {
            calls++;
            return Promise.resolve('{"api-auth":true}');
          },
          release: () => undefined,
        }),
      },
    },
  );
  const result: boolean[] = [];
  for (const init of requests) {
    const before = calls;
    const length = init.body === undefined ? {} : { 'Content-Length': String(init.body.length) };
    const exchange = new TestExchange({ ...init, headers: { Token: 'a', ...init.headers, ...length } });
    assert.equal(await customAuth.rewrite?.(state, exchange), undefined);
    result.push(calls > before);
  }
  return result;
}

const first: TestExchangeInit = {
  method: 'POST',
  target: '/a',
  host: 'a.example',
  remoteAddress: '192.0.2.1',
  body: 'x',
};
const others = {
  method: [{ method: 'PUT' }],
  host: [{ host: 'b.example' }, { scheme: 'https' }],
  path: [{ target: '/b' }, { target: '/a/' }],
  remote_addr: [{ remoteAddress: '192.0.2.2' }],
  body: [{ body: 'y' }, { body: '' }],
} as const satisfies Record<string, readonly TestExchangeInit[]>;

test('a verdict is kept by method, scheme and host, path, address and body, unless cache_key leaves one out', async () => {
  const names = Object.keys(others) as (keyof typeof others)[];
  for (const name of names) {
    for (const change of others[name]) {
      const requests = [first, { ...first, ...change }, first];
      assert.deepEqual(await asked({}, requests), [true, true, false], JSON.stringify(change));
      const without = { cache_key: names.filter((other) => other !== name) };
      assert.deepEqual(await asked(without, requests), [true, false, false], JSON.stringify(change));
    }
  }
});

test('a body that is not sent is no part of it', async () => {
  assert.deepEqual(await asked({ is_send_body: false }, [first, { ...first, body: 'y' }]), [true, false]);
});

test('verification parameters are part of it even where cache_key is empty, other headers and parameters are not', async () => {
  const requests = [
    first,
    { ...first, headers: { Token: 'b' } },
    { ...first, headers: { Token: ['a', 'a'] } },
    { ...first, target: '/?q=1' },
    { ...first, target: '/?q=1&q=1' },
    { ...first, target: '/?x=1', headers: { Other: '1' } },
  ];
  assert.deepEqual(await asked({ cache_key: [], query_auth_parameters: ['q'] }, requests), [
    ...[true, true, true],
    ...[true, true, false],
  ]);
});

test('a function that changed is asked anew', async () => {
  let revision = 0;
  assert.deepEqual(await asked({}, [first, first], () => String(revision++)), [true, true]);
});
