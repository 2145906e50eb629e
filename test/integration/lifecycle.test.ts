/** The life of a gateway process: start screen, refusals to start, signals, the command line. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { stringify } from 'yaml';
import { version } from '../../src/version.ts';
import { type CommandResult, runCommand } from '../command.ts';
import { freePorts, type Gateway, type Ports, startGateway, testSettings } from '../gateway.ts';
import { request } from '../request.ts';
import { until } from '../until.ts';
import { startUpstream } from '../upstream.ts';

/** Published with APISIX's first releases (CVE-2020-13945). */
const wellKnownKey = 'edd1c9f034335f136f87ad84b625c8f1';

const route = (node: string): object => ({ uri: '/*', upstream: { type: 'roundrobin', nodes: { [node]: 1 } } });

describe('the command line', () => {
  it('--version prints the version', async () => {
    const { code, stdout } = await runCommand(['--version']);
    assert.deepEqual([code, stdout], [0, `${version}\n`]);
  });

  it('an unknown command exits with 2 and shows the usage', async () => {
    const { code, stderr } = await runCommand(['serve']);
    assert.equal(code, 2);
    assert.match(stderr, /^gatewright: unknown command serve\n/);
    assert.match(stderr, /gatewright start {3}\[--config FILE\]/);
  });

  it('an unknown option exits with 2 and names it', async () => {
    const { code, stderr } = await runCommand(['start', '--confg', 'x']);
    assert.equal(code, 2);
    assert.match(stderr, /--confg/);
  });

  it('no command exits with 2, help with 0, both with the usage', async () => {
    const nothing = await runCommand([]);
    const help = await runCommand(['help']);
    assert.deepEqual([nothing.code, help.code], [2, 0]);
    assert.equal(nothing.stdout, help.stdout);
    assert.match(help.stdout, /gatewright check/);
  });
});

describe('settings that cannot be used', () => {
  let directory: string;
  let file: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'gatewright-'));
    file = join(directory, 'config.yaml');
  });
  after(() => rm(directory, { recursive: true }));

  it('check says ok and exits with 0 where they can', async () => {
    await writeFile(file, 'apisix:\n  node_listen: 9080\n');
    const { code, stdout } = await runCommand(['check', '--config', file]);
    assert.deepEqual([code, stdout], [0, `${file}: ok\n`]);
  });

  it('check and start exit with 1 and name file, line, key and reason', async () => {
    await writeFile(file, 'apisix:\n  node_listen:\n    - ip: 127.0.0.1\n      port: 99999\n');
    for (const command of ['check', 'start']) {
      const { code, stdout, stderr } = await runCommand([
        command,
        '--config',
        file,
        '--data-dir',
        join(directory, 'd'),
      ]);
      assert.equal(code, 1);
      assert.equal(stdout, '');
      assert.match(stderr, new RegExp(`^gatewright: ${file}:4: apisix\\.node_listen\\[0\\]\\.port: .+\\n$`));
    }
  });

  it('a file that is not YAML is told with its line', async () => {
    await writeFile(file, 'apisix:\n  node_listen: [1\n');
    const { code, stderr } = await runCommand(['check', '--config', file]);
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`^gatewright: ${file}:\\d+: `));
  });

  it('a file that does not exist is named', async () => {
    const { code, stderr } = await runCommand(['check', '--config', '/nowhere/config.yaml']);
    assert.deepEqual([code, stderr], [1, 'gatewright: /nowhere/config.yaml: cannot be read: ENOENT\n']);
  });

  it('an unknown setting is one warning with its line, and the start goes on', async () => {
    await writeFile(file, 'apisix:\n  node_listn: 9080\n');
    const { code, stderr } = await runCommand(['check', '--config', file]);
    assert.equal(code, 0);
    assert.match(stderr, /config\.yaml:2: apisix\.node_listn: unknown setting, ignored; did you mean node_listen\?/);
  });

  it('--resources without a standalone role is refused, not ignored', async () => {
    await writeFile(file, '');
    const { code, stderr } = await runCommand(['check', '--config', file, '--resources', 'apisix.yaml']);
    assert.equal(code, 1);
    assert.match(stderr, /--resources apisix\.yaml: the settings do not read resources from a file/);
  });
});

