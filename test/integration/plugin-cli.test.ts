/** `gatewright plugin new` and `gatewright plugin test`, as an author runs them in a folder of his own. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { builtInPlugins } from '../../src/plugins/registry.ts';
import { runCommand, type CommandResult } from '../command.ts';
import { startGateway } from '../gateway.ts';
import { request } from '../request.ts';
import { startUpstream } from '../upstream.ts';

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gatewright-plugins-'));
});
after(() => rm(folder, { recursive: true }));

const gatewright = (...args: string[]): Promise<CommandResult> => runCommand(['plugin', ...args], { cwd: folder });

describe('gatewright plugin', () => {
  it('new writes a plugin and its test; test runs it, in a package of CommonJS too', async () => {
    await writeFile(join(folder, 'package.json'), '{ "type": "commonjs" }');
    const written = await gatewright('new', 'my-plugin2');
    assert.equal(written.code, 0, written.stderr);
    assert.match(written.stdout, /plugin_dirs: \[plugins\]/);
    assert.deepEqual((await readdir(join(folder, 'plugins'))).sort(), ['my-plugin2.test.ts', 'my-plugin2.ts']);
    const tested = await gatewright('test');
    assert.equal(tested.code, 0, tested.stdout + tested.stderr);
    assert.match(tested.stdout, /✔ sets the header before the request goes upstream/);
    assert.match(tested.stdout, /^ℹ pass 2$/m);
    assert.equal(tested.stderr, '');
  });

  it('what new writes is loaded by the gateway and sets its header', async () => {
    await using upstream = await startUpstream();
    await using gateway = await startGateway({ settings: { plugin_dirs: [join(folder, 'plugins')] } });
    const { status, body } = await gateway.admin('PUT', '/routes/1', {
      uri: '/*',
      plugins: { 'my-plugin2': { value: 'hello' } },
      upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } },
    });
    assert.equal(status, 201, JSON.stringify(body));
    await request(gateway, '/orders');
    assert.equal(upstream.requests.at(-1)?.headers['x-my-plugin2'], 'hello');
  });

  it('new takes the folder that the settings name, or --dir', async () => {
    await mkdir(join(folder, 'conf'));
    await writeFile(join(folder, 'conf/config.yaml'), 'plugin_dirs: [mine]\n');
    assert.equal((await gatewright('new', 'one')).code, 0);
    assert.ok((await readFile(join(folder, 'conf/mine/one.ts'), 'utf8')).includes("name: 'one'"));
    assert.equal((await gatewright('new', 'two', '--dir', 'elsewhere')).code, 0);
    assert.ok((await readFile(join(folder, 'elsewhere/two.test.ts'), 'utf8')).includes("'x-two'"));
    await rm(join(folder, 'conf'), { recursive: true });
  });

  it('new never overwrites: neither the plugin nor its test, nor one of that name in another form', async () => {
    const directory = join(folder, 'kept');
    await mkdir(join(directory, 'in-folder'), { recursive: true });
    for (const file of ['a.ts', 'b.test.ts', 'c.mjs']) await writeFile(join(directory, file), 'mine');
    for (const name of ['a', 'b', 'c', 'in-folder']) {
      const { code, stderr } = await gatewright('new', name, '--dir', 'kept');
      assert.equal(code, 1);
      assert.match(stderr, /is there already; nothing was written/);
    }
    assert.deepEqual((await readdir(directory)).sort(), ['a.ts', 'b.test.ts', 'c.mjs', 'in-folder']);
    assert.equal(await readFile(join(directory, 'a.ts'), 'utf8'), 'mine');
  });

  it('new refuses names that are not kebab case, paths, and those of built-in plugins', async () => {
    const refused = async (name: string): Promise<string> => {
      const { code, stderr } = await gatewright('new', '--dir', 'refused', '--', name);
      assert.equal(code, 1, name);
      return stderr;
    };
    assert.match(await refused('MyPlugin'), /: my-plugin\?/);
    assert.match(await refused('../x'), /lower case letters/);
    assert.match(await refused('a_b'), /: a-b\?/);
    for (const name of ['', '-x', '1st', 'a--b', 'a-', 'a/b', 'x'.repeat(61)]) await refused(name);
    assert.match(await refused(builtInPlugins[0]?.name ?? ''), /is a built-in plugin/);
    await assert.rejects(readdir(join(folder, 'refused')));
  });

  it('test ends with 1 where a test fails, where there is none, and where a file is not there', async () => {
    await mkdir(join(folder, 'failing'));
    await writeFile(
      join(folder, 'failing/x.test.ts'),
      "import { test } from 'node:test';\ntest('fails', () => {\n  throw new Error('on purpose');\n});\n",
    );
    const failing = await gatewright('test', 'failing/x.test.ts');
    assert.equal(failing.code, 1);
    assert.match(failing.stdout, /on purpose/);
    await mkdir(join(folder, 'empty'));
    const none = await gatewright('test', 'empty');
    assert.equal(none.code, 1);
    assert.match(none.stderr, /there is no test \(\*\.test\.ts\) in empty/);
    assert.match((await gatewright('test', 'nowhere.ts')).stderr, /there is no nowhere\.ts/);
  });

  it('a wrong command line ends with 2 and says what is taken', async () => {
    for (const args of [[], ['run'], ['new'], ['new', 'a', 'b'], ['new', 'a', '--force']]) {
      const { code, stderr } = await gatewright(...args);
      assert.equal(code, 2, stderr);
    }
  });

  it('the plugin and the test that the docs print pass', async () => {
    const page = await readFile(resolve('docs/plugins-in-typescript.md'), 'utf8');
    const blocks = [...page.matchAll(/^```ts\n([^]*?)^```/gm)].map(([, code = '']) => code);
    const plugin = blocks.find((code) => code.includes("name: 'team-header'"));
    const its = blocks.find((code) => code.includes('gatewright/plugin/testing'));
    await mkdir(join(folder, 'docs'));
    await writeFile(join(folder, 'docs/team-header.ts'), plugin ?? '');
    await writeFile(join(folder, 'docs/team-header.test.ts'), its ?? '');
    const { code, stdout, stderr } = await gatewright('test', 'docs');
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /✔ a team that is not listed is refused/);
  });

  it('test runs the tests of the examples', async () => {
    const { code, stdout, stderr } = await gatewright('test', resolve('examples/plugins'));
    assert.equal(code, 0, stdout + stderr);
  });
});
