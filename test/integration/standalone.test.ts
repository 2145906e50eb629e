/** A gateway without a store: resources from apisix.yaml or apisix.json, read again when the file changes. */
import assert from 'node:assert/strict';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { runCommand } from '../command.ts';
import { type Gateway, startGateway } from '../gateway.ts';
import { request } from '../request.ts';
import { until } from '../until.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';

const dataPlane = (provider: 'yaml' | 'json'): object => ({
  role: 'data_plane',
  role_data_plane: { config_provider: provider },
});

describe('a standalone gateway', () => {
  let upstream: TestUpstream;
  let directory: string;
  let gateway: Gateway;
  before(async () => {
    upstream = await startUpstream();
  });
  after(() => upstream[Symbol.asyncDispose]());
  beforeEach(async () => {
    upstream.requests.length = 0;
    directory = await mkdtemp(join(tmpdir(), 'gatewright-'));
  });
  afterEach(async () => {
    await gateway[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  });

  const nodes = (): string => `upstream: {type: roundrobin, nodes: {"${upstream.node}": 1}}`;
  const file = (text: string): string => `${text}\n#END\n`;
  const start = async (text: string, env: Record<string, string> = {}): Promise<void> => {
    gateway = await startGateway({
      directory,
      settings: { deployment: dataPlane('yaml') },
      files: { 'apisix.yaml': text },
      env,
    });
  };
  /** As a careful editor does: the file is never half there. */
  const write = async (text: string, name = 'apisix.yaml'): Promise<void> => {
    await writeFile(join(directory, 'draft'), text);
    await rename(join(directory, 'draft'), join(directory, name));
  };
  const status = async (path: string, headers: Record<string, string> = {}): Promise<number> =>
    (await request(gateway, path, headers)).status;
  const untilLog = (pattern: RegExp): Promise<void> => until(() => pattern.test(gateway.output()));

  it('serves what the file says, with environment variables, and has no Admin API', async () => {
    await start(
      file(`
routes:
  - {id: 1, uri: /keyed, plugins: {key-auth: {}}, ${nodes()}}
consumers:
  - {username: jack, plugins: {key-auth: {key: "\${{JACK_KEY}}"}}}
`),
      { JACK_KEY: 'from-the-environment' },
    );
    assert.equal(await status('/keyed'), 401);
    assert.equal(await status('/keyed', { apikey: 'from-the-environment' }), 200);
    assert.equal(upstream.requests.at(-1)?.headers['x-consumer-username'], 'jack');
    await assert.rejects(fetch(gateway.adminUrl));
    assert.match(gateway.output(), /^ {2}Admin API {2}off$/m);
    assert.match(gateway.output(), new RegExp(`^  resources  ${directory}/apisix\\.yaml$`, 'm'));
  });

  it('sees a change of the file by itself: what is new, changed and gone', async () => {
    await start(file(`routes:\n  - {id: 1, uri: /a, ${nodes()}}\n  - {id: 2, uri: /b, ${nodes()}}`));
    assert.deepEqual([await status('/a'), await status('/b'), await status('/c')], [200, 200, 404]);
    await write(file(`routes:\n  - {id: 1, uri: /changed, ${nodes()}}\n  - {id: 3, uri: /c, ${nodes()}}`));
    await until(async () => (await status('/c')) === 200);
    assert.deepEqual([await status('/a'), await status('/changed'), await status('/b')], [404, 200, 404]);
  });

  it('a bad item keeps its last good value and the log says why; the others change', async () => {
    await start(file(`routes:\n  - {id: 1, uri: /a, ${nodes()}}\n  - {id: 2, uri: /b, ${nodes()}}`));
    await write(
      file(`routes:\n  - {id: 1, uri: /a2, plugins: {nope: {}}, ${nodes()}}\n  - {id: 2, uri: /b2, ${nodes()}}`),
    );
    await untilLog(/resource refused, its last good value stays key=routes\/1 problem="unknown plugin \[nope\]"/);
    await until(async () => (await status('/b2')) === 200);
    assert.deepEqual([await status('/a'), await status('/a2'), await status('/b')], [200, 404, 404]);
    await write(file(`routes:\n  - {id: 1, uri: /a3, ${nodes()}}`));
    await until(async () => (await status('/a3')) === 200);
    assert.equal(await status('/a'), 404);
  });

  it('a global rule that cannot be used and never could refuses every request, and the log says why', async () => {
    const rule = (plugins: string): string =>
      file(`routes:\n  - {id: 1, uri: /a, ${nodes()}}\nglobal_rules:\n  - {id: 1, plugins: ${plugins}}`);
    await start(rule('{ip-restriction: {blacklist: [no-address]}}'));
    assert.deepEqual([await status('/a'), await status('/b')], [503, 503]);
    assert.match(
      gateway.output(),
      /and with it the requests that need it key=global_rules\/1 problem=".*ip-restriction/,
    );
    assert.match(gateway.output(), /configuration\.invalid/);
    assert.equal(upstream.requests.length, 0);
    await write(rule('{ip-restriction: {blacklist: [192.0.2.1]}}'));
    await until(async () => (await status('/a')) === 200);
    // It was good now: its last good value stays.
    await write(rule('{ip-restriction: {blacklist: [no-address, 127.0.0.1]}}'));
    await untilLog(/its last good value stays key=global_rules\/1/);
    assert.equal(await status('/a'), 200);
  });

  it('a route that cannot be used and never could refuses its requests: none passes to a route that protects less', async () => {
    const admin = (plugins: string): string =>
      file(
        `routes:\n  - {id: all, uri: /*, ${nodes()}}\n  - {id: admin, uri: /admin/*, methods: [GET], plugins: ${plugins}, ${nodes()}}`,
      );
    await start(admin('{key-auht: {}}'));
    assert.deepEqual([await status('/admin/x'), await status('/x')], [503, 200]);
    assert.equal((await request(gateway, '/admin/x', {}, { method: 'POST' })).status, 200);
    await untilLog(/key=routes\/admin problem="unknown plugin \[key-auht\]"/);
    await write(admin('{key-auth: {}}'));
    await until(async () => (await status('/admin/x')) === 401);
    await write(
      file(`routes:\n  - {id: all, uri: /*, ${nodes()}}\n  - {id: new, uri: /new, methods: [GETT], ${nodes()}}`),
    );
    await until(async () => (await status('/new')) === 503);
    assert.equal(await status('/x'), 200);
    await write(file(`routes:\n  - {id: all, uri: /*, ${nodes()}}`));
    await until(async () => (await status('/new')) === 200);
  });

  it('a file that is half written or no YAML changes nothing, and the log names the line', async () => {
    await start(file(`routes:\n  - {id: 1, uri: /a, ${nodes()}}`));
    await write(`routes:\n  - {id: 1, uri: /b, ${nodes()}}\n`);
    await untilLog(/the last line must be #END; .*the resources read before stay in force|#END.*stay in force/);
    assert.deepEqual([await status('/a'), await status('/b')], [200, 404]);
    await write(file('routes:\n  - {id: 1, uri: [}'));
    await untilLog(/apisix\.yaml:\d+: not valid YAML: .*stay in force/);
    assert.equal(await status('/a'), 200);
  });

  it('a key that two consumers claim belongs to the first; the second keeps what it had', async () => {
    const consumers = (jack: string, jill: string): string =>
      file(`
routes:
  - {id: 1, uri: /keyed, plugins: {key-auth: {}}, ${nodes()}}
consumers:
  - {username: jack, plugins: {key-auth: {key: ${jack}}}}
  - {username: jill, plugins: {key-auth: {key: ${jill}}}}
`);
    const owner = async (apikey: string): Promise<unknown> =>
      (await status('/keyed', { apikey })) === 200
        ? upstream.requests.at(-1)?.headers['x-consumer-username']
        : undefined;
    await start(consumers('first', 'second'));
    assert.deepEqual([await owner('first'), await owner('second')], ['jack', 'jill']);
    await write(consumers('first', 'first'));
    await untilLog(/key=consumers\/jill problem="duplicate key found with consumer: jack"/);
    assert.deepEqual([await owner('first'), await owner('second')], ['jack', 'jill']);
    // Exchanged in one change: nobody's twice.
    await write(consumers('second', 'first'));
    await until(async () => (await owner('first')) === 'jill');
    assert.equal(await owner('second'), 'jack');
  });

  it('reads apisix.json with config_provider: json, and sees its changes', async () => {
    const text = (uri: string): string =>
      JSON.stringify({ routes: [{ id: '1', uri, upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } } }] });
    gateway = await startGateway({
      directory,
      settings: { deployment: dataPlane('json') },
      files: { 'apisix.json': text('/a') },
    });
    assert.equal(await status('/a'), 200);
    await write(text('/b'), 'apisix.json');
    await until(async () => (await status('/b')) === 200);
    assert.equal(await status('/a'), 404);
  });

  it('--resources names another file', async () => {
    const other = join(directory, 'other.yaml');
    await writeFile(other, file(`routes:\n  - {id: 1, uri: /other, ${nodes()}}`));
    gateway = await startGateway({
      directory,
      settings: { deployment: dataPlane('yaml') },
      arguments: ['--resources', other],
    });
    assert.equal(await status('/other'), 200);
  });
});

