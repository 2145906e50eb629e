import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compilePlugin, TestExchange } from '../../plugin/testing/index.ts';
import { echo } from './index.ts';

function bodyOf(config: object, pieces: readonly string[]): string {
  const { state } = compilePlugin(echo, config);
  const exchange = new TestExchange();
  return pieces
    .map((piece, i) => echo.bodyFilter?.(state, exchange, Buffer.from(piece), i === pieces.length - 1))
    .map((piece) => Buffer.from(piece ?? []).toString())
    .join('');
}

test('text stands before and after the body, however it comes in pieces', () => {
  const config = { before_body: 'before ', after_body: ' after' };
  assert.equal(bodyOf(config, ['hello']), 'before hello after');
  assert.equal(bodyOf(config, ['hel', 'lo', '']), 'before hello after');
  assert.equal(bodyOf(config, ['']), 'before  after');
});

test('body takes the place of the upstream’s', () => {
  assert.equal(bodyOf({ body: 'mine' }, ['up', 'stream', '']), 'mine');
  assert.equal(bodyOf({ before_body: '<', body: 'mine', after_body: '>' }, ['upstream']), '<mine>');
});

test('headers are set on the response', () => {
  const { state } = compilePlugin(echo, { body: 'x', headers: { 'X-Echo': 'yes' } });
  const exchange = new TestExchange({ response: { headers: { 'x-echo': 'no' } } });
  echo.headerFilter?.(state, exchange);
  assert.deepEqual(exchange.response.headers.getAll('x-echo'), ['yes']);
});

test('one of the texts is required', () => {
  for (const config of [{}, { headers: { a: 'b' } }, { body: 7 }]) assert.throws(() => compilePlugin(echo, config));
});
