/** What a stored configuration needs and the settings no longer have: requests that depend on it are refused, all others go on. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { type Gateway, startGateway } from '../gateway.ts';
import { request } from '../request.ts';
import { put } from '../resources.ts';
import { startFakeRunner } from '../runners/fake-runner.ts';
import { startUpstream } from '../upstream.ts';

const pluginFile = `
import { definePlugin } from 'gatewright/plugin';
export default definePlugin({ name: 'guards', priority: 400, schema: { type: 'object' }, access: () => undefined });
`;
const verification = {
  cache_time: 0,
  endpoint_timeout: 5,
  is_send_body: false,
  func_name: 'f',
  func_namespace: 'n',
  func_qualifier: '$LATEST',
};

it('a plugin file, code, runner, function or switched-off plugin that is gone after a restart: 503, never 200, and the others go on', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'gatewright-'));
  try {
    await using upstream = await startUpstream();
    await using runner = await startFakeRunner();
    const functions = join(directory, 'functions');
    await mkdir(join(functions, 'n'), { recursive: true });
    await writeFile(join(functions, 'n', 'f.ts'), `export const main_handler = () => ({ 'api-auth': true });`);
    const guarded: Record<string, object> = {
      file: { guards: {} },
      code: { 'serverless-pre-function': { functions: ['() => {}'] } },
      runner: { 'ext-plugin-pre-req': { conf: [{ name: 'a', value: '{}' }] } },
      response: { 'ext-plugin-post-resp': { conf: [{ name: 'a', value: '{}' }] } },
      function: { 'custom-auth': verification },
      member: { 'multi-auth': { auth_plugins: [{ 'key-auth': {} }, { 'custom-auth': verification }] } },
      off: { 'request-validation': { header_schema: {} } },
    };
    const answers = async (gateway: Gateway): Promise<Record<string, number>> => {
      const statuses: Record<string, number> = {};
      for (const id of [...Object.keys(guarded), 'open']) statuses[id] = (await request(gateway, `/${id}`)).status;
      return statuses;
    };
    {
      await using gateway = await startGateway({
        directory,
        settings: {
          plugin_dirs: ['plugins'],
          gatewright: { code_in_config: true, functions: { directory: functions } },
          'ext-plugin': { path_for_test: runner.socket },
        },
        files: { 'plugins/guards.ts': pluginFile },
      });
      for (const [id, plugins] of Object.entries({ ...guarded, open: {} })) {
        const node = { type: 'roundrobin', nodes: { [upstream.node]: 1 } };
        await put(gateway, `/routes/${id}`, { uri: `/${id}`, plugins, upstream: node });
      }
      assert.deepEqual(new Set(Object.values(await answers(gateway))), new Set([200]));
    }
    await rm(functions, { recursive: true });
    const { length } = upstream.requests;
    {
      const enabled = ['key-auth', 'multi-auth', 'custom-auth', 'ext-plugin-pre-req'];
      await using gateway = await startGateway({
        directory,
        settings: {
          plugins: [...enabled, 'ext-plugin-post-resp', 'serverless-pre-function'],
          gatewright: { functions: { directory: functions } },
        },
      });
      const { open, ...statuses } = await answers(gateway);
      assert.equal(open, 200);
      assert.deepEqual(statuses, Object.fromEntries(Object.keys(guarded).map((id) => [id, 503])));
      assert.equal(upstream.requests.length, length + 1);
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
