import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { createKeyedDigest } from './keyed-digest.ts';

test('is HMAC-SHA-256 as RFC 4231 §4.2 and §4.3 have it', () => {
  assert.equal(
    createKeyedDigest(Buffer.alloc(20, 0x0b))('Hi There').toString('hex'),
    'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7',
  );
  assert.equal(
    createKeyedDigest(Buffer.from('Jefe'))('what do ya want for nothing?').toString('hex'),
    '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
  );
});

test('agrees with Node for texts of every size, one after the other', () => {
  const key = Buffer.from('0123456789abcdef0123456789abcdef');
  const digest = createKeyedDigest(key);
  for (const text of ['', 'a', 'é€😀', 'x'.repeat(1364), '€'.repeat(1365), '€'.repeat(1366), 'x'.repeat(5000), 'a'])
    assert.deepEqual(digest(text), createHmac('sha256', key).update(text).digest(), String(text.length));
});
