/** Saving a plugin's file again and again while requests go on: none fails, and none sees two versions. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { startGateway } from '../gateway.ts';
import { request } from '../request.ts';
import { putRoute, reloadPlugins } from '../resources.ts';
import { startUpstream } from '../upstream.ts';

const saves = 20;
const clients = 6;

/** Writes its version upstream, waits, and writes it into the response; a state that was disposed of would show. */
const versioned = (version: number): string => `
import { definePlugin } from 'gatewright/plugin';
export default definePlugin({
  name: 'versioned', priority: 1, schema: { type: 'object' },
  compile: () => ({ version: '${version}' }),
  dispose(state) { state.version = 'disposed of'; },
  async access(state, exchange) {
    exchange.headers.set('X-Version', state.version);
    await new Promise((resolve) => setTimeout(resolve, 3));
  },
  headerFilter(state, exchange) { exchange.response.headers.set('X-Version', state.version); },
});
`;

test(`of the requests during ${saves} saves none fails, each runs on one version, and the newest serves at once`, async () => {
  await using upstream = await startUpstream((asked, response) => response.end(asked.headers['x-version']));
  await using gateway = await startGateway({
    settings: { plugin_dirs: ['plugins'] },
    files: { 'plugins/versioned.ts': versioned(0) },
  });
  await putRoute(gateway, upstream, '1', { versioned: {} });
  /** What every worker uses, as far as is known. */
  let reloaded = 0;
  let over = false;
  let served = 0;
  const client = async (): Promise<void> => {
    while (!over) {
      const least = reloaded;
      const { status, headers, body } = await request(gateway, '/1');
      assert.deepEqual([status, headers['x-version']], [200, body]);
      assert.ok(Number(body) >= least, `version ${body}, though every worker had ${least}`);
      served++;
    }
  };
  const load = Promise.all(Array.from({ length: clients }, client));
  const saving = async (): Promise<void> => {
    for (let version = 1; version <= saves; version++) {
      await writeFile(join(gateway.directory, 'plugins/versioned.ts'), versioned(version));
      await reloadPlugins(gateway);
      reloaded = version;
    }
    over = true;
  };
  await Promise.all([saving(), load]);
  assert.ok(served > saves);
  assert.doesNotMatch(gateway.output(), /error|disposed of/);
});
