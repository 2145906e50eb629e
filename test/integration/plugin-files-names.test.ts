/** Which plugin a name means: one of a file in a built-in plugin's place, one that the settings' `plugins` leave out. */
import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Gateway, startGateway } from '../gateway.ts';
import { request } from '../request.ts';
import { put, putRoute, refusalOf, reloadPlugins } from '../resources.ts';
import { startUpstream } from '../upstream.ts';

const requestId = (more: string): string => `
import { definePlugin } from 'gatewright/plugin';
export default definePlugin({
  name: 'request-id', priority: 12015, ${more}
  schema: { type: 'object', properties: { ours: { type: 'string', default: 'mine' } }, additionalProperties: false },
  rewrite: ({ ours }, exchange) => exchange.headers.set('X-Request-Id', ours),
});
`;
const fileStatus = async (gateway: Gateway): Promise<Record<string, unknown> | undefined> => {
  const answer = await fetch(`http://127.0.0.1:${gateway.ports.control}/v1/plugins/files`);
  const files = (await answer.json()) as Record<string, unknown>[];
  return files[0];
};

test('a file that says replacesBuiltIn stands in the built-in plugin’s place, in checks and in requests, until it is gone', async () => {
  await using upstream = await startUpstream();
  await using gateway = await startGateway({
    settings: { plugin_dirs: ['plugins'] },
    files: { 'plugins/request-id.ts': requestId('') },
  });
  const file = join(gateway.directory, 'plugins/request-id.ts');
  const seen = async (): Promise<unknown> => {
    await request(gateway, '/1');
    return upstream.requests.at(-1)?.headers['x-request-id'];
  };
  // Without it, the built-in one serves.
  assert.equal((await fileStatus(gateway))?.['state'], 'failed');
  await putRoute(gateway, upstream, '1', { 'request-id': {} });
  assert.match(String(await seen()), /^[\da-f]{8}-/);
  assert.match(await refusalOf(gateway, { 'request-id': { algorithm: 'none' } }), /"algorithm" validation failed/);

  // What is stored for the built-in one has its defaults, which this schema does not know: it must not be swapped in under it.
  await writeFile(file, requestId('replacesBuiltIn: true,'));
  await reloadPlugins(gateway);
  assert.match(JSON.stringify(await fileStatus(gateway)), /what is stored does not fit it: routes\/1/);
  assert.match(String(await seen()), /^[\da-f]{8}-/);

  assert.equal((await gateway.admin('DELETE', '/routes/1')).status, 200);
  await writeFile(file, `${requestId('replacesBuiltIn: true,')}\n`);
  await reloadPlugins(gateway);
  assert.equal((await fileStatus(gateway))?.['state'], 'loaded');
  assert.match(gateway.output(), /plugin file stands in the place of a built-in plugin plugin=request-id/);
  await putRoute(gateway, upstream, '1', { 'request-id': { ours: 'from the file' } });
  assert.equal(await seen(), 'from the file');
  assert.match(await refusalOf(gateway, { 'request-id': { algorithm: 'uuid' } }), /algorithm/);
  const { body } = await gateway.admin('GET', '/plugins/request-id');
  assert.deepEqual(Object.keys(body['properties'] as object), ['ours', '_meta']);

  assert.equal((await gateway.admin('DELETE', '/routes/1')).status, 200);
  await rm(file);
  await reloadPlugins(gateway);
  await putRoute(gateway, upstream, '1', { 'request-id': { algorithm: 'uuid' } });
  assert.match(String(await seen()), /^[\da-f]{8}-/);
});

test('a file that the settings’ plugins do not list is checked, and told of, but is no plugin', async () => {
  const file = (name: string): string =>
    `export default { name: '${name}', priority: 1, schema: {}, access: () => ({ status: 299 }) };`;
  await using gateway = await startGateway({
    settings: { plugin_dirs: ['plugins'], plugins: ['listed', 'key-auth', 'nowhere'] },
    files: { 'plugins/other.ts': file('left-out'), 'plugins/z.ts': file('listed') },
  });
  const { state, name, serving } = (await fileStatus(gateway)) ?? {};
  assert.deepEqual({ state, name, serving }, { state: 'not enabled', name: 'left-out', serving: false });
  assert.match(
    gateway.output(),
    /plugin file is not used: the settings' plugins do not list it plugin=left-out file=.*other\.ts/,
  );
  assert.match(gateway.output(), /plugins that the settings list and that do not exist here plugins=nowhere/);
  assert.equal(await refusalOf(gateway, { 'left-out': {} }), 'unknown plugin [left-out]');
  const { body: names } = await gateway.admin('GET', '/plugins/list');
  assert.deepEqual(names, ['key-auth', 'listed']);
  await put(gateway, '/routes/1', { uri: '/', plugins: { listed: {} } });
  assert.equal((await request(gateway, '/')).status, 299);
});

test('a file that gives its plugin another name serves on under the old one while something uses that', async () => {
  const file = (name: string): string =>
    `export default { name: '${name}', priority: 1, schema: {}, access: () => ({ status: 299, body: '${name}' }) };`;
  await using gateway = await startGateway({
    settings: { plugin_dirs: ['plugins'] },
    files: { 'plugins/a.ts': file('before') },
  });
  const rename = async (name: string): Promise<void> => {
    await writeFile(join(gateway.directory, 'plugins/a.ts'), file(name));
    await reloadPlugins(gateway);
  };
  await put(gateway, '/routes/1', { uri: '/', plugins: { before: {} } });
  await rename('after');
  assert.match(JSON.stringify(await fileStatus(gateway)), /its name is after now, and what is stored uses before/);
  assert.equal((await request(gateway, '/')).body, 'before');

  assert.equal((await gateway.admin('DELETE', '/routes/1')).status, 200);
  await rename('after-all');
  assert.equal(await refusalOf(gateway, { before: {} }), 'unknown plugin [before]');
  await put(gateway, '/routes/1', { uri: '/', plugins: { 'after-all': {} } });
  assert.equal((await request(gateway, '/')).body, 'after-all');
});
