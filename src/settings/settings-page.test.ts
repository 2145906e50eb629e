import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { keys } from './keys.ts';
import { notHonoured } from './not-honoured.ts';
import { renderSettingsPage } from './settings-page.ts';

test('docs/settings.md is what the table of keys says (node src/settings/settings-page.ts writes it)', () => {
  assert.equal(readFileSync(new URL('../../docs/settings.md', import.meta.url), 'utf8'), renderSettingsPage());
});

test('every key has a default that can be shown', () => {
  assert.doesNotMatch(renderSettingsPage(), /undefined|\[object|NaN/);
});

test('no key is both honoured and without effect', () => {
  assert.deepEqual(
    Object.keys(keys).filter((name) => name in notHonoured),
    [],
  );
});
