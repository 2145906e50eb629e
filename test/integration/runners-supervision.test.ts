/** Runners that the gateway starts: begun, watched, started again, replaced on a reload, ended with it. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import { type Gateway, startGateway } from '../gateway.ts';
import { request } from '../request.ts';
import { until } from '../until.ts';

const script = path.resolve('test/runners/script-runner.ts');
const command = (...modes: string[]): string[] => [process.execPath, script, ...modes];

interface Known {
  readonly pid: number;
  readonly child: number | undefined;
  readonly environment: Readonly<Record<string, string>>;
}

async function start(
  extPlugin: Record<string, unknown>,
  options: Parameters<typeof startGateway>[0] = {},
): Promise<Gateway> {
  const gateway = await startGateway({
    ...options,
    settings: { 'ext-plugin': extPlugin, nginx_config: { worker_processes: 2 }, ...options.settings },
  });
  await route(gateway, 'r', {});
  return gateway;
}

async function route(gateway: Gateway, id: string, config: Record<string, unknown>): Promise<Record<string, unknown>> {
  const { body } = await gateway.admin('PUT', `/routes/${id}`, {
    uri: `/${id}`,
    plugins: { 'ext-plugin-pre-req': { conf: [{ name: 'self', value: '{}' }], ...config } },
    upstream: { type: 'roundrobin', nodes: { '127.0.0.1:1': 1 } },
  });
  return body;
}

async function ask(gateway: Gateway, uri = '/r'): Promise<Known> {
  const { status, body } = await request(gateway, uri);
  assert.equal(status, 200, body);
  return JSON.parse(body) as Known;
}

function isAlive(pid: number | undefined): boolean {
  if (pid === undefined) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe('a runner that the gateway starts', { timeout: 120_000 }, () => {
  it('answers the first request: the gateway is ready when its runner is', async () => {
    await using gateway = await start({ cmd: command() });
    assert.ok(isAlive((await ask(gateway)).pid));
  });

  it('knows its socket, the time its configurations last, PATH and the like, and of the rest what envs names', async () => {
    await using gateway = await start(
      { cmd: command(), conf_expire_time: 120 },
      {
        env: { SECRET_OF_THE_GATEWAY: 'x', FOR_THE_RUNNER: 'y' },
        settings: { nginx_config: { envs: ['FOR_THE_RUNNER', 'GIVEN=z'], worker_processes: 1 } },
      },
    );
    const { environment } = await ask(gateway);
    assert.match(environment['APISIX_LISTEN_ADDRESS'] ?? '', /^unix:\/.*\.sock$/);
    assert.equal(environment['APISIX_CONF_EXPIRE_TIME'], '120');
    assert.equal(environment['FOR_THE_RUNNER'], 'y');
    assert.equal(environment['GIVEN'], 'z');
    assert.equal(environment['PATH'], process.env['PATH']);
    assert.equal(environment['SECRET_OF_THE_GATEWAY'], undefined);
  });

  it('listens where the gateway’s user alone can reach it', async () => {
    await using gateway = await start({ cmd: command() });
    const { environment } = await ask(gateway);
    const socket = (environment['APISIX_LISTEN_ADDRESS'] ?? '').slice('unix:'.length);
    assert.equal(statSync(path.dirname(socket)).mode & 0o777, 0o700);
    assert.equal(path.dirname(socket), path.join(gateway.directory, 'data', 'runners'));
  });

  it('listens in the directory for temporary files where the data directory’s path is too long for a socket', async () => {
    const parent = mkdtempSync(path.join(tmpdir(), 'long-'));
    const long = path.join(parent, 'd'.repeat(120));
    {
      await using gateway = await start({ cmd: command() }, { arguments: ['--data-dir', long] });
      const { environment } = await ask(gateway);
      const socket = (environment['APISIX_LISTEN_ADDRESS'] ?? '').slice('unix:'.length);
      assert.equal(statSync(path.dirname(socket)).mode & 0o777, 0o700);
      assert.ok(!socket.startsWith(long));
      await gateway.stop();
      assert.ok(!existsSync(path.dirname(socket)));
    }
    rmSync(parent, { recursive: true, force: true });
  });

  it('prints to the error log, line by line, with its name', async () => {
    await using gateway = await start({ cmd: command('print') });
    await until(() =>
      ['a line on stdout', 'and another', 'a line on stderr'].every((line) =>
        new RegExp(`runner.*runner=default.*${line}`).test(gateway.output()),
      ),
    );
  });

  it('ends with the gateway, with all that it started, and leaves no socket', async () => {
    const gateway = await start({ cmd: command('child') });
    const { pid, child } = await ask(gateway);
    assert.ok(isAlive(pid) && isAlive(child));
    const sockets = path.join(gateway.directory, 'data', 'runners');
    assert.equal(await gateway.stop(), 0);
    assert.ok(!isAlive(pid));
    await until(() => !isAlive(child));
    assert.deepEqual(readdirSync(sockets), []);
    await gateway[Symbol.asyncDispose]();
  });

  it('is killed where it does not heed SIGTERM', async () => {
    const gateway = await start({ cmd: command('ignore-term'), stop_timeout: '200ms' });
    const { pid } = await ask(gateway);
    assert.equal(await gateway.stop(), 0);
    assert.ok(!isAlive(pid));
    await gateway[Symbol.asyncDispose]();
  });

  it('that a killed gateway left behind is ended by the next one', { skip: process.platform !== 'linux' }, async () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'gatewright-'));
    const first = await start({ cmd: command() }, { directory });
    const { pid } = await ask(first);
    await first.stop('SIGKILL');
    assert.ok(isAlive(pid));
    {
      await using second = await start({ cmd: command() }, { directory });
      await until(() => !isAlive(pid));
      assert.notEqual((await ask(second)).pid, pid);
    }
    rmSync(directory, { recursive: true, force: true });
  });

  it('is started again when it dies; requests meanwhile are refused, not passed', async () => {
    await using gateway = await start({ cmd: command() });
    const { pid } = await ask(gateway);
    process.kill(pid, 'SIGKILL');
    const statuses = new Set<number>();
    await until(async () => {
      const { status, body } = await request(gateway, '/r');
      statuses.add(status);
      return status === 200 && (JSON.parse(body) as Known).pid !== pid;
    });
    statuses.delete(200);
    assert.ok(statuses.size === 0 || (statuses.size === 1 && statuses.has(503)), [...statuses].join());
  });

  it('is ended and started again where it hangs', async () => {
    await using gateway = await start({ cmd: command(), timeout: '300ms' });
    const { pid } = await ask(gateway);
    process.kill(pid, 'SIGSTOP');
    assert.equal((await request(gateway, '/r')).status, 503);
    await until(async () => (await request(gateway, '/r')).status === 200);
    assert.notEqual((await ask(gateway)).pid, pid);
    assert.match(gateway.output(), /the runner does not answer, ending it/);
  });

  it('that ends at once is tried again, ever less often, and the gateway serves what needs no runner', async () => {
    await using gateway = await start({ cmd: command('exit-at-once') });
    assert.equal((await request(gateway, '/r')).status, 503);
    assert.equal((await request(gateway, '/nothing')).status, 404);
    await until(() => (gateway.output().match(/the runner ended, starting it again/g) ?? []).length >= 3);
    const waits = [...gateway.output().matchAll(/after_ms=(\d+)/g)].map(([, ms]) => Number(ms));
    assert.deepEqual(waits.slice(0, 3), [100, 200, 400]);
  });

  it('that never listens does not keep the gateway from starting', async () => {
    await using gateway = await start({ cmd: command('never-listen'), start_timeout: '200ms' });
    assert.equal((await request(gateway, '/r')).status, 503);
    assert.match(gateway.output(), /does not listen yet/);
  });

  it('that is no program keeps the gateway from starting, and is named', async () => {
    await assert.rejects(start({ cmd: ['/no/such/runner'] }), /cannot start \/no\/such\/runner: ENOENT/);
  });

  it('is replaced on SIGHUP without a failed request, and its configuration is prepared anew', async () => {
    await using gateway = await start({ cmd: command() });
    const before = await ask(gateway);
    let stopped = false;
    const failed: string[] = [];
    const pids = new Set<number>();
    const load = Array.from({ length: 4 }, async () => {
      while (!stopped) {
        const { status, body } = await request(gateway, '/r');
        if (status === 200) pids.add((JSON.parse(body) as Known).pid);
        else failed.push(`${String(status)} ${body}`);
      }
    });
    let serving = before.pid;
    for (let reload = 1; reload <= 2; reload++) {
      const replaced = serving;
      gateway.process.kill('SIGHUP');
      await until(() => pids.size > reload && !isAlive(replaced));
      serving = [...pids].at(-1) ?? 0;
    }
    stopped = true;
    await Promise.all(load);
    assert.deepEqual(failed, []);
    assert.ok(isAlive((await ask(gateway)).pid));
  });
});

describe('several runners', { timeout: 60_000 }, () => {
  it('are told apart by the name that a plugin configuration gives', async () => {
    await using gateway = await start({
      cmd: command(),
      runners: { other: { cmd: command('child'), plugins: ['self'] } },
    });
    await route(gateway, 'o', { runner: 'other' });
    const [first, second] = [await ask(gateway, '/r'), await ask(gateway, '/o')];
    assert.notEqual(first.pid, second.pid);
    assert.equal(first.child, undefined);
    assert.notEqual(second.child, undefined);
    process.kill(second.pid, 'SIGKILL');
    await until(async () => (await request(gateway, '/o')).status === 200);
    assert.equal((await ask(gateway, '/r')).pid, first.pid);
  });

  it('that the settings do not know, or that lack a plugin by the settings, are refused when written', async () => {
    await using gateway = await start({ cmd: command(), plugins: ['self', 'more'] });
    const unknown = await route(gateway, 'u', { runner: 'nobody' });
    assert.match(String(unknown['error_msg']), /"runner".*no runner nobody, only default/);
    const lacking = await route(gateway, 'u', {
      conf: [
        { name: 'self', value: '' },
        { name: 'slef', value: '' },
      ],
    });
    assert.match(String(lacking['error_msg']), /"conf".*item 2: the runner default has no plugin slef/);
  });

  it('are refused at all where there is none', async () => {
    await using gateway = await startGateway();
    const { status, body } = await gateway.admin('PUT', '/routes/1', {
      uri: '/',
      plugins: { 'ext-plugin-pre-req': {} },
      upstream: { type: 'roundrobin', nodes: { '127.0.0.1:1': 1 } },
    });
    assert.equal(status, 400);
    assert.match(String(body['error_msg']), /there is no plugin runner: set ext-plugin.cmd/);
  });
});
