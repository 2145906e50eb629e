/**
 * Schemas of libraries in plugin files, with the packages of a node_modules beside them: what is wrong is refused when it is written, with
 * the path of the field, and what compile gets is what the library made of it.
 */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Gateway, startGateway } from '../gateway.ts';
import { request } from '../request.ts';
import { put, refusalOf } from '../resources.ts';

const plugin = (name: string, imports: string, schema: string): string => `
import { definePlugin, reply } from 'gatewright/plugin';
${imports}
export default definePlugin({
  name: '${name}', priority: 1, schema: ${schema},
  compile: (config) => ({ limit: config.limits[0]?.most ?? 0 }),
  access: ({ limit }) => reply(200, { limit }),
});
`;

/** Each takes `{ limits: [{ most: 1 }] }`, where `most` is an integer of at least 1. */
const libraries: Readonly<Record<string, readonly [imports: string, schema: string]>> = {
  typebox: [
    "import { Type } from '@sinclair/typebox';",
    'Type.Object({ limits: Type.Array(Type.Object({ most: Type.Integer({ minimum: 1 }) })) })',
  ],
  zod: ["import { z } from 'zod';", 'z.object({ limits: z.array(z.object({ most: z.number().int().min(1) })) })'],
  valibot: [
    "import * as v from 'valibot';",
    'v.object({ limits: v.array(v.object({ most: v.pipe(v.number(), v.integer(), v.minValue(1)) })) })',
  ],
  plain: [
    '',
    `{
      type: 'object', required: ['limits'],
      properties: {
        limits: {
          type: 'array',
          items: { type: 'object', properties: { most: { type: 'integer', minimum: 1 } }, required: ['most'] },
        },
      },
    }`,
  ],
};

describe('schemas of plugin files', () => {
  let directory: string;
  let gateway: Gateway;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'gatewright-schemas-'));
    await mkdir(join(directory, 'plugins'));
    await symlink(resolve('node_modules'), join(directory, 'plugins/node_modules'));
    gateway = await startGateway({
      directory,
      settings: { plugin_dirs: ['plugins'] },
      files: Object.fromEntries(
        Object.entries(libraries).map(([name, [imports, schema]]) => [
          `plugins/${name}.ts`,
          plugin(name, imports, schema),
        ]),
      ),
    });
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  });

  for (const name of Object.keys(libraries)) {
    it(`${name}: a good configuration is used; a wrong one is refused with the path of the field`, async () => {
      await put(gateway, `/routes/${name}`, { uri: `/${name}`, plugins: { [name]: { limits: [{ most: 7 }] } } });
      assert.deepEqual(JSON.parse((await request(gateway, `/${name}`)).body), { limit: 7 });
      const place = /"limits" validation failed: .*(?:item 2|\b1\b).*"most" (?:validation failed: |is required)/;
      for (const wrong of [{ most: 0 }, { most: 'many' }, { most: 1.5 }]) {
        const refused = await refusalOf(gateway, { [name]: { limits: [{ most: 1 }, wrong] } });
        assert.match(
          refused,
          new RegExp(`failed to check the configuration of plugin ${name} err: property ${place.source}`),
        );
      }
      assert.match(await refusalOf(gateway, { [name]: {} }), /limits/);
    });
  }
});
