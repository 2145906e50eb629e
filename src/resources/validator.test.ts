import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JsonSchema } from './resource.ts';
import { routeSchema } from './route.ts';
import { upstreamSchema } from './upstream-schema.ts';
import { compileSchema } from './validator.ts';

function message(schema: JsonSchema, value: unknown): string | undefined {
  return compileSchema(schema)(value);
}

const cases: [title: string, schema: JsonSchema, value: unknown, expected: string | undefined][] = [
  ['a wrong type names both', { type: 'string' }, 1, 'wrong type: expected string, got number'],
  ['null is userdata', { type: 'string' }, null, 'wrong type: expected string, got userdata'],
  ['an array is a table', { type: 'string' }, [], 'wrong type: expected string, got table'],
  [
    'several types are listed',
    { type: ['string', 'number'] },
    {},
    'wrong type: expected one of string, number, got table',
  ],
  [
    'a property is named at each level',
    { properties: { a: { properties: { b: { type: 'integer' } } } } },
    { a: { b: 'x' } },
    'property "a" validation failed: property "b" validation failed: wrong type: expected integer, got string',
  ],
  ['a missing property', { required: ['count'] }, {}, 'property "count" is required'],
  [
    'an unknown property',
    { properties: { a: { type: 'string' } }, additionalProperties: false },
    { foo: 1 },
    'additional properties forbidden, found foo',
  ],
  [
    'a wrong property comes before an unknown one',
    { properties: { a: { type: 'string' } }, additionalProperties: false },
    { foo: 1, a: 2 },
    'property "a" validation failed: wrong type: expected string, got number',
  ],
  [
    'items count from 1',
    { items: { type: 'string' } },
    ['a', 1],
    'failed to validate item 2: wrong type: expected string, got number',
  ],
  [
    'a wrong property comes before a failed combination',
    { properties: { a: { type: 'string' } }, anyOf: [{ required: ['b'] }] },
    { a: 1 },
    'property "a" validation failed: wrong type: expected string, got number',
  ],
  ['an enum', { enum: ['a'] }, 'b', 'matches none of the enum values'],
  ['minimum', { minimum: 1 }, 0, 'expected 0 to be greater than 1'],
  ['maximum', { maximum: 1 }, 2, 'expected 2 to be smaller than 1'],
  ['exclusiveMinimum', { exclusiveMinimum: 0 }, 0, 'expected 0 to be strictly greater than 0'],
  ['a short string', { minLength: 1 }, '', 'string too short, expected at least 1, got 0'],
  ['a long string, in characters', { maxLength: 1 }, '💧é', 'string too long, expected at most 1, got 2'],
  ['a short array', { minItems: 1 }, [], 'expect array to have at least 1 items'],
  ['a small object', { minProperties: 1 }, {}, 'expect object to have at least 1 properties'],
  [
    'a pattern, quoted as Lua quotes',
    { pattern: '^\\S+$' },
    'a "b"',
    'failed to match pattern "^\\\\S+$" with "a \\"b\\""',
  ],
  ['none of oneOf', { oneOf: [{ type: 'string' }] }, 1, 'value should match only one schema, but matches none'],
  [
    'two of oneOf',
    { oneOf: [{ type: 'number' }, { type: 'string' }, { minimum: 0 }] },
    1,
    'value should match only one schema, but matches both schemas 1 and 3',
  ],
  [
    'anyOf lists what is required',
    { anyOf: [{ required: ['a'] }, { required: ['a', 'b'] }] },
    {},
    'object matches none of the required: ["a"] or ["a","b"]',
  ],
  ['anyOf of types', { anyOf: [{ type: 'string' }, { type: 'number' }] }, true, 'object matches none of the required'],
  ['allOf counts from 1', { allOf: [{}, { required: ['a'] }] }, {}, 'allOf 2 failed: property "a" is required'],
  ['not', { not: { required: ['a'] } }, { a: 1 }, "value wasn't supposed to match schema"],
  ['unique items', { uniqueItems: true }, ['a', 'b', 'a'], 'expected unique items but items 1 and 3 are equal'],
  [
    'a property that matches a pattern',
    { patternProperties: { '.*': { type: 'integer' } } },
    { 'a/b~c': 'x' },
    'failed to validate a/b~c (matching ".*"): wrong type: expected integer, got string',
  ],
  ['an address', { format: 'ipv4' }, '1.2.3', 'expect valid ipv4 address but got: 1.2.3'],
  [
    'a dependency',
    { dependencies: { a: { required: ['b'] } } },
    { a: 1 },
    'failed to validate dependent schema for "a": property "b" is required',
  ],
  [
    'then says what it lacks',
    { if: { required: ['a'] }, then: { required: ['b'] } },
    { a: 1 },
    'property "b" is required',
  ],
  ['a valid value', { type: 'integer' }, 1, undefined],
];

for (const [title, schema, value, expected] of cases) {
  test(`message: ${title}`, () => {
    assert.equal(message(schema, value), expected);
  });
}

test('defaults are written into the value, also beside a combination', () => {
  const route: Record<string, unknown> = { uri: '/a', upstream: { nodes: { '127.0.0.1:80': 1 } } };
  assert.equal(message(routeSchema, route), undefined);
  assert.deepEqual(route, {
    uri: '/a',
    priority: 0,
    status: 1,
    upstream: {
      nodes: { '127.0.0.1:80': 1 },
      type: 'roundrobin',
      hash_on: 'vars',
      scheme: 'http',
      pass_host: 'pass',
    },
  });
});

test('two validations never share a default', () => {
  const schema: JsonSchema = { properties: { list: { type: 'array', default: [] } } };
  const [first, second] = [{ list: undefined as unknown }, { list: undefined as unknown }];
  message(schema, first);
  message(schema, second);
  assert.notEqual(first.list, second.list);
});

test("a route without uri, and one with nothing to do, are refused in APISIX's words", () => {
  assert.equal(
    message(routeSchema, { plugins: {} }),
    'allOf 1 failed: value should match only one schema, but matches none',
  );
  assert.match(
    message(routeSchema, { uri: '/a' }) ?? '',
    /^object matches none of the required: \["plugins","uri"\] or /,
  );
});

test('an upstream with nodes and a service name is refused', () => {
  assert.equal(
    message(upstreamSchema, { nodes: {}, service_name: 's', discovery_type: 'dns' }),
    'value should match only one schema, but matches both schemas 1 and 2',
  );
});

test('a secret is not repeated in a message', () => {
  const byAnnotation: JsonSchema = { properties: { token: { type: 'string', pattern: '^x', writeOnly: true } } };
  const byList: JsonSchema = {
    properties: { auth: { properties: { token: { type: 'string', pattern: '^x', enum: ['x'] } } } },
    encrypt_fields: ['auth.token'],
  };
  for (const found of [message(byAnnotation, { token: 'hunter2' }), message(byList, { auth: { token: 'hunter2' } })]) {
    assert.match(found ?? '', /failed to match pattern "\^x" with "\*\*\*"$/);
  }
});
