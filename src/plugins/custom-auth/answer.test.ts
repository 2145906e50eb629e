import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AuthorizerError } from '../../plugin/authorizer/verdict.ts';
import { readAnswer } from './answer.ts';

const read = (answer: unknown): ReturnType<typeof readAnswer> => readAnswer(JSON.stringify(answer), 10_000);
const refused = (answer: unknown): void => {
  assert.equal(read(answer).verdict.passes, false, JSON.stringify(answer));
};
const unusable = (text: string): void => {
  assert.throws(
    () => readAnswer(text, 10_000),
    (error) => error instanceof AuthorizerError && error.reason === 'unusable_answer',
    text,
  );
};

test('only true passes', () => {
  assert.deepEqual(read({ 'api-auth': true }), { verdict: { passes: true }, ttlMs: 10_000 });
  refused({ 'api-auth': false });
  refused({ 'api-auth': null });
  refused({});
  refused(null);
  refused({ 'API-AUTH': true });
  refused({ apiAuth: true });
  for (const value of ['"true"', '1', '"yes"', '[true]', '{"passes":true}']) unusable(`{"api-auth":${value}}`);
});

test('false and null may be kept, what says nothing may not', () => {
  assert.equal(read({ 'api-auth': false }).ttlMs, 10_000);
  assert.equal(read({ 'api-auth': null }).ttlMs, 10_000);
  assert.equal(read({}).ttlMs, 0);
});

test('what is no JSON object is no verdict', () => {
  for (const text of [
    '',
    'true',
    '1',
    '[]',
    '"api-auth"',
    '{"api-auth":true',
    '<html>',
    '{"api-auth":true}x',
    '\u0000',
  ])
    unusable(text);
});

test('an answer that says anything twice is no verdict (CVE-2022-25757)', () => {
  unusable('{"api-auth":false,"api-auth":true}');
  unusable('{"api-auth":false,"api\\u002dauth":true}');
  unusable('{"api-auth":true,"consumer":"jack","consumer":"root"}');
  unusable('{"api-auth":true,"headers":{"X-User":"jack","X-User":"root"}}');
  unusable(JSON.stringify({ statusCode: 200, body: '{"api-auth":false,"api-auth":true}' }));
});

test('the answer of a cloud function stands in its body', () => {
  assert.equal(read({ statusCode: 200, headers: {}, body: '{"api-auth":true}' }).verdict.passes, true);
  const body = Buffer.from('{"api-auth":true}').toString('base64');
  assert.equal(read({ isBase64Encoded: true, statusCode: 200, body }).verdict.passes, true);
  assert.equal(read({ statusCode: 200, body: { 'api-auth': true } }).verdict.passes, true);
  refused({ statusCode: 200, body: '{"api-auth":false}' });
  refused({ statusCode: 401, body: '{"api-auth":true}' });
  assert.throws(() => read({ statusCode: 500, body: '{"api-auth":true}' }), /status 500/);
  for (const body of ['', 'true', undefined, 1]) unusable(JSON.stringify({ statusCode: 200, body }));
  unusable('{"statusCode":"200","body":"{}"}');
  // JSON as text, as handlers that serialise themselves return it.
  assert.equal(read('{"api-auth":true}').verdict.passes, true);
});

test('a verdict holds no longer than it says, nor than the configuration', () => {
  assert.equal(read({ 'api-auth': true, ttl: 3 }).ttlMs, 3000);
  assert.equal(read({ 'api-auth': true, ttl: 3600 }).ttlMs, 10_000);
  assert.equal(read({ 'api-auth': false, ttl: 0 }).ttlMs, 0);
  for (const ttl of ['-1', '"1"', 'null', '1e999']) {
    if (ttl === '1e999') assert.equal(readAnswer(`{"api-auth":true,"ttl":${ttl}}`, 10_000).ttlMs, 10_000);
    else unusable(`{"api-auth":true,"ttl":${ttl}}`);
  }
});

test('consumer and headers are taken whole or not at all', () => {
  assert.deepEqual(read({ 'api-auth': true, consumer: 'jack', headers: { 'X-Tenant': 'a' } }).verdict, {
    passes: true,
    consumer: 'jack',
    headers: [['X-Tenant', 'a']],
  });
  for (const fields of [
    { consumer: '' },
    { consumer: 1 },
    { consumer: null },
    { headers: [] },
    { headers: 'X: y' },
    { headers: { 'X-A': 1 } },
    { headers: { 'X-A': 'a\r\nX-B: b' } },
    { headers: { 'X-A': 'a\u0000' } },
    { headers: { 'X-A': '中' } },
    { headers: { 'X A': 'a' } },
    { headers: { '': 'a' } },
    { headers: { Host: 'a' } },
    { headers: { 'content-length': '0' } },
    { headers: { 'Transfer-Encoding': 'chunked' } },
  ])
    unusable(JSON.stringify({ 'api-auth': true, ...fields }));
});

test('a refusal has its own words where they can be used', () => {
  assert.deepEqual(read({ 'api-auth': false, status: 429, message: 'slow down' }).verdict, {
    passes: false,
    status: 429,
    body: 'slow down',
  });
  for (const status of [200, 302, 399, 600, 401.5, '401', null])
    assert.deepEqual(read({ 'api-auth': false, status, message: 1 }).verdict, { passes: false });
});
