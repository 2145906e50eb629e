import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startAdmin } from './admin.fixture.ts';
import { parseBody } from './json-body.ts';

function parse(text: string): unknown {
  return parseBody(Buffer.from(text));
}

const duplicates: [text: string, name: string][] = [
  ['{"a":1,"a":2}', 'a'],
  ['{"a":1,"\\u0061":2}', 'a'],
  ['{"x":[{"b":1},{"c":{"d":1 , "d" :2}}]}', 'd'],
  ['{"a{\\"":1,"b":{"a{\\"":1},"a{\\"":3}', 'a{"'],
];
for (const [text, name] of duplicates) {
  test(`a name that occurs twice is refused and named (CVE-2022-25757): ${text}`, () => {
    assert.throws(() => parse(text), { message: `invalid request body: duplicate key "${name}"` });
  });
}

test('the same name in different objects, and as a value, is no duplicate', () => {
  const text = '{"a":{"a":"a"},"b":[{"a":1},{"a":2}],"c":"{\\"a\\":1,\\"a\\":2}"}';
  assert.deepEqual(parse(text), JSON.parse(text));
});

test('__proto__ is refused', () => {
  assert.throws(() => parse('{"a":{"__proto__":{}}}'), {
    message: 'invalid request body: key "__proto__" is not allowed',
  });
});

test('what is not JSON is refused without repeating it', () => {
  for (const text of ['{"password": hunter2}', '{"password" "hunter2"}', '{"password": "hunter2']) {
    assert.throws(() => parse(text), /^(?!.*hunter2).*invalid request body: it is not JSON/);
  }
  assert.throws(() => parseBody(Buffer.from([0x22, 0xff, 0x22])), { message: 'invalid request body: it is not UTF-8' });
});

test('a very long string is read', () => {
  assert.deepEqual(parse(`{"a":"${'x\\n'.repeat(500_000)}"}`), { a: 'x\n'.repeat(500_000) });
});

test('a duplicate name in a write answers 400 and stores nothing', async (t) => {
  const admin = startAdmin(t);
  const answer = await admin.call('PUT', '/routes/1', '{"uri":"/a","uri":"/b","plugins":{}}');
  assert.equal(answer.status, 400);
  assert.deepEqual(answer.body, { error_msg: 'invalid request body: duplicate key "uri"' });
  assert.equal((await admin.call('GET', '/routes/1')).status, 404);
});

test('a body over the limit answers 413', async (t) => {
  const admin = startAdmin(t, { maxBodyBytes: 100 });
  const answer = await admin.call('PUT', '/routes/1', { uri: '/', desc: 'x'.repeat(100), plugins: {} });
  assert.equal(answer.status, 413);
  assert.deepEqual(answer.body, { error_msg: 'invalid request body: it is larger than 100 bytes' });
});

for (const type of ['application/json\t;', 'APPLICATION/JSON; a=b;', 'text/plain', 'multipart/form-data']) {
  test(`a body is read and checked as JSON whatever its type says (CVE-2025-32442): ${JSON.stringify(type)}`, async (t) => {
    const answer = await startAdmin(t).call('PUT', '/routes/1', { uri: 1, plugins: {} }, { 'content-type': type });
    assert.match(answer.body.error_msg, /^invalid configuration: property "uri"/);
  });
}
