import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Reply } from '../../plugin/plugin.ts';
import { compilePlugin, testConsumer, TestExchange } from '../../plugin/testing/index.ts';
import { mocking } from './index.ts';

function answer(config: object): Reply {
  const { state } = compilePlugin(mocking, config);
  const reply = mocking.access?.(state, new TestExchange({ consumer: testConsumer('jack') }));
  assert.ok(reply !== undefined && !(reply instanceof Promise));
  return reply;
}

test('an example is the answer, variables filled in', () => {
  assert.deepEqual(answer({ response_status: 201, content_type: '', response_example: '{"who":"$consumer_name"}' }), {
    status: 201,
    headers: { 'x-mock-by': 'Gatewright', 'Content-Type': 'application/json;charset=utf8' },
    body: '{"who":"jack"}',
    reason: 'mocking.answered',
  });
  const config = { response_example: '<a/>', content_type: 'application/xml', with_mock_header: false };
  const headers = { 'Content-Type': 'application/xml', 'X-Number': '7' };
  assert.deepEqual(answer({ ...config, response_headers: { 'X-Number': 7 } }).headers, headers);
});

test('a schema makes data of its types; examples in it stand', () => {
  const response_schema = {
    type: 'object',
    properties: {
      field0: { example: 'abcd', type: 'string' },
      field1: { type: 'number' },
      field2: { type: 'array', items: { type: 'string' } },
      field3: {
        type: 'object',
        properties: { inner: { type: 'boolean', example: true }, list: { type: 'array', items: { type: 'integer' } } },
      },
    },
  };
  const { body } = answer({ response_schema });
  assert.ok(typeof body === 'string');
  const value = JSON.parse(body) as {
    field0: string;
    field1: number;
    field2: string[];
    field3: { inner: boolean; list: number[] };
  };
  assert.equal(value.field0, 'abcd');
  assert.equal(typeof value.field1, 'number');
  assert.ok(value.field2.length > 0 && value.field2.every((item) => /^[a-zA-Z0-9]+$/.test(item)));
  assert.equal(value.field3.inner, true);
  assert.ok(value.field3.list.every(Number.isInteger));
});

test('delay holds the answer back, and not where it is only asked what would happen', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { state } = compilePlugin(mocking, { response_example: 'x', delay: 2 });
  const held = mocking.access?.(state, new TestExchange());
  assert.ok(held instanceof Promise);
  t.mock.timers.tick(2000);
  assert.equal((await held)?.status, 200);
  assert.ok(!(mocking.access?.(state, new TestExchange({ dryRun: true })) instanceof Promise));
});

test('neither example nor schema, a type that is none, data for what is not JSON: refused when written', () => {
  for (const config of [
    {},
    { response_schema: { type: 'date' } },
    { response_schema: { properties: { a: { type: 'array', items: 7 } } } },
    { response_schema: {}, content_type: 'application/xml' },
    { response_example: 'x', delay: -1 },
  ]) {
    assert.throws(() => compilePlugin(mocking, config), JSON.stringify(config));
  }
});
