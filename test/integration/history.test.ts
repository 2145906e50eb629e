/** `gatewright history` and `gatewright rollback` as they are typed, beside a gateway that runs and without one. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { stringify } from 'yaml';
import type { ShownCommit, ShownHistory, ShownRollback } from '../../src/admin/history-routes.ts';
import { createRegistry } from '../../src/plugins/registry.ts';
import { openStore } from '../../src/store/open.ts';
import { encryptStore } from '../../src/store/encrypted-store.ts';
import { type CommandResult, runCommand } from '../command.ts';
import { type Gateway, startGateway, testAdminKey } from '../gateway.ts';
import { request } from '../request.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';

const hooks = { onError: assert.fail, onWarning: assert.fail };

async function put(gateway: Gateway, resource: string, body: unknown): Promise<void> {
  const answer = await gateway.admin('PUT', resource, body);
  assert.ok(answer.status < 300, JSON.stringify(answer.body));
}

/** The command with the gateway's settings and data directory. */
function run(gateway: Gateway, ...args: string[]): Promise<CommandResult> {
  const { directory } = gateway;
  const places = ['--config', path.join(directory, 'config.yaml'), '--data-dir', path.join(directory, 'data')];
  return runCommand([...args, ...places]);
}

async function done(gateway: Gateway, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(gateway, ...args);
  assert.deepEqual([code, stderr], [0, ''], args.join(' '));
  return stdout;
}

async function refused(gateway: Gateway, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(gateway, ...args);
  assert.deepEqual([code, stdout], [1, '']);
  return stderr;
}

const times = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g;

