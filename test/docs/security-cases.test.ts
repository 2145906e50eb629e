/** docs/security-cases.md against the tests: each case has some, and each title that the page names stands in its file. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { it } from 'node:test';

const root = new URL('../../', import.meta.url);
const read = (file: string): string => readFileSync(new URL(file, root), 'utf8');
const rows = read('docs/security-cases.md')
  .split('\n')
  .filter((line) => line.startsWith('| ') && !line.startsWith('| seen at '));
const named = (row: string): (readonly [file: string, title: string])[] =>
  [...row.matchAll(/`([^`]+)`: “([^”]+)”/g)].map(([, file = '', title = '']) => [file, title]);

it('each case names tests that there are', () => {
  assert.ok(rows.length > 40);
  const missing: string[] = [];
  for (const row of rows) {
    const tests = named(row);
    if (tests.length === 0) missing.push(row);
    for (const [file, title] of tests) {
      const text = file.endsWith('.test.ts') && existsSync(new URL(file, root)) ? read(file) : '';
      // The first argument of a test, or a part of it.
      const titles = [...text.matchAll(/\b(?:describe|it|test)\(\s*(['"`])([^]*?)\1,/g)].map(([, , one = '']) => one);
      if (!titles.some((one) => one.includes(title))) missing.push(`${file}: ${title}`);
    }
  }
  assert.deepEqual(missing, []);
});