describe('gatewright check of a standalone gateway', () => {
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'gatewright-'));
    await writeFile(
      join(directory, 'config.yaml'),
      'deployment:\n  role: data_plane\n  role_data_plane:\n    config_provider: yaml\n',
    );
  });
  after(() => rm(directory, { recursive: true }));
  const check = async (resources: string): Promise<[number | null, string, string]> => {
    await writeFile(join(directory, 'apisix.yaml'), resources);
    const { code, stdout, stderr } = await runCommand(['check', '--config', join(directory, 'config.yaml')]);
    return [code, stdout, stderr];
  };

  it('says ok, and 0', async () => {
    const [code, stdout] = await check('routes:\n  - {id: 1, uri: /a, plugins: {}}\n#END\n');
    assert.deepEqual([code, stdout], [0, `${directory}/config.yaml: ok\n`]);
  });

  it('names each resource that would be refused, and what refers to nothing; 1', async () => {
    const [code, stdout, stderr] = await check(
      'routes:\n  - {id: 1, uri: /a, plugins: {nope: {}}}\n  - {id: 2, uri: /b, service_id: gone}\n#END\n',
    );
    assert.deepEqual([code, stdout], [1, '']);
    assert.deepEqual(stderr.trimEnd().split('\n'), [
      `${directory}/apisix.yaml: routes/1: unknown plugin [nope]`,
      `${directory}/apisix.yaml: routes/2: failed to fetch service info by service id [gone], response code: 404`,
    ]);
  });

  it('a file that cannot be read stops check and start, with its line', async () => {
    const [code, , stderr] = await check('routes:\n  - {id: 1, uri: [}\n#END\n');
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`^gatewright: ${directory}/apisix\\.yaml:\\d+: not valid YAML: `));
    const started = await runCommand(['start', '--config', join(directory, 'config.yaml')], { cwd: directory });
    assert.equal(started.code, 1);
    assert.match(started.stderr, /apisix\.yaml:\d+: not valid YAML: /);
  });
});
