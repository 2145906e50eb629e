/** The schemas that people bring, from the libraries themselves: what is refused, with which words, and what compile gets. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Type } from '@sinclair/typebox';
import * as v from 'valibot';
import { z } from 'zod';
import { definePlugin } from '../plugin/plugin.ts';
import type { AnyPlugin } from '../plugin/plugin.ts';
import { checkPlugins } from '../resources/plugin-check.ts';
import type { JsonObject } from '../resources/resource.ts';
import { checkDefinition, readDefinition } from './definition.ts';

function accept(definition: object): { plugin: AnyPlugin; refused: (config: JsonObject) => string | undefined } {
  checkDefinition(definition);
  const plugin = readDefinition(definition);
  return {
    plugin,
    refused: (config) =>
      checkPlugins(
        'routes',
        { mine: config },
        { get: (name) => (name === 'mine' ? plugin : undefined), list: () => [plugin] },
      ),
  };
}

test('zod: its JSON Schema is shown, its defaults and transformations reach compile, its types flow', () => {
  const { plugin, refused } = accept(
    definePlugin({
      name: 'mine',
      priority: 1,
      schema: z.object({
        hosts: z.array(z.string().transform((host) => host.toLowerCase())),
        limit: z.number().int().min(1).default(5),
      }),
      compile: (config) => ({ hosts: new Set<string>(config.hosts), limit: config.limit + 1 }),
    }),
  );
  assert.deepEqual(Object.keys(plugin.schema['properties'] as object), ['hosts', 'limit']);
  assert.equal(refused({ hosts: ['A'] }), undefined);
  assert.match(refused({ hosts: 'A' }) ?? '', /property "hosts" validation failed/);
  assert.match(refused({ hosts: ['A'], limit: 0 }) ?? '', /property "limit" validation failed/);
  assert.deepEqual(plugin.compile({ hosts: ['A'] }, undefined as never), { hosts: new Set(['a']), limit: 6 });
});

test('valibot, which offers no JSON Schema of its own, judges by its function', () => {
  const { plugin, refused } = accept(
    definePlugin({
      name: 'mine',
      priority: 1,
      schema: v.object({ nested: v.object({ port: v.pipe(v.number(), v.maxValue(65_535)) }) }),
      compile: (config) => config.nested.port,
    }),
  );
  assert.deepEqual(plugin.schema, { type: 'object' });
  assert.match(
    refused({ nested: { port: 70_000 } }) ?? '',
    /property "nested" validation failed: property "port" validation failed: .*65535/,
  );
  assert.equal(plugin.compile({ nested: { port: 80 } }, undefined as never), 80);
});

test('TypeBox is JSON Schema, with types', () => {
  const { refused } = accept(
    definePlugin({
      name: 'mine',
      priority: 1,
      schema: Type.Object({ header: Type.String({ minLength: 1 }), times: Type.Optional(Type.Integer()) }),
      compile: (config) => config.header.repeat(config.times ?? 1),
    }),
  );
  assert.equal(refused({ header: 'x' }), undefined);
  assert.match(refused({ header: '' }) ?? '', /property "header" validation failed: string too short/);
});
