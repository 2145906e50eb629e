import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compilePlugin, testConsumer, TestExchange, type TestExchangeInit } from '../../plugin/testing/index.ts';
import { attachConsumerLabel } from './index.ts';

function run(init: TestExchangeInit, headers: Record<string, string>): TestExchange {
  const exchange = new TestExchange(init);
  const { state } = compilePlugin(attachConsumerLabel, { headers });
  assert.equal(attachConsumerLabel.beforeProxy?.(state, exchange), undefined);
  return exchange;
}

const john = testConsumer('john', { labels: { department: 'devops', company: 'api7', place: 'Zürich' } });

test('labels of the consumer become headers, and a missing one none', () => {
  const headers = { 'X-Consumer-Department': '$department', 'X-Company': '$company', 'X-Role': '$role' };
  const exchange = run({ consumer: john }, headers);
  assert.equal(exchange.headers.get('x-consumer-department'), 'devops');
  assert.equal(exchange.headers.get('x-company'), 'api7');
  assert.equal(exchange.headers.has('x-role'), false);
});

test('what the client sent under these names goes, however spelt, with and without a consumer (GHSA-x677-9fxg-v5c5)', () => {
  const sent = { 'x-role': ['admin', 'root'], 'x-company': 'forged', X_Role: 'admin', 'X.Company': 'forged' };
  const headers = { 'X-Role': '$role', 'X-Company': '$company' };
  assert.deepEqual(run({ headers: sent, consumer: john }, headers).headers.getAll('x-company'), ['api7']);
  for (const consumer of [undefined, testConsumer('jack')]) {
    const exchange = run({ headers: sent, ...(consumer === undefined ? {} : { consumer }) }, headers);
    assert.equal(exchange.headers.has('x-role'), false);
    assert.equal(exchange.headers.has('x-company'), false);
    for (const [, value] of exchange.headers.entries()) assert.doesNotMatch(value, /admin|root|forged/);
  }
});

test('a name of Object’s own is no label, a value beyond ASCII is UTF-8, one with a line break is left out', () => {
  assert.equal(run({ consumer: john }, { 'X-A': '$constructor' }).headers.has('x-a'), false);
  const place = run({ consumer: john }, { 'X-Place': '$place' }).headers.get('x-place') ?? '';
  assert.equal(Buffer.from(place, 'latin1').toString(), 'Zürich');
  const split = testConsumer('x', { labels: { a: 'b\r\nX-Admin: 1' } });
  assert.equal(run({ consumer: split }, { 'X-A': '$a' }).headers.has('x-a'), false);
});

test('a reference without $ and a name that is no header name are refused', () => {
  assert.throws(() => compilePlugin(attachConsumerLabel, { headers: { 'X-A': 'a' } }), /headers/);
  assert.throws(() => compilePlugin(attachConsumerLabel, { headers: { 'X A': '$a' } }), /"X A" is no header name/);
  assert.throws(() => compilePlugin(attachConsumerLabel, { headers: {} }), /headers/);
});
