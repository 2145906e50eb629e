import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { isSchema } from '../resources/schema-order.ts';
import type { JsonSchema } from '../resources/resource.ts';
import { builtInPlugins, createRegistry } from './registry.ts';

test('every plugin folder is listed, under its own name', () => {
  const folders = readdirSync(import.meta.dirname, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  assert.deepEqual(builtInPlugins.map((plugin) => plugin.name).sort(), folders.map((folder) => folder.name).sort());
});

test('plugins are listed by priority, highest first', () => {
  const priorities = createRegistry(undefined)
    .all()
    .map((plugin) => plugin.priority);
  assert.deepEqual(
    priorities,
    priorities.toSorted((a, b) => b - a),
  );
});

test('only what is enabled can be got, and unknown names are told', () => {
  const registry = createRegistry(['key-auth', 'no-such-plugin']);
  assert.equal(registry.get('key-auth')?.name, 'key-auth');
  assert.equal(registry.get('basic-auth'), undefined);
  assert.equal(registry.get('no-such-plugin'), undefined);
  assert.deepEqual(
    registry.list().map((plugin) => plugin.name),
    ['key-auth'],
  );
  assert.equal(registry.all().length, builtInPlugins.length);
  assert.deepEqual(registry.unknown, ['no-such-plugin']);
});

test('a plugin from elsewhere stands in for a built-in of its name', () => {
  const own = { name: 'key-auth', priority: 1, schema: {}, compile: () => undefined };
  assert.equal(createRegistry(undefined, [own]).get('key-auth'), own);
});

test('an auth plugin says what a consumer holds, and which of it is secret', () => {
  // multi-auth asks others, which hold the credentials.
  for (const plugin of builtInPlugins.filter(({ type, nested }) => type === 'auth' && nested === undefined)) {
    assert.ok(plugin.credential !== undefined && plugin.consumerSchema !== undefined, plugin.name);
    assert.ok(Array.isArray(plugin.consumerSchema['encrypt_fields']), plugin.name);
  }
});

test('every field of every configuration is described', () => {
  for (const { name, schema, consumerSchema = {} } of builtInPlugins) {
    assert.deepEqual([...undescribed(schema, name), ...undescribed(consumerSchema, `${name} consumer`)], []);
  }
});

function undescribed(schema: JsonSchema, path: string): string[] {
  const properties = isSchema(schema['properties']) ? schema['properties'] : {};
  const here = Object.entries(properties).flatMap(([name, field]) => {
    if (!isSchema(field)) return [];
    const missing = typeof field['description'] === 'string' ? [] : [`${path}.${name}`];
    return [...missing, ...undescribed(field, `${path}.${name}`)];
  });
  const nested = [schema['items'], ...(Array.isArray(schema['anyOf']) ? schema['anyOf'] : [])];
  return [...here, ...nested.flatMap((inner: unknown) => (isSchema(inner) ? undescribed(inner, path) : []))];
}