describe('beside a gateway that runs', () => {
  let gateway: Gateway;
  let upstream: TestUpstream;
  const route = (uri: string): object => ({
    uri,
    plugins: { 'key-auth': {} },
    upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } },
  });
  const jack = (key: string): object => ({ username: 'jack', plugins: { 'key-auth': { key } } });
  before(async () => {
    upstream = await startUpstream((_, response) => response.end('ok'));
    gateway = await startGateway();
    await put(gateway, '/consumers', jack('jacks-first-key'));
    await put(gateway, '/routes/1', route('/a'));
    await put(gateway, '/consumers', jack('jacks-second-key'));
    await put(gateway, '/routes/1', route('/b'));
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
  });

  test('history shows who changed what, and no secret', async () => {
    const shown = await done(gateway, 'history');
    assert.equal(
      shown.replaceAll(times, 'TIME                '),
      [
        'REVISION  TIME                  WHO    ACTION  RESOURCE        CHANGE',
        '4         TIME                  admin  PUT     routes/1        uri: "/a" → "/b"',
        '3         TIME                  admin  PUT     consumers/jack  plugins.key-auth.key: another secret',
        '2         TIME                  admin  PUT     routes/1        created',
        '1         TIME                  admin  PUT     consumers/jack  created',
        '',
      ].join('\n'),
    );
    assert.match(await done(gateway, 'history', '--limit', '1'), /\n4 .*\n\(1 of 4; --limit shows more\)\n$/);
    assert.match(await done(gateway, 'history', '--resource', 'consumers/jack', '--who', 'admin'), /\n3 .*\n1 .*\n$/);
    assert.equal(await done(gateway, 'history', '--who', 'nobody'), 'nothing is recorded\n');
  });

  test('history of a revision shows the whole difference', async () => {
    const shown = await done(gateway, 'history', '4');
    assert.equal(
      shown.replaceAll(times, 'TIME'),
      'revision 4  TIME  admin from 127.0.0.1  PUT\n\nroutes/1 updated\n  uri\n  - "/a"\n  + "/b"\n',
    );
    const created = await done(gateway, 'history', '1');
    assert.match(created, /\nconsumers\/jack created\n {2}\+ \{\n {2}\+ {3}"username": "jack",\n/);
    assert.match(created, /"key": "\*{8}"/);
    assert.match(await refused(gateway, 'history', '77'), /the history does not know revision 77/);
  });

  test('--json is what the Admin API answers', async () => {
    const list = JSON.parse(await done(gateway, 'history', '--json')) as { total: number; list: ShownHistory[] };
    assert.equal(list.total, 4);
    assert.deepEqual(list.list[0]?.fields, [{ path: 'uri', from: '/a', to: '/b' }]);
    const one = JSON.parse(await done(gateway, 'history', '4', '--json')) as ShownCommit;
    assert.equal((one.list[0]?.after as { uri?: string } | undefined)?.uri, '/b');
  });

  test('rollback is served by every worker when the command returns, and no secret is written', async () => {
    const headers = { apikey: 'jacks-first-key' };
    assert.equal((await request(gateway, '/a', headers)).status, 404);
    assert.match(
      await done(gateway, 'rollback', '2', '--dry-run'),
      /^2 resources would go back to revision 2; nothing was changed .*--if-revision 4/m,
    );
    assert.match(await refused(gateway, 'rollback', '2', '--if-revision', '3'), /it is at 4/);
    const shown = await done(gateway, 'rollback', '2', '--if-revision', '4');
    assert.equal(
      shown,
      'consumers/jack  plugins.key-auth.key: another secret\n' +
        'routes/1  uri: "/b" → "/a"\n' +
        '2 resources went back to revision 2, as revision 5\n',
    );
    for (let i = 0; i < 10; i++) {
      assert.equal((await request(gateway, '/a', headers)).status, 200);
      assert.equal((await request(gateway, '/a', { apikey: 'jacks-second-key' })).status, 401);
    }
    const back = JSON.parse(await done(gateway, 'rollback', '4', '--resource', 'routes', '--json')) as ShownRollback;
    assert.equal(back.revision, 6);
    assert.equal((await request(gateway, '/b', headers)).status, 200);
    assert.match(await done(gateway, 'rollback', '6'), /^nothing differs from revision 6/);
    assert.match(await done(gateway, 'history', '--limit', '2'), /\n6 .* admin  rollback to 4  routes\/1 /);
    assert.doesNotMatch(gateway.output(), /jacks-(first|second)-key/);
    assert.ok(!gateway.output().includes(testAdminKey));
  });

  test('rollback is refused with the reason where another consumer has the key by now', async () => {
    await put(gateway, '/consumers', jack('jacks-third-key'));
    await put(gateway, '/consumers', { username: 'jill', plugins: { 'key-auth': { key: 'jacks-first-key' } } });
    assert.match(
      await refused(gateway, 'rollback', '6', '--resource', 'consumers/jack'),
      /^gatewright: cannot roll back to revision 6: consumers\/jack: duplicate key found with consumer: jill\n$/,
    );
  });

  test('the address of the Admin API is for the owner only, and is withdrawn when the gateway stops', async () => {
    const file = path.join(gateway.directory, 'data', 'admin.json');
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    await using other = await startGateway();
    assert.equal(await other.stop(), 0);
    assert.ok(!(await readdir(path.join(other.directory, 'data'))).includes('admin.json'));
  });

  test('without a key that may, it is said what to name', async () => {
    const config = path.join(gateway.directory, 'without-keys.yaml');
    await writeFile(config, stringify({ apisix: { enable_control: false } }));
    const args = ['--config', config, '--data-dir', path.join(gateway.directory, 'data')];
    const { code, stderr } = await runCommand(['history', ...args]);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /a gateway runs on .*, and no key with the role viewer is known: name its settings with --config/,
    );
    await writeFile(
      config,
      stringify({ deployment: { admin: { admin_key: [{ name: 'eye', key: 'wrong', role: 'viewer' }] } } }),
    );
    assert.match((await runCommand(['history', ...args])).stderr, /failed to check token: wrong apikey/);
    assert.match((await runCommand(['rollback', '1', ...args])).stderr, /no key with the role admin is known/);
  });
});

test('with no gateway, the store itself is read and rolled back; the next gateway serves it', async () => {
  await using upstream = await startUpstream((_, response) => response.end('ok'));
  const nodes = { type: 'roundrobin', nodes: { [upstream.node]: 1 } };
  await using gateway = await startGateway();
  await put(gateway, '/routes/1', { uri: '/a', upstream: nodes });
  await put(gateway, '/routes/1', { uri: '/b', upstream: nodes });
  // What a gateway that was killed leaves behind does not mislead.
  await gateway.stop('SIGKILL');
  assert.match(await done(gateway, 'history'), /\n2 .*uri: "\/a" → "\/b"\n/);
  assert.match(await done(gateway, 'rollback', '1'), /1 resource went back to revision 1, as revision 3\n$/);
  assert.match(await done(gateway, 'history', '3'), /^revision 3 {2}\S+ {2}command line {2}rollback to 1\n/);
  await using again = await startGateway({ directory: gateway.directory });
  assert.equal((await request(again, '/a')).status, 200);
  assert.equal((await request(again, '/b')).status, 404);
});