describe('the first start without an admin key in the settings', () => {
  let gateway: Gateway;
  let second: Gateway;
  let key: string;
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'gatewright-'));
    const settings = { deployment: { admin: { admin_key: null } } };
    gateway = await startGateway({ directory, settings });
    key = (await readFile(join(directory, 'data/admin.key'), 'utf8')).trim();
    await gateway.stop();
    second = await startGateway({ directory, settings });
  });
  after(async () => {
    await second[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  });

  it('shows on one screen where it listens, its settings, its data, and the key that it made', () => {
    const { data, tls, admin, control, status, metrics } = gateway.ports;
    const lines = gateway.output().trimEnd().split('\n');
    assert.deepEqual(lines.slice(0, 7), [
      `Gatewright ${version}, 2 workers, 0 routes`,
      `  requests   http://127.0.0.1:${data}  https://127.0.0.1:${tls}`,
      `  Admin API  http://127.0.0.1:${admin}/apisix/admin`,
      `  control    127.0.0.1:${control}    status 127.0.0.1:${status}    metrics 127.0.0.1:${metrics}`,
      `  settings   ${join(directory, 'config.yaml')}`,
      `  resources  ${join(directory, 'data')}`,
      `  admin key  ${key}    (made now, shown once; kept in ${join(directory, 'data')}/admin.key)`,
    ]);
    assert.ok(lines.length <= 24);
  });

  it('keeps the key in a file that only its owner may read', async () => {
    assert.match(key, /^[0-9a-f]{32}$/);
    assert.equal((await stat(join(directory, 'data/admin.key'))).mode & 0o777, 0o600);
    assert.equal((await stat(join(directory, 'data'))).mode & 0o777, 0o700);
  });

  it('shows the key never again', () => {
    assert.match(second.output(), /^Gatewright/);
    assert.doesNotMatch(second.output(), new RegExp(key));
  });

  it('accepts that key after a restart, and not the one that everybody knows (CVE-2020-13945)', async () => {
    const status = async (presented: string): Promise<number> => {
      const response = await fetch(`${second.adminUrl}/routes`, { headers: { 'X-API-KEY': presented } });
      await response.text();
      return response.status;
    };
    assert.deepEqual(await Promise.all([key, wellKnownKey, '', `${key}0`].map(status)), [200, 401, 401, 401]);
  });
});

describe('a start that cannot have what it needs', () => {
  let gateway: Gateway;
  let directory: string;
  before(async () => {
    gateway = await startGateway();
    directory = await mkdtemp(join(tmpdir(), 'gatewright-'));
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  });
  const tryStart = async (ports: Ports, dataDir = join(directory, 'data')): Promise<CommandResult> => {
    const file = join(directory, 'config.yaml');
    await writeFile(file, stringify(testSettings(ports)));
    return runCommand(['start', '--config', file, '--data-dir', dataDir]);
  };

  const settings: Readonly<Record<keyof Ports, string>> = {
    data: 'apisix.node_listen',
    tls: 'apisix.ssl.listen',
    admin: 'deployment.admin.admin_listen',
    control: 'apisix.control.port',
    status: 'apisix.status.port',
    metrics: 'plugin_attr.prometheus.export_addr.port',
  };
  for (const [name, setting] of Object.entries(settings) as [keyof Ports, string][]) {
    it(`names the ${name} port that another gateway holds, and the setting that asks for it`, async () => {
      const port = gateway.ports[name];
      const { code, stdout, stderr } = await tryStart({ ...(await freePorts()), [name]: port });
      assert.equal(code, 1);
      assert.equal(stdout, '');
      assert.equal(stderr, `gatewright: 127.0.0.1:${port} is already in use (setting ${setting})\n`);
    });
  }

  it('sees a listener of another program that shares its port (SO_REUSEPORT)', async () => {
    const server = createServer();
    const ports = await freePorts();
    await new Promise<void>((resolve) =>
      server.listen({ host: '127.0.0.1', port: ports.data, reusePort: true }, () => {
        resolve();
      }),
    );
    try {
      const { code, stderr } = await tryStart(ports);
      assert.deepEqual(
        [code, stderr],
        [1, `gatewright: 127.0.0.1:${ports.data} is already in use (setting apisix.node_listen)\n`],
      );
    } finally {
      server.close();
    }
  });

  it('refuses a data directory that another gateway uses', async () => {
    const { code, stderr } = await tryStart(await freePorts(), join(gateway.directory, 'data'));
    assert.equal(code, 1);
    assert.match(stderr, /gatewright\.db.* (?:in use|locked|another)/);
    await gateway.admin('PUT', '/routes/still-there', { uri: '/x', plugins: {} });
    assert.equal((await gateway.admin('GET', '/routes/still-there')).status, 200);
  });
});

