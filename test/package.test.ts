/**
 * The published package: packed, installed into an empty folder from the tarball, and run there. Dependencies come from
 * the npm registry (or npm's cache).
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

const root = path.resolve(import.meta.dirname, '..');
let folder = '';

/** npm by itself, not as a part of the npm that runs the tests; the Node that runs the tests comes first in PATH. */
const environment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^npm_|^NODE_TEST_CONTEXT$|^INIT_CWD$/.test(name)),
);
environment['PATH'] = `${path.dirname(process.execPath)}${path.delimiter}${process.env['PATH'] ?? ''}`;

function run(command: string, args: readonly string[], cwd = folder) {
  return spawnSync(command, args, { cwd, env: environment, encoding: 'utf8', timeout: 100_000 });
}

/** A Node on this machine that is older than the package supports. */
function oldNode(): string | undefined {
  const candidates = (process.env['PATH'] ?? '').split(path.delimiter).map((directory) => path.join(directory, 'node'));
  return candidates.find((candidate) => {
    const { status, stdout } = spawnSync(candidate, ['--version'], { encoding: 'utf8' });
    return status === 0 && Number.parseInt(stdout.slice(1), 10) < 24;
  });
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

describe('the npm package', () => {
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'gatewright-package-'));
    const packed = run('npm', ['pack', '--silent', '--pack-destination', folder], root);
    assert.equal(packed.status, 0, packed.stdout + packed.stderr);
    const tarball = packed.stdout.trim().split('\n').at(-1) ?? '';
    await writeFile(path.join(folder, 'package.json'), '{ "private": true, "type": "module" }');
    const installed = run('npm', [
      'install',
      '--prefer-offline',
      '--no-audit',
      '--no-fund',
      path.join(folder, tarball),
    ]);
    assert.equal(installed.status, 0, installed.stdout + installed.stderr);
  });

  after(() => rm(folder, { recursive: true, force: true }));

  test('npx gatewright --version says the version of the package', async () => {
    const { version } = JSON.parse(await readFile(path.join(root, 'package.json'), 'utf8')) as { version: string };
    const told = run('npx', ['gatewright', '--version']);
    assert.equal(told.stdout.trim(), version, told.stderr);
    assert.equal(told.status, 0);
  });

  test('npx gatewright start serves, and SIGTERM ends it with exit code 0', async () => {
    const [port, adminPort, controlPort, statusPort, metricsPort] = await freePorts(5);
    const loopback = (at: number | undefined) => ({ ip: '127.0.0.1', port: at });
    const settings = {
      apisix: {
        node_listen: [loopback(port)],
        ssl: { enable: false },
        control: loopback(controlPort),
        status: loopback(statusPort),
      },
      nginx_config: { worker_processes: 1, http: { enable_access_log: false } },
      deployment: { admin: { admin_listen: loopback(adminPort) } },
      plugin_attr: { prometheus: { export_addr: loopback(metricsPort) } },
    };
    await writeFile(path.join(folder, 'config.yaml'), JSON.stringify(settings));
    const program = path.join(folder, 'node_modules/.bin/gatewright');
    const gateway = spawn(program, ['start', '--config', 'config.yaml', '--data-dir', 'data'], {
      cwd: folder,
      env: environment,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let log = '';
    gateway.stderr.setEncoding('utf8').on('data', (chunk: string) => (log += chunk));
    const ended = once(gateway, 'exit');
    try {
      const ready = `http://127.0.0.1:${statusPort}/status/ready`;
      while (
        !(await fetch(ready).then(
          (answer) => answer.ok,
          () => false,
        ))
      ) {
        assert.equal(gateway.exitCode, null, log);
        await delay(20);
      }
      const answer = await fetch(`http://127.0.0.1:${port}/nowhere`);
      assert.equal(answer.status, 404);
      assert.deepEqual(await answer.json(), { error_msg: '404 Route Not Found' });
    } finally {
      gateway.kill('SIGTERM');
    }
    assert.deepEqual(await ended, [0, null], log);
  });

  test('gatewright/plugin is what a plugin imports', () => {
    const code = `import('gatewright/plugin').then((plugin) => console.log(typeof plugin))`;
    const told = run(process.execPath, ['-e', code]);
    assert.equal(told.stdout.trim(), 'object', told.stderr);
  });

  test('npx gatewright plugin new hello writes a plugin whose test passes with npx gatewright plugin test', async () => {
    const written = run('npx', ['gatewright', 'plugin', 'new', 'hello']);
    assert.equal(written.status, 0, written.stderr);
    assert.match(await readFile(path.join(folder, 'plugins/hello.ts'), 'utf8'), /from 'gatewright\/plugin'/);
    const tested = run('npx', ['gatewright', 'plugin', 'test']);
    assert.equal(tested.status, 0, tested.stdout + tested.stderr);
    assert.match(tested.stdout, /^ℹ pass 2$/m);
    // The package's own exports lead there too.
    const alone = run(process.execPath, ['--test', 'plugins/hello.test.ts']);
    assert.equal(alone.status, 0, alone.stdout + alone.stderr);
  });

  test('what it writes passes the strict TypeScript compiler, by the types that come with the package', () => {
    const modules = path.join(root, 'node_modules');
    const options = [
      '--noEmit',
      '--strict',
      '--noUncheckedIndexedAccess',
      '--allowImportingTsExtensions',
      '--skipLibCheck',
    ];
    const target = ['--target', 'es2024', '--lib', 'es2024,esnext.disposable', '--module', 'nodenext'];
    const types = ['--typeRoots', path.join(modules, '@types'), '--types', 'node'];
    const checked = run(process.execPath, [
      path.join(modules, 'typescript/bin/tsc'),
      ...options,
      ...target,
      ...types,
      'plugins/hello.ts',
      'plugins/hello.test.ts',
    ]);
    assert.equal(checked.status, 0, checked.stdout + checked.stderr);
  });

  test('types come with it', async () => {
    const manifest = JSON.parse(await readFile(path.join(folder, 'node_modules/gatewright/package.json'), 'utf8')) as {
      exports: { './plugin': { types: string } };
    };
    const types = path.join(folder, 'node_modules/gatewright', manifest.exports['./plugin'].types);
    assert.match(await readFile(types, 'utf8'), /export/);
  });

  const old = oldNode();
  test(
    'on a Node that is too old, says in one line which it needs and exits 1',
    { skip: old === undefined ? 'no Node older than 24 on this machine' : false },
    () => {
      const told = run(old ?? '', ['node_modules/gatewright/dist/bin/gatewright.js', 'start']);
      assert.equal(told.status, 1);
      assert.match(told.stderr, /^gatewright needs Node\.js 24 or newer.*\n$/);
      assert.equal(told.stdout, '');
    },
  );
});
