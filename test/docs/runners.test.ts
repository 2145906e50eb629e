/** docs/runners.md: its settings are read without a warning, its route is taken and does what the page says. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import { keys } from '../../src/settings/keys.ts';
import { readSettings } from '../../src/settings/read-settings.ts';
import { startGateway } from '../gateway.ts';
import { request } from '../request.ts';
import { startFakeRunner } from '../runners/fake-runner.ts';
import { stop } from '../runners/runner-messages.ts';

const page = readFileSync(new URL('../../docs/runners.md', import.meta.url), 'utf8');
const blocks = (language: string): string[] =>
  [...page.matchAll(/^```(\w+)\n(.*?)^```$/gms)].flatMap(([, name, text = '']) => (name === language ? [text] : []));

describe('docs/runners.md', () => {
  it('has settings that are read without a warning', () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'settings-'));
    const configFile = path.join(directory, 'config.yaml');
    const read = blocks('yaml').map((text) => {
      writeFileSync(configFile, text);
      const { settings, warnings } = readSettings({ configFile, dataDir: directory, env: {} });
      assert.deepEqual(warnings, []);
      return settings.runners.runners.map(({ name, command, socket }) => [name, command?.[0] ?? socket]);
    });
    rmSync(directory, { recursive: true });
    assert.deepEqual(read, [
      [['default', '/path/to/runner']],
      [['default', '/tmp/runner.sock']],
      [
        ['default', '/opt/go-runner'],
        ['python', 'python3'],
        ['beside', '/run/other/runner.sock'],
      ],
    ]);
  });

  it('names settings that there are', () => {
    const named = [...page.matchAll(/`(ext-plugin\.\w+)`/g)].map(([, name = '']) => name);
    assert.ok(named.length > 5);
    assert.deepEqual(
      named.filter((name) => !(name in keys)),
      [],
    );
  });

  it('has a route that the Admin API takes, and that asks the runner', async () => {
    await using runner = await startFakeRunner({
      request: (call, conf) => stop(call.id, { body: Buffer.from(JSON.stringify(conf?.conf)) }),
    });
    await using gateway = await startGateway({ settings: { 'ext-plugin': { path_for_test: runner.socket } } });
    const [route = ''] = blocks('json');
    const { status, body } = await gateway.admin('PUT', '/routes/1', JSON.parse(route));
    assert.equal(status, 201, JSON.stringify(body));
    assert.equal((await request(gateway, '/extPlugin')).body, '[["say","{\\"body\\":\\"hello\\"}"]]');
  });
});
