import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodePath, encodeQuery, encodeUnsafe, queryValues, withoutQueryParameter } from './uri.ts';

test('no octet outside visible ASCII survives any encoder', () => {
  const all = Array.from({ length: 0x180 }, (_, code) => String.fromCharCode(code)).join('') + '\ud800';
  for (const encode of [encodePath, encodeQuery, encodeUnsafe]) assert.match(encode(all), /^[\x21-\x7e]*$/);
});

test('encodePath takes %, ? and # as data', () => {
  assert.equal(encodePath('/a b/100%?x#y/é'), '/a%20b/100%25%3Fx%23y/%C3%A9');
});

test('encodeQuery and encodeUnsafe keep escapes; only a URI may hold a fragment', () => {
  assert.equal(encodeQuery('a=%20&b=ü#c\r\n'), 'a=%20&b=%C3%BC%23c%0D%0A');
  assert.equal(encodeUnsafe('/\\evil?a=%20#top'), '/%5Cevil?a=%20#top');
});

test('a parameter is found and removed however its name was written', () => {
  const query = 'a=1&api%6Bey=x&b&apikey=y&c=%20';
  assert.deepEqual(queryValues(query, 'apikey'), ['x', 'y']);
  assert.equal(withoutQueryParameter(query, 'apikey'), 'a=1&b&c=%20');
  assert.equal(withoutQueryParameter('apikey', 'apikey'), '');
  assert.deepEqual(queryValues('a+key=%zz+1&=x', 'a key'), ['%zz 1']);
  assert.equal(withoutQueryParameter('&a+key=1&&=x', 'a key'), '&&=x');
});
