import assert from 'node:assert/strict';
import { test } from 'node:test';
import { transformModule } from './module-text.ts';

/** The body without the line that was put before it. */
const bodyOf = (source: string): string => transformModule(source).body.split('\n').slice(1, -1).join('\n');

test('every token keeps its line and column', () => {
  const source = [
    "import { a as b } from './x.ts';",
    'export const one = 1, { two } = b;',
    'export default {',
    '  f() { throw new Error(import.meta.url); },',
    '};',
  ].join('\n');
  const lines = bodyOf(source).split('\n');
  assert.equal(lines.length, 5);
  assert.equal(lines[0]?.trim(), ';');
  assert.equal(lines[1], '       const one = 1, { two } = b;');
  assert.equal(lines[2], '$gwE.default = {');
  assert.equal(lines[3], source.split('\n')[3]?.replace('import.meta', '$gwImpMeta_'));
});

test('imports, re-exports and what changes after it was exported are told', () => {
  const text = transformModule(
    "import d, * as all from 'm';\nexport * from './a.ts';\nexport { x as y } from './b.ts';\n" +
      "export let count = 0;\nexport function up() { count++; }\nimport('./late.ts');",
  );
  assert.deepEqual(
    text.requests.map(({ specifier, line, dynamic }) => [specifier, line, dynamic]),
    [
      ['./late.ts', 6, true],
      ['m', 1, false],
      ['./a.ts', 2, false],
      ['./b.ts', 3, false],
    ],
  );
  assert.deepEqual(
    text.imports.map(({ local, imported }) => [local, imported]),
    [
      ['d', 'default'],
      ['all', '*'],
    ],
  );
  assert.deepEqual(text.reexports, [{ request: 3, imported: 'x', exported: 'y' }]);
  assert.deepEqual(text.starExports, [2]);
  assert.deepEqual(text.changing, ['count']);
});

test('what is no module says where', () => {
  assert.throws(
    () => transformModule('const a = 1;\nconst = 2;'),
    (error: { loc?: { line: number } }) => error.loc?.line === 2,
  );
  assert.throws(() => transformModule("import { a } from 'x';\nconst a = 1;"), /already been declared/);
});
