import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { pagesFolder, renderPages } from './plugin-pages.ts';

test('the pages of docs/plugins are what the schemas say (node tools/plugin-pages.ts)', () => {
  const pages = renderPages();
  assert.deepEqual(readdirSync(pagesFolder).sort(), [...pages.keys()].sort());
  for (const [name, text] of pages) assert.equal(readFileSync(path.join(pagesFolder, name), 'utf8'), text, name);
});
