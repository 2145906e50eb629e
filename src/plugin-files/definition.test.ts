import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkPlugins } from '../resources/plugin-check.ts';
import type { JsonObject } from '../resources/resource.ts';
import type { AnyPlugin } from '../plugin/plugin.ts';
import { checkDefinition, readDefinition } from './definition.ts';

const good = { name: 'mine', priority: 1, schema: { type: 'object' } };
const refusal = (definition: unknown): string => {
  try {
    checkDefinition(definition);
    return '';
  } catch (error) {
    return (error as Error).message;
  }
};
/** What the Admin API says of a configuration. */
const checked = (plugin: AnyPlugin, config: JsonObject): string | undefined =>
  checkPlugins(
    'routes',
    { [plugin.name]: config },
    { get: (name) => (name === plugin.name ? plugin : undefined), list: () => [plugin] },
  );

test('all that is wrong is said at once, with the right name of what is misspelt', () => {
  const message = refusal({
    name: 'my plugin',
    priorty: 1,
    schema: { type: 'object' },
    onRequest: 1,
    acess: () => 1,
    before_proxy: () => 1,
  });
  for (const part of [
    /priorty is no part of a plugin: did you mean priority\?/,
    /onRequest is no part of a plugin: did you mean rewrite/,
    /acess is no part of a plugin: did you mean access\?/,
    /before_proxy is no part of a plugin: did you mean beforeProxy\?/,
    /name: expected letters/,
    /priority: expected a number/,
  ])
    assert.match(message, part);
});

test('schemas that are none, functions that are none and halves of an auth plugin are refused', () => {
  assert.equal(refusal(good), '');
  assert.match(refusal({ ...good, schema: undefined }), /schema is missing/);
  assert.match(refusal({ ...good, schema: { properties: { a: { type: 'strin' } } } }), /schema\.properties\.a\.type/);
  assert.match(refusal({ ...good, schema: { properties: { a: { pattern: '(' } } } }), /schema: .*Unterminated group/);
  assert.match(refusal({ ...good, rewrite: 'no' }), /rewrite: expected a function/);
  assert.match(refusal({ ...good, timeoutMs: 0 }), /timeoutMs: expected milliseconds/);
  assert.match(refusal({ ...good, type: 'auth' }), /consumerSchema is missing.*credential\.compile is missing/);
  assert.match(refusal({ ...good, apis: [{ uri: 'x' }] }), /apis\[0\]: expected/);
  assert.match(refusal('plugin'), /is no plugin but a string/);
});

test('a deadline is given to a plugin without one; without compile the configuration is the state', () => {
  const plugin = readDefinition(good);
  assert.equal(plugin.timeoutMs, 10_000);
  const config = { a: 1 };
  assert.equal(plugin.compile(config as never, undefined as never), config);
});

test('a Standard Schema judges by its function, names the field, and gives compile what it made of the value', () => {
  const schema = {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: (value: unknown) =>
        typeof (value as { limit?: unknown }).limit === 'number'
          ? { value: { limit: (value as { limit: number }).limit * 2 } }
          : { issues: [{ message: 'must be a number', path: [{ key: 'limit' }] }] },
    },
  };
  assert.equal(refusal({ ...good, schema }), '');
  const plugin = readDefinition({ ...good, schema, compile: (config: { limit: number }) => config.limit });
  assert.deepEqual(plugin.schema, { type: 'object' });
  assert.equal(checked(plugin, { limit: 1, _meta: { priority: 5 } }), undefined);
  assert.match(checked(plugin, { limit: 'x' }) ?? '', /property "limit" validation failed: must be a number/);
  assert.equal(plugin.compile({ limit: 4 }, undefined as never), 8);
});
