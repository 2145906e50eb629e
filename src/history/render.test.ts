import assert from 'node:assert/strict';
import { test } from 'node:test';
import { renderCommit, renderHistory, renderRollback } from './render.ts';

const about = { revision: 7, time: '2026-01-31T12:00:00.123Z', who: 'ops', address: undefined, action: 'PUT' };

test('a line holds the first fields of a change, in short', () => {
  const fields = ['a', 'b', 'c', 'd', 'e'].map((path) => ({ path, from: 'x'.repeat(60), to: undefined }));
  const text = renderHistory([{ ...about, resource: 'routes/1', change: 'updated', fields }], 1);
  assert.equal(text.split('\n').length, 3);
  assert.match(text, /a: "x{38}… → \(none\); b: .*; c: .*; and 2 more\n$/);
});

test('a write that changed no field is told as one', () => {
  const text = renderHistory([{ ...about, resource: 'routes/1', change: 'updated', fields: [] }], 1);
  assert.match(text, /routes\/1 {2}written again as it was\n$/);
});

test('no control character of a resource reaches the terminal, and none that turns the direction of writing', () => {
  const evil = '\u001b]0;owned\u0007\u009b31m\u202eabc\r\n\u2028';
  const change = {
    resource: `routes/${evil}`,
    change: 'updated',
    fields: [{ path: evil, from: evil, to: evil }],
  } as const;
  const texts = [
    renderHistory([{ ...about, who: evil, ...change }], 1),
    renderCommit({ ...about, action: evil, list: [{ ...change, before: null, after: null }] }),
    renderCommit({ ...about, list: [{ ...change, change: 'created', before: null, after: { [evil]: evil } }] }),
    renderRollback({ revision: 8, dry_run: false, list: [change] }, 7),
  ];
  for (const text of texts) assert.doesNotMatch(text.replaceAll('\n', ''), /[\p{Cc}\p{Cf}\u2028\u2029]/u);
});
