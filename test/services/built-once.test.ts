import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { builtOnce, cacheRoot } from './built-once.ts';

function emptyRoot(t: TestContext): string {
  const root = mkdtempSync(path.join(tmpdir(), 'gatewright-built-'));
  t.after(() => {
    rmSync(root, { recursive: true, force: true });
  });
  return root;
}
const writing = (text: string) => (folder: string) => {
  writeFileSync(path.join(folder, 'program'), text);
};
const read = (folder: string): string => readFileSync(path.join(folder, 'program'), 'utf8');

test('what was built is kept, each version by itself', (t) => {
  const root = emptyRoot(t);
  assert.equal(read(builtOnce('a-1', writing('one'), root)), 'one');
  assert.equal(read(builtOnce('a-1', writing('again'), root)), 'one');
  assert.equal(read(builtOnce('a-2', writing('two'), root)), 'two');
  assert.equal(readdirSync(root).length, 2);
});

test('a build that fails leaves nothing behind, and is made anew', (t) => {
  const root = emptyRoot(t);
  const failing = (folder: string): void => {
    writing('half')(folder);
    throw new Error('no disk');
  };
  assert.throws(() => builtOnce('a', failing, root), /no disk/);
  assert.deepEqual(readdirSync(root), []);
  assert.equal(read(builtOnce('a', writing('whole'), root)), 'whole');
});

test('of two that build at once the first stays', (t) => {
  const root = emptyRoot(t);
  const overtaken = (folder: string): void => {
    builtOnce('a', writing('first'), root);
    writing('second')(folder);
  };
  assert.equal(read(builtOnce('a', overtaken, root)), 'first');
  assert.equal(readdirSync(root).length, 1);
});

test('the folder is outside the repository, where npm ci removes nothing', () => {
  assert.equal(cacheRoot({ XDG_CACHE_HOME: '/var/cache/x' }), '/var/cache/x/gatewright-tests');
  for (const set of [undefined, '', 'relative'])
    assert.equal(cacheRoot({ XDG_CACHE_HOME: set }), path.join(homedir(), '.cache', 'gatewright-tests'));
});