test('with the key that was made on the first start, and with none asked for, the gateway is found by its data directory', async () => {
  for (const admin of [{ admin_key: null }, { admin_key: null, admin_key_required: false }]) {
    await using gateway = await startGateway({ settings: { deployment: { admin } } });
    const key = (await readFile(path.join(gateway.directory, 'data', 'admin.key'), 'utf8')).trim();
    const answer = await gateway.admin(
      'PUT',
      '/routes/1',
      { uri: '/', upstream: { nodes: { '127.0.0.1:1': 1 } } },
      { 'X-API-KEY': key },
    );
    assert.equal(answer.status, 201);
    assert.match(await done(gateway, 'history'), /\n1 .* created\n$/);
  }
});

test('of resources in memory the history lives as long as the gateway', async () => {
  const settings = { deployment: { role_traditional: { config_provider: 'memory' } } };
  await using gateway = await startGateway({ settings });
  await put(gateway, '/routes/1', { uri: '/a', upstream: { nodes: { '127.0.0.1:1': 1 } } });
  await put(gateway, '/routes/1', { uri: '/b', upstream: { nodes: { '127.0.0.1:1': 1 } } });
  assert.match(await done(gateway, 'rollback', '1'), /as revision 3\n$/);
  assert.match(await done(gateway, 'history'), /\n3 .* rollback to 1 .*\n2 .*\n1 /);
  // A gateway that is killed leaves its address behind; it is not taken for one that lives.
  await gateway.stop('SIGKILL');
  assert.match(await refused(gateway, 'history'), /no gateway that keeps its resources in memory runs on/);
});

test('of resources in a file, and of a directory without a store, it says that there is none', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'gatewright-'));
  try {
    const config = path.join(directory, 'config.yaml');
    await writeFile(
      config,
      stringify({ deployment: { role: 'data_plane', role_data_plane: { config_provider: 'yaml' } } }),
    );
    for (const command of [['history'], ['rollback', '1']]) {
      const standalone = await runCommand([...command, '--config', config, '--data-dir', directory]);
      assert.equal(standalone.code, 1);
      assert.match(standalone.stderr, /resources come from .*apisix\.yaml, which the gateway only reads/);
      const empty = await runCommand([...command, '--data-dir', directory], { cwd: directory });
      assert.equal(empty.code, 1);
      assert.match(empty.stderr, /there is no store in /);
    }
    assert.deepEqual(await readdir(directory), ['config.yaml']);
  } finally {
    await rm(directory, { recursive: true });
  }
});

test('with a keyring no secret stands in plain text on the disk, and a rollback brings secrets back with a newer first key', async () => {
  const settings = (...keyring: string[]): Record<string, unknown> => ({
    apisix: { data_encryption: { enable_encrypt_fields: true, keyring } },
  });
  await using upstream = await startUpstream((_, response) => response.end('ok'));
  const keys = ['plain-key-number-one', 'plain-key-number-two', 'plain-key-number-three'];
  await using gateway = await startGateway({ settings: settings('fedcba9876543210') });
  for (const key of keys) await put(gateway, '/consumers', { username: 'jack', plugins: { 'key-auth': { key } } });
  await put(gateway, '/routes/1', {
    uri: '/',
    plugins: { 'key-auth': {} },
    upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } },
  });
  await gateway.stop();
  await using rotated = await startGateway({
    directory: gateway.directory,
    settings: settings('0123456789abcdef', 'fedcba9876543210'),
  });
  await done(rotated, 'rollback', '1', '--resource', 'consumers');
  assert.equal((await request(rotated, '/', { apikey: keys[0] ?? '' })).status, 200);
  assert.equal((await request(rotated, '/', { apikey: keys[2] ?? '' })).status, 401);
  await rotated.stop();
  // And once more with no gateway.
  await done(rotated, 'rollback', '2', '--resource', 'consumers');
  const dataDir = path.join(gateway.directory, 'data');
  for (const name of await readdir(dataDir)) {
    if (!name.startsWith('gatewright.db')) continue;
    const text = await readFile(path.join(dataDir, name), 'latin1');
    for (const key of keys) assert.ok(!text.includes(key), `${key} in ${name}`);
  }
  const store = encryptStore(
    await openStore({ kind: 'sqlite', dataDir }, hooks),
    ['0123456789abcdef'],
    createRegistry(undefined),
  );
  assert.match((await store.get('consumers/jack'))?.value ?? '', /plain-key-number-two/);
  await store.close();
  for (const { output } of [gateway, rotated]) for (const key of keys) assert.ok(!output().includes(key));
});

