import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Exchange } from '../../../plugin/exchange.ts';
import type { Upstream } from '../../../resources/upstream.ts';
import { compileHashKey } from './hash-key.ts';

const headers = new Map([['x-tenant', 'acme']]);
const cookies = new Map([['sid', 's1']]);
const variables = new Map([
  ['uri', '/a'],
  ['arg_id', '7'],
]);
const exchange = {
  remoteAddress: '192.0.2.9',
  headers: { get: (name: string) => headers.get(name.toLowerCase()) },
  cookie: (name: string) => cookies.get(name),
  consumer: { username: 'jack' },
} as Exchange;

function keyOf(upstream: Upstream, of = exchange): string {
  return compileHashKey(upstream, (name) => () => variables.get(name))(of);
}

describe('compileHashKey', () => {
  const cases: readonly [string, Upstream, string][] = [
    ['a variable', { hash_on: 'vars', key: 'uri' }, '/a'],
    ['a variable where hash_on is absent', { key: 'arg_id' }, '7'],
    ['a header', { hash_on: 'header', key: 'X-Tenant' }, 'acme'],
    ['a cookie', { hash_on: 'cookie', key: 'sid' }, 's1'],
    ['the consumer', { hash_on: 'consumer' }, 'jack'],
    ['a combination of variables', { hash_on: 'vars_combinations', key: '$uri-${arg_id}!' }, '/a-7!'],
    ['a combination of which one variable is missing', { hash_on: 'vars_combinations', key: '$uri|$arg_no' }, '/a|'],
  ];
  for (const [title, upstream, expected] of cases) {
    it(`hashes by ${title}`, () => {
      assert.equal(keyOf(upstream), expected);
    });
  }

  const missing: readonly [string, Upstream][] = [
    ['the variable has no value', { key: 'arg_no' }],
    ['the header is absent', { hash_on: 'header', key: 'x-no' }],
    ['the cookie is absent', { hash_on: 'cookie', key: 'no' }],
    ['no variable of the combination has a value', { hash_on: 'vars_combinations', key: 'x$arg_no$arg_none' }],
    ['neither hash_on nor key is given', {}],
  ];
  for (const [title, upstream] of missing) {
    it(`falls back to the client's address where ${title}`, () => {
      assert.equal(keyOf(upstream), '192.0.2.9');
    });
  }

  it("falls back to the client's address where nobody is authenticated", () => {
    assert.equal(keyOf({ hash_on: 'consumer' }, { ...exchange, consumer: undefined }), '192.0.2.9');
  });
});
