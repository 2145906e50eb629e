/** `gatewright check` and a standalone file know plugin files as they know built-in plugins. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runCommand } from '../command.ts';

const resources = `routes:
  - uri: /x
    plugins: { mine: { must: 1 } }
    upstream: { type: roundrobin, nodes: { "127.0.0.1:1": 1 } }
#END
`;

test('check loads plugin files, judges resources by them, and says what is wrong with one', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'gatewright-'));
  t.after(() => rm(directory, { recursive: true }));
  const write = (name: string, text: string): Promise<void> => writeFile(join(directory, name), text);
  await mkdir(join(directory, 'plugins'));
  const config = join(directory, 'config.yaml');
  await write(
    'config.yaml',
    'deployment: { role: data_plane, role_data_plane: { config_provider: yaml } }\nplugin_dirs: [plugins]\n',
  );
  await write('apisix.yaml', resources);
  await write('plugins/mine.ts', "export default { name: 'mine', priority: 1, schema: { required: ['must'] } };");
  const good = await runCommand(['check', '--config', config]);
  assert.equal(good.code, 0, good.stderr);

  await write('plugins/mine.ts', "export default { name: 'mine', priority: 1, schema: { required: ['other'] } };");
  const refused = await runCommand(['check', '--config', config]);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /plugin mine err: property "other" is required/);

  await write('plugins/mine.ts', 'export default {\n  name: 5,\n};');
  const broken = await runCommand(['check', '--config', config]);
  assert.equal(broken.code, 1);
  assert.match(broken.stderr, /plugin file cannot be used .*mine\.ts:2 .*name: expected letters/);
});
