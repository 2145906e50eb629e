import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileCombination, compileCountKey, compileNumber, countKeyPrefix } from './count-key.ts';
import { TestExchange } from './testing/index.ts';

const exchange = new TestExchange({
  target: '/?a=1&b=2&n=12&z=0',
  remoteAddress: '192.0.2.7',
  headers: { 'X-One': 'one' },
});

test('a variable is read with or without `$`, and the address stands in for none', () => {
  assert.equal(compileCountKey('http_x_one', 'var')(exchange), 'one');
  assert.equal(compileCountKey('$http_x_one', 'var')(exchange), 'one');
  assert.equal(compileCountKey('http_x_two', 'var')(exchange), '192.0.2.7');
  assert.equal(compileCountKey('remote_addr', 'constant')(exchange), 'remote_addr');
});

test('a combination needs one of its variables at least', () => {
  assert.equal(compileCombination('$arg_a ${arg_b}-x')(exchange), '1 2-x');
  assert.equal(compileCombination('$arg_a $arg_none!')(exchange), '1 !');
  assert.equal(compileCombination('$arg_none')(exchange), undefined);
  assert.equal(compileCombination('plain')(exchange), undefined);
  assert.equal(compileCountKey('$arg_none', 'var_combination')(exchange), '192.0.2.7');
});

test('a number comes from configuration or a variable, with a default', () => {
  assert.equal(compileNumber(5, 'count')(exchange), 5);
  assert.equal(compileNumber('5', 'count')(exchange), 5);
  assert.equal(compileNumber('$arg_n', 'count')(exchange), 12);
  assert.equal(compileNumber('${arg_none ?? 7}', 'count')(exchange), 7);
  assert.equal(compileNumber('${arg_n ?? 7}', 'count')(exchange), 12);
  for (const text of ['$arg_none', '$arg_z', '$http_x_one'])
    assert.equal(compileNumber(text, 'count')(exchange), undefined);
  assert.throws(() => compileNumber('many', 'count'), /count: 'many' is neither a number nor a variable/);
});

test('keys of two places, plugins or configurations never meet, but for a group', () => {
  const prefixes = [
    countKeyPrefix('a', 'route#1', { count: 1 }, undefined),
    countKeyPrefix('a', 'route#1', { count: 2 }, undefined),
    countKeyPrefix('a', 'route#2', { count: 1 }, undefined),
    countKeyPrefix('b', 'route#1', { count: 1 }, undefined),
    countKeyPrefix('a', 'route#1', { count: 1 }, 'g'),
    countKeyPrefix('b', 'route#1', { count: 1 }, 'g'),
  ];
  assert.equal(new Set(prefixes).size, prefixes.length);
  assert.equal(countKeyPrefix('a', 'route#1', {}, 'g'), countKeyPrefix('a', 'route#9', { x: 1 }, 'g'));
});
