/** The user's own TypeScript plugins in a real gateway: loaded as they are, like built-in ones, swapped when they are saved. */
import assert from 'node:assert/strict';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Gateway, startGateway } from '../gateway.ts';
import { request } from '../request.ts';
import { put, putRoute, refusalOf, reloadPlugins } from '../resources.ts';
import { until } from '../until.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';

interface FileStatus {
  readonly file: string;
  readonly name?: string;
  readonly state: string;
  readonly serving: boolean;
  readonly problem?: {
    readonly message: string;
    readonly position?: { readonly line: number; readonly source: string };
  };
}

/** Sets a header of its configuration's name to `value`. */
const stamp = (value: string): string => `
import { definePlugin, type Exchange } from 'gatewright/plugin';
import { text } from './_text.ts';

interface State { readonly header: string }

export default definePlugin({
  name: 'stamp',
  priority: 500,
  schema: {
    type: 'object',
    properties: { header: { type: 'string', minLength: 1, default: 'X-Stamp' } },
  },
  compile: (config): State => ({ header: config.header }),
  rewrite(state, exchange: Exchange) {
    exchange.headers.set(state.header, text('${value}'));
  },
});
`;

describe('plugin files', () => {
  let gateway: Gateway;
  let upstream: TestUpstream;
  let directory: string;

  before(async () => {
    upstream = await startUpstream();
    gateway = await startGateway({
      settings: { plugin_dirs: ['plugins'] },
      files: {
        'plugins/stamp.ts': stamp('one'),
        'plugins/_text.ts': 'export const text = (of: string): string => of;\n',
      },
    });
    directory = join(gateway.directory, 'plugins');
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
  });

  const route = (id: string, plugins: object): Promise<void> => putRoute(gateway, upstream, id, plugins);
  const stamped = async (path: string): Promise<string | undefined> => {
    await request(gateway, path);
    return upstream.requests.at(-1)?.headers['x-stamp'] as string | undefined;
  };
  const status = async (): Promise<FileStatus[]> =>
    (await (await fetch(`http://127.0.0.1:${gateway.ports.control}/v1/plugins/files`)).json()) as FileStatus[];

  const fileStatus = async (name: string): Promise<FileStatus | undefined> =>
    (await status()).find(({ file }) => file === join(directory, name));
  const reload = (): Promise<void> => reloadPlugins(gateway);
  const write = (name: string, text: string): Promise<void> => writeFile(join(directory, name), text);

  it('a .ts file with imports sets a header upstream', async () => {
    await route('stamped', { stamp: {} });
    assert.equal(await stamped('/stamped'), 'one');
  });

  it('it is listed, described and checked like a built-in plugin', async () => {
    const { body: names } = await gateway.admin('GET', '/plugins/list');
    assert.ok(Array.isArray(names) && names.includes('stamp') && names.includes('key-auth'));
    const { body: all } = await gateway.admin('GET', '/plugins?all=true');
    assert.equal((all['stamp'] as { priority: number }).priority, 500);
    for (const path of ['/schema/plugins/stamp', '/plugins/stamp']) {
      const { body } = await gateway.admin('GET', path);
      assert.deepEqual(Object.keys(body['properties'] as object), ['header', '_meta']);
    }
    assert.match(
      await refusalOf(gateway, { stamp: { header: 5 } }),
      /plugin stamp err: property "header" validation failed: wrong type: expected string, got number/,
    );
    assert.deepEqual((await fileStatus('stamp.ts'))?.state, 'loaded');
  });

  it('saving the file swaps the plugin in every worker, and a change of what it imports does too', async () => {
    await write('stamp.ts', stamp('two'));
    await until(async () => (await stamped('/stamped')) === 'two');
    await write('_text.ts', 'export const text = (of: string): string => `${of}!`;\n');
    await reload();
    const values = await Promise.all(Array.from({ length: 12 }, () => request(gateway, '/stamped')));
    assert.ok(values.every(({ status: code }) => code === 200));
    assert.deepEqual([...new Set(upstream.requests.slice(-12).map(({ headers }) => headers['x-stamp']))], ['two!']);
  });

  it('a request under way finishes on the version that it began with, whose state is disposed of then', async () => {
    const answers: (() => void)[] = [];
    await using gate = await startUpstream((_, response) => void answers.push(() => response.end()));
    const slow = (version: string): string => `
      import { definePlugin } from 'gatewright/plugin';
      export default definePlugin({
        name: 'slow', priority: 400, schema: { type: 'object' },
        compile: (_config, deps) => ({ open: true, log: deps.log }),
        dispose(state) { state.open = false; state.log.error('disposed of ${version}'); },
        async access(state) {
          await fetch('http://${gate.node}/');
          return { status: state.open ? 200 : 500, body: '${version}' };
        },
      });`;
    await write('slow.ts', slow('old'));
    await reload();
    await route('slow', { slow: {} });
    const first = request(gateway, '/slow');
    await until(() => answers.length === 1);
    await write('slow.ts', slow('new'));
    await reload();
    const second = request(gateway, '/slow');
    await until(() => answers.length === 2);
    assert.doesNotMatch(gateway.output(), /disposed of old/);
    for (const answer of answers) answer();
    const { status: code, body } = await first;
    assert.deepEqual([code, body], [200, 'old']);
    assert.equal((await second).body, 'new');
    await until(() => gateway.output().includes('disposed of old'));
  });

  const broken: readonly [what: string, text: string, message: RegExp, line: number | undefined][] = [
    ['a syntax error', 'export default {\n  name: "stamp",,\n};', /Expression expected|Unexpected token/, 2],
    ['an exception', '\n\nthrow new Error("not today");', /not today/, 3],
    ['an enum', 'export enum A { b }\nexport default {};', /enum is not supported/, 1],
    ['no default export', 'export const a = 1;', /no default export/, undefined],
    ['an import of nothing', "import { a } from './nowhere.ts';\nexport default a;", /there is no file \.\/nowhere/, 1],
    [
      'an import without its ending',
      "\nimport { text } from './_text';\nexport default text;",
      /did you mean \.\/_text\.ts/,
      2,
    ],
    ['an endless loop', 'for (;;);', /does not end/, undefined],
    ['an exit', 'process.exit(3);', /ended its thread/, undefined],
    [
      'a phase that is none',
      "export default {\n  name: 'stamp',\n  priority: 1,\n  schema: {},\n  onRequest() {},\n};",
      /onRequest is no part of a plugin: did you mean rewrite/,
      5,
    ],
    [
      'a phase in APISIX’s spelling',
      "export default { name: 'stamp', priority: 1, schema: {},\n  header_filter() {} };",
      /did you mean headerFilter/,
      2,
    ],
    [
      'a schema that is none',
      "export default { name: 'stamp', priority: 1,\n  schema: { type: 'objekt' } };",
      /schema\.type: must be equal to one of the allowed values/,
      2,
    ],
    [
      'a schema that refuses what is stored',
      "export default { name: 'stamp', priority: 1, schema: { required: ['must'] } };",
      /what is stored does not fit it: routes\/stamped: .*property "must" is required/,
      undefined,
    ],
    [
      'a compile that never ends',
      "export default { name: 'stamp', priority: 1, schema: {}, compile() { for (;;); } };",
      /compile did not end within 1000 ms/,
      undefined,
    ],
    [
      'a built-in plugin’s name',
      "export default { name: 'key-auth', priority: 1, schema: {} };",
      /replacesBuiltIn/,
      undefined,
    ],
  ];
  for (const [what, text, message, line] of broken) {
    it(`${what} keeps the last good version and says why`, async () => {
      await write('stamp.ts', text);
      await reload();
      const found = await fileStatus('stamp.ts');
      assert.equal(found?.state, 'failed');
      assert.equal(found.serving, true);
      assert.match(found.problem?.message ?? '', message);
      assert.equal(found.problem?.position?.line, line);
      if (line !== undefined) assert.equal(found.problem?.position?.source, text.split('\n')[line - 1]);
      assert.match(gateway.output(), /plugin file cannot be used .*stamp\.ts/);
      assert.equal(await stamped('/stamped'), 'two!');
    });
  }

  it('a file that is put right serves again', async () => {
    await write('stamp.ts', stamp('three'));
    await until(async () => (await stamped('/stamped')) === 'three!');
    assert.equal((await fileStatus('stamp.ts'))?.state, 'loaded');
  });

  it('a new file is a plugin without a restart; one that is gone and unused is forgotten', async () => {
    await write(
      'late.mjs',
      "export default { name: 'late', priority: 1, schema: {}, rewrite: () => ({ status: 299 }) };",
    );
    await until(async () => (await gateway.admin('GET', '/plugins/late')).status === 200);
    await route('late', { late: {} });
    assert.equal((await request(gateway, '/late')).status, 299);
    await gateway.admin('DELETE', '/routes/late');
    await rm(join(directory, 'late.mjs'));
    await until(async () => (await gateway.admin('GET', '/plugins/late')).status === 404);
  });

  it('a file that is gone while something uses it serves on, and is told of', async () => {
    await write(
      'kept.ts',
      "export default { name: 'kept', priority: 1, schema: {}, rewrite: () => ({ status: 299 }) };",
    );
    await reload();
    await route('kept', { kept: {} });
    await rm(join(directory, 'kept.ts'));
    await reload();
    assert.equal((await request(gateway, '/kept')).status, 299);
    assert.equal((await fileStatus('kept.ts'))?.state, 'missing');
    assert.match(gateway.output(), /plugin file is gone, its last version serves/);
  });

  it('a folder with an index file is a plugin; tests and files that start with _ are none', async () => {
    await mkdir(join(directory, 'folder'));
    await write('folder/index.ts', "export { default } from './plugin.ts';");
    await write(
      'folder/plugin.ts',
      "export default { name: 'in-folder', priority: 1, schema: {}, rewrite: () => ({ status: 298 }) };",
    );
    await write('folder.test.ts', 'throw new Error("a test");');
    await until(async () => (await gateway.admin('GET', '/plugins/in-folder')).status === 200);
    assert.deepEqual(
      (await status()).map(({ file }) => file.slice(directory.length + 1)).filter((file) => /test|_text/.test(file)),
      [],
    );
  });

  it('global rules and consumers bring it too, and what they bring is swapped', async () => {
    const versioned = (value: string): string =>
      `export default { name: 'everywhere', priority: 1, schema: {}, headerFilter(_s, exchange) { exchange.response.headers.append('X-Everywhere', '${value}'); } };`;
    await write('everywhere.ts', versioned('a'));
    await reload();
    await put(gateway, '/global_rules/1', { plugins: { everywhere: {} } });
    await put(gateway, '/consumers', { username: 'ann', plugins: { 'key-auth': { key: 'ann-key' }, everywhere: {} } });
    await route('ann', { 'key-auth': {} });
    const seen = async (): Promise<unknown> =>
      (await request(gateway, '/ann', { apikey: 'ann-key' })).headers['x-everywhere'];
    assert.equal(await seen(), 'a, a');
    await write('everywhere.ts', versioned('b'));
    await reload();
    assert.equal(await seen(), 'b, b');
    await gateway.admin('DELETE', '/global_rules/1');
  });
});