describe('signals', () => {
  it('SIGTERM: what is in flight completes, new connections are refused, and the exit code is 0', async () => {
    let release: (() => void) | undefined;
    await using upstream = await startUpstream((_, response) => {
      response.write('first half, ');
      release = () => response.end('second half');
    });
    await using gateway = await startGateway();
    await gateway.admin('PUT', '/routes/1', route(upstream.node));
    const inFlight = request(gateway, '/slow');
    await until(() => release !== undefined);

    const exited = once(gateway.process, 'exit');
    gateway.process.kill('SIGTERM');
    await until(() => refuses(gateway.ports.data));
    assert.equal(gateway.process.exitCode, null);
    release?.();
    const response = await inFlight;
    assert.equal(response.body, 'first half, second half');
    assert.deepEqual(await exited, [0, null]);
  });

  it('SIGTERM: an idle keep-alive connection does not delay the exit', async () => {
    await using upstream = await startUpstream();
    await using gateway = await startGateway();
    await gateway.admin('PUT', '/routes/1', route(upstream.node));
    const idle = connect(gateway.ports.data, '127.0.0.1');
    const closed = new Promise((resolve) => idle.once('close', resolve));
    await new Promise((resolve) => {
      idle.once('data', resolve);
      idle.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    });
    const started = performance.now();
    assert.equal(await gateway.stop(), 0);
    assert.ok(performance.now() - started < 3000);
    await closed;
  });

  it('SIGTERM: what does not end is broken off after worker_shutdown_timeout', async () => {
    let reached = false;
    await using upstream = await startUpstream(() => {
      reached = true;
    });
    await using gateway = await startGateway({ settings: { nginx_config: { worker_shutdown_timeout: '300ms' } } });
    await gateway.admin('PUT', '/routes/1', route(upstream.node));
    const endless = request(gateway, '/endless').catch((error: unknown) => error);
    await until(() => reached);
    const started = performance.now();
    assert.equal(await gateway.stop(), 0);
    assert.ok(performance.now() - started < 5000);
    assert.ok((await endless) instanceof Error);
  });

  it('a second signal ends it at once', async () => {
    let reached = false;
    await using upstream = await startUpstream(() => {
      reached = true;
    });
    await using gateway = await startGateway();
    await gateway.admin('PUT', '/routes/1', route(upstream.node));
    const endless = request(gateway, '/endless').catch((error: unknown) => error);
    await until(() => reached);
    const exited = once(gateway.process, 'exit');
    gateway.process.kill('SIGTERM');
    await until(() => refuses(gateway.ports.data));
    gateway.process.kill('SIGTERM');
    assert.deepEqual(await exited, [143, null]);
    assert.ok((await endless) instanceof Error);
  });

  it('SIGINT ends it as SIGTERM does', async () => {
    await using gateway = await startGateway();
    assert.equal(await gateway.stop('SIGINT'), 0);
  });

  it('SIGHUP reopens the access log and reads the standalone file', async () => {
    await using upstream = await startUpstream();
    const resources = (uri: string): string =>
      `routes:\n  - id: 1\n    uri: ${uri}\n    upstream: {type: roundrobin, nodes: {"${upstream.node}": 1}}\n#END\n`;
    const directory = await mkdtemp(join(tmpdir(), 'gatewright-'));
    const log = join(directory, 'access.log');
    try {
      await using gateway = await startGateway({
        directory,
        settings: {
          deployment: { role: 'data_plane', role_data_plane: { config_provider: 'yaml' } },
          nginx_config: {
            http: { enable_access_log: true, access_log: log, access_log_buffer: 0, access_log_format: '$uri' },
          },
        },
        files: { 'apisix.yaml': resources('/a') },
      });
      assert.equal((await request(gateway, '/a')).status, 200);
      const lines = (file: string): Promise<string> => readFile(file, 'utf8').catch(() => '');
      await until(async () => (await lines(log)) === '/a\n');
      await rename(log, `${log}.1`);
      await writeFile(join(directory, 'apisix.yaml'), resources('/b'));
      gateway.process.kill('SIGHUP');
      await until(async () => (await request(gateway, '/b')).status === 200);
      await until(async () => (await lines(log)).endsWith('/b\n'));
      assert.doesNotMatch(await lines(`${log}.1`), /\/b\n\/b/);
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});

function refuses(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(false);
    });
    socket.once('error', () => {
      resolve(true);
    });
  });
}
