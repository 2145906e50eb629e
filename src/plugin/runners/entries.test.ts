import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { TestExchange } from '../testing/index.ts';
import { argumentEntries, changeHeaders, changeQuery, encodePathBytes, headerEntries, pathBytes } from './entries.ts';

describe('the arguments of a call', () => {
  it('are decoded as form fields, in order, repeated ones each; one without = has no value', () => {
    assert.deepEqual(argumentEntries('a=1&b=%20x+y&a=%C3%BC&flag&=v&&e='), [
      ['a', '1'],
      ['b', ' x y'],
      ['a', '\xc3\xbc'],
      ['flag', undefined],
      ['', 'v'],
      ['e', ''],
    ]);
    assert.deepEqual(argumentEntries('a=%zz&b=%'), [
      ['a', '%zz'],
      ['b', '%'],
    ]);
  });
  it('that an answer names are replaced or removed, however they were spelt; the others keep their bytes', () => {
    const query = 'a=%2f&%61=2&b=+&flag&c';
    assert.equal(changeQuery(query, [['a', undefined]]), 'b=+&flag&c');
    assert.equal(
      changeQuery(query, [
        ['a', '1&2'],
        ['a', '\xc3\xbc'],
        ['flag', undefined],
      ]),
      'b=+&c&a=1%262&a=%C3%BC',
    );
    assert.equal(changeQuery('', [['a', '']]), 'a=');
    assert.equal(changeQuery('a=1', [['a', undefined]]), '');
  });
});

describe('the path of a call', () => {
  it('is the decoded one, as bytes; a rewritten one comes before the client’s', () => {
    const exchange = new TestExchange({ target: '/a%20b/%C3%BC' });
    assert.equal(pathBytes(exchange.upstream.path, exchange.path), '/a b/\xc3\xbc');
    exchange.upstream.path = '/c%20d';
    assert.equal(pathBytes(exchange.upstream.path, exchange.path), '/c d');
  });
  it('of an answer is encoded: what was data stays data', () => {
    assert.equal(encodePathBytes('/a b?c#d%2f\xff'), '/a%20b%3Fc%23d%252f%FF');
    assert.equal(encodePathBytes('no/slash'), '/no/slash');
  });
});

describe('the headers of a call', () => {
  it('have names in lower case, each field by itself, and Host as it goes upstream', () => {
    const { headers } = new TestExchange({ headers: { Host: 'a', 'X-A': ['1', '2'] } });
    const entries = headerEntries(headers, 'b').filter(([name]) => name !== 'user-agent');
    assert.deepEqual(entries, [
      ['host', 'b'],
      ['x-a', '1'],
      ['x-a', '2'],
    ]);
  });
  it('of an answer replace all of their name; repeated ones stand side by side, one without a value removes', () => {
    const { headers } = new TestExchange({ headers: { 'X-A': ['1', '2'], 'X-B': '1', 'X-C': '1' } });
    changeHeaders(headers, [
      ['x-a', '3'],
      ['X-A', '4'],
      ['x-b', undefined],
    ]);
    assert.deepEqual(headers.getAll('X-A'), ['3', '4']);
    assert.equal(headers.has('X-B'), false);
    assert.equal(headers.get('X-C'), '1');
  });
});
