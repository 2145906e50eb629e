import assert from 'node:assert/strict';
import { test } from 'node:test';
import { freshnessOf } from './outside.ts';

test('an answer says how long it may be kept, or that it may not (RFC 9111 §5.2.2)', () => {
  for (const [cacheControl, ms] of [
    [undefined, undefined],
    ['', undefined],
    ['private', undefined],
    ['max-age=5', 5000],
    ['private, MAX-AGE = "7"', 7000],
    ['max-age=0', 0],
    ['no-store', 0],
    ['max-age=60, No-Cache', 0],
    ['max-age=60,no-store', 0],
    ['s-maxage=9', undefined],
  ] as const)
    assert.equal(freshnessOf(cacheControl), ms, String(cacheControl));
});
