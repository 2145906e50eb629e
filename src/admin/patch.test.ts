import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json, JsonObject } from '../resources/resource.ts';
import { mergePatch, patchPath } from './patch.ts';

test('a merge adds, replaces arrays whole, and removes by null', () => {
  const target = { a: { b: 1, c: 2 }, list: [1, 2], gone: true };
  assert.deepEqual(mergePatch(target, { a: { b: 3, d: { e: null } }, list: [3], gone: null }), {
    a: { b: 3, c: 2, d: {} },
    list: [3],
  });
  assert.deepEqual(target.list, [1, 2]);
});

const paths: [path: string, value: Json, expected: JsonObject][] = [
  ['a/b', 2, { a: { b: 2 }, list: [1, 2] }],
  ['new/deep', 'x', { a: { b: 1 }, list: [1, 2], new: { deep: 'x' } }],
  ['a/b', null, { a: {}, list: [1, 2] }],
  ['list/1', 9, { a: { b: 1 }, list: [1, 9] }],
  ['list', [], { a: { b: 1 }, list: [] }],
];
for (const [path, value, expected] of paths) {
  test(`the sub-path ${path} takes ${JSON.stringify(value)}`, () => {
    assert.deepEqual(patchPath({ a: { b: 1 }, list: [1, 2] }, path, value), expected);
  });
}

for (const path of [
  'a/b/c',
  'list/2',
  'list/x/y',
  '__proto__/polluted',
  'a/__proto__',
  'a/b/constructor/prototype/x',
]) {
  test(`the sub-path ${path} leads nowhere`, () => {
    assert.throws(() => patchPath({ a: { b: 1 }, list: [1, 2] }, path, 1), /invalid sub-path/);
    assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
  });
}
