/**
 * Published vectors: AWS's Signature Version 4 test suite (aws-sig-v4-test-suite, Apache-2.0: get-vanilla,
 * get-vanilla-query-order-key-case, post-vanilla,
 * post-x-www-form-urlencoded, post-sts-header-before) and the key derivation example of the IAM User Guide.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { signingKey, signRequest } from './aws-signature.ts';

const secretAccessKey = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY';
const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey };
const now = new Date('2015-08-30T12:36:00Z');
const url = new URL('http://example.amazonaws.com/');
const sessionToken =
  'AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==';

function signatureOf(method: string, headers: Record<string, string>, body: string, token?: string): string {
  const request = { method, url, headers, body };
  const signed = signRequest(request, { ...credentials, sessionToken: token }, 'us-east-1', 'service', now);
  return /Signature=([0-9a-f]+)$/.exec(signed['authorization'] ?? '')?.[1] ?? '';
}

test('derives the signing key of the IAM User Guide', () => {
  const key = signingKey(secretAccessKey, '20150830', 'us-east-1', 'iam').toString('hex');
  assert.equal(key, 'c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9');
});

test('signs as the published test suite does', () => {
  assert.equal(
    signatureOf('GET', {}, ''),
    '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31',
    'get-vanilla',
  );
  assert.match(
    signRequest(
      { method: 'GET', url: new URL('/?Param1=value1&Param2=value2', url), headers: {}, body: '' },
      credentials,
      'us-east-1',
      'service',
      now,
    )['authorization'] ?? '',
    /Signature=b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500$/,
    'get-vanilla-query-order-key-case, sorted',
  );
  assert.equal(
    signatureOf('POST', {}, ''),
    '5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b',
    'post-vanilla',
  );
  assert.equal(
    signatureOf('POST', { 'content-type': 'application/x-www-form-urlencoded' }, 'Param1=value1'),
    'ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a',
    'post-x-www-form-urlencoded',
  );
  assert.equal(
    signatureOf('POST', {}, '', sessionToken),
    '85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead',
    'post-sts-header-before',
  );
});

test('names what it signed, and sends the session token along', () => {
  const signed = signRequest(
    { method: 'POST', url, headers: { 'x-amz-target': 'a.B' }, body: '{}' },
    { ...credentials, sessionToken: 'tok' },
    'eu-west-1',
    'secretsmanager',
    now,
  );
  assert.equal(signed['x-amz-security-token'], 'tok');
  assert.match(
    signed['authorization'] ?? '',
    /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/20150830\/eu-west-1\/secretsmanager\/aws4_request, SignedHeaders=host;x-amz-date;x-amz-security-token;x-amz-target, Signature=[0-9a-f]{64}$/,
  );
});
