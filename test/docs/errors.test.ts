import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { STATUS_CODES } from 'node:http';
import { test } from 'node:test';
import { catalogue } from '../../src/errors/catalogue.ts';
import { errorsPage, renderErrorsPage } from './errors-page.ts';

test('docs/errors.md is what the catalogue says (node test/docs/errors-page.ts writes it)', () => {
  assert.equal(readFileSync(errorsPage, 'utf8'), renderErrorsPage());
});

test("each message begins with its status, and each status is HTTP's or nginx's 499", () => {
  for (const { status, message } of Object.values(catalogue)) {
    assert.ok(message.startsWith(`${status} `), message);
    assert.ok(status === 499 || STATUS_CODES[status] !== undefined, String(status));
  }
});

test('each code is raised somewhere', async () => {
  const { glob, readFile } = await import('node:fs/promises');
  let code = '';
  for await (const file of glob('src/**/*.ts', { cwd: new URL('../../', import.meta.url).pathname })) {
    if (file.endsWith('.test.ts') || file.endsWith('catalogue.ts')) continue;
    code += await readFile(new URL(`../../${file}`, import.meta.url), 'utf8');
  }
  assert.deepEqual(
    Object.keys(catalogue).filter((name) => !code.includes(`'${name}'`)),
    [],
  );
});
