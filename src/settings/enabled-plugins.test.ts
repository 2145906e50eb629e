import assert from 'node:assert/strict';
import { test } from 'node:test';
import { enabledPlugins } from './enabled-plugins.ts';

const existing = ['key-auth', 'public-api', 'redirect', 'server-info'];

test('without a list, all plugins are on but those that wait to be asked for', () => {
  assert.deepEqual(enabledPlugins(undefined, existing), { enabled: new Set(['key-auth', 'redirect']), missing: [] });
});

test('a list replaces the default one and names what does not exist', () => {
  assert.deepEqual(enabledPlugins(['public-api', 'key-auth', 'zipkin', 'zipkin'], existing), {
    enabled: new Set(['public-api', 'key-auth']),
    missing: ['zipkin'],
  });
});

test('an empty list switches every plugin off', () => {
  assert.deepEqual(enabledPlugins([], existing), { enabled: new Set(), missing: [] });
});