describe('kill -9 of a process that rolls back', () => {
  test('leaves every resource as it was before, or every one as it is after', async (t) => {
    const dataDir = await mkdtemp(path.join(tmpdir(), 'gatewright-rollback-'));
    t.after(() => rm(dataDir, { recursive: true }));
    const ids = Array.from({ length: 40 }, (_, i) => String(i));
    const store = await openStore({ kind: 'sqlite', dataDir }, hooks);
    for (const uri of ['/a', '/b']) {
      await store.commit(
        ids.map((id) => {
          const value = {
            id,
            uri,
            upstream: { type: 'roundrobin', nodes: { '127.0.0.1:1': 1 } },
            desc: uri.repeat(100),
          };
          return { type: 'put', key: `routes/${id}`, value: JSON.stringify(value) };
        }),
      );
    }
    await store.close();
    let acknowledged = 2;
    for (let round = 1; round <= 8; round++) {
      acknowledged = Math.max(acknowledged, await rollBackUntilKilled(dataDir, 1 + Math.floor(Math.random() * 12)));
      const left = await openStore({ kind: 'sqlite', dataDir }, hooks);
      try {
        const { revision, entries } = await left.list('routes/');
        assert.ok(revision >= acknowledged, `acknowledged ${String(acknowledged)}, stored ${String(revision)}`);
        assert.equal(entries.length, ids.length);
        const uris = new Set(entries.map(({ value }) => (JSON.parse(value) as { uri: string }).uri));
        assert.equal(uris.size, 1, `revision ${String(revision)} is torn`);
        const last = await left.history?.find({ revision, limit: 100 });
        assert.equal(last?.total, ids.length, 'what is stored is recorded');
      } finally {
        await left.close();
      }
    }
  });
});

/** Returns the last revision that was answered. */
async function rollBackUntilKilled(dataDir: string, lines: number): Promise<number> {
  const child = spawn(process.execPath, [path.join(import.meta.dirname, 'history-writer.fixture.ts'), dataDir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  let seen = 0;
  let last = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    last = Number(line);
    if (++seen === lines) child.kill('SIGKILL');
  }
  const [, signal] = (await exited) as [number | null, string | null];
  assert.equal(signal, 'SIGKILL');
  return last;
}

test('docs/history.md: every line of its examples does what it says', async () => {
  const page = await readFile(new URL('../../docs/history.md', import.meta.url), 'utf8');
  const blocks = [...page.matchAll(/<!-- example: \w+ -->\n```sh\n([^]+?)```/g)];
  const lines = blocks.flatMap(([, block = '']) => block.trimEnd().split('\n'));
  assert.equal(lines.length, 7);
  const keys = [{ name: 'ops', key: testAdminKey, role: 'admin' }];
  await using gateway = await startGateway({ settings: { deployment: { admin: { admin_key: keys } } } });
  for (const uri of ['/a', '/b', '/c'])
    await put(gateway, '/routes/1', { uri, upstream: { nodes: { '127.0.0.1:1': 1 } } });
  const shown: string[] = [];
  for (const line of lines) {
    const [program, ...args] = line.split(' ');
    assert.equal(program, 'gatewright');
    shown.push(await done(gateway, ...args));
  }
  assert.match(shown[0] ?? '', /\n3 .*\n2 .*\n1 /);
  assert.equal((JSON.parse(shown[2] ?? '') as { total: number }).total, 3);
  assert.match(
    shown[5] ?? '',
    /^routes\/1 {2}uri: "\/c" → "\/b"\n1 resource went back to revision 2, as revision 4\n$/,
  );
  assert.match(
    shown[6] ?? '',
    /^routes\/1 {2}uri: "\/b" → "\/c"\n1 resource went back to revision 3, as revision 5\n$/,
  );
});
