import assert from 'node:assert/strict';
import { it } from 'node:test';
import { maskMiss, maskQuery } from './mask.ts';

it('masks every value of a query and keeps the names', () => {
  assert.equal(maskQuery('a=1&apikey=k=2&flag&empty=&&'), 'a=***&apikey=***&flag&empty=&&');
});

it('masks what vars compare a header, a cookie or a parameter with', () => {
  const vars = JSON.stringify([
    ['http_x_key', '==', 's"ecret'],
    ['uri', '==', '/a'],
    'OR',
    ['arg_t', '!', '~*', 'secret.*'],
    ['cookie_s', 'in', ['secret', 'secret']],
  ]);
  const { detail } = maskMiss({ id: '1', reason: 'vars', detail: `vars do not hold: ${vars}` });
  assert.doesNotMatch(detail, /ecret/);
  assert.match(detail, /\["http_x_key","==","\*\*\*"\]/);
  assert.match(detail, /\["uri","==","\/a"\]/);
});
