/** Real Redis servers on free loopback ports, in memory only; `await using` ends them. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findCommand } from './requirements.ts';

export interface TestRedis extends AsyncDisposable {
  readonly ports: readonly number[];
  /** `redis-cli` against the first server; returns what it printed. */
  command(...words: string[]): string;
  /** All servers stop answering, and keep their sockets; `resume` lets them go on. */
  pause(): void;
  resume(): void;
  /** All servers end at once. */
  kill(): Promise<void>;
}

const startLimitMs = 20_000;

/** `port`: that one instead of a free one. */
export function startRedis({ port, options = [] }: { port?: number; options?: string[] } = {}): Promise<TestRedis> {
  return start(1, () => options, port);
}

/** Three masters that share the slots. */
export async function startRedisCluster(): Promise<TestRedis> {
  const redis = await start(3, (_, busPort) => [
    '--cluster-enabled',
    'yes',
    '--cluster-port',
    String(busPort),
    '--cluster-config-file',
    'nodes.conf',
  ]);
  try {
    cli('--cluster', 'create', ...redis.ports.map((port) => `127.0.0.1:${port}`), '--cluster-yes');
    await until(() => redis.ports.every((port) => cli('-p', String(port), 'cluster', 'info').includes('state:ok')));
  } catch (error) {
    await redis[Symbol.asyncDispose]();
    throw error;
  }
  return redis;
}

async function start(
  count: number,
  options: (port: number, busPort: number) => string[],
  port?: number,
): Promise<TestRedis> {
  const free = await freePorts(2 * count);
  const ports = port === undefined ? free.slice(0, count) : [port];
  const directory = await mkdtemp(join(tmpdir(), 'gatewright-redis-'));
  const servers: ChildProcess[] = [];
  const kill = async (): Promise<void> => {
    await Promise.all(
      servers.splice(0).map(async (server) => {
        if (server.exitCode !== null || server.signalCode !== null) return;
        server.kill('SIGKILL');
        await once(server, 'exit');
      }),
    );
  };
  const dispose = async (): Promise<void> => {
    await kill();
    await rm(directory, { recursive: true, force: true });
  };
  for (const [i, own] of ports.entries()) {
    const folder = join(directory, String(i));
    await mkdir(folder);
    const common = ['--port', String(own), '--bind', '127.0.0.1', '--save', '', '--dir', folder];
    servers.push(spawn(path('redis-server'), [...common, ...options(own, free[count + i] ?? 0)], { stdio: 'ignore' }));
  }
  try {
    for (const own of ports) await until(() => answers(own));
  } catch (error) {
    await dispose();
    throw error;
  }
  return {
    ports,
    command: (...words) => cli('-p', String(ports[0]), ...words),
    pause: () => {
      for (const server of servers) server.kill('SIGSTOP');
    },
    resume: () => {
      for (const server of servers) server.kill('SIGCONT');
    },
    kill,
    [Symbol.asyncDispose]: dispose,
  };
}

function path(command: string): string {
  const found = findCommand(command);
  if (found === undefined) throw new Error(`${command} is not installed`);
  return found;
}

function cli(...words: string[]): string {
  const { stdout, stderr, status } = spawnSync(path('redis-cli'), words, { encoding: 'utf8', timeout: startLimitMs });
  if (status !== 0) throw new Error(`redis-cli ${words.join(' ')}: ${stdout}${stderr}`);
  return stdout;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => {
      resolve(false);
    });
  });
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + startLimitMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('redis did not start');
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      return server;
    }),
  );
  return Promise.all(
    servers.map(async (server) => {
      const address = server.address();
      server.close();
      await once(server, 'close');
      return typeof address === 'object' && address !== null ? address.port : 0;
    }),
  );
}
