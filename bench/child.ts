/** Starting and ending the processes of a bench: pinned to a core, on free loopback ports, ended by their own pid. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** The measured server has a core for itself; load, upstream and this driver share the other one. */
export const SERVER_CORE = 0;
export const LOAD_CORE = 1;

const running = new Set<ChildProcess>();

export interface Child {
  readonly pid: number;
  ended(): boolean;
  /** The last of what it wrote to stderr. */
  stderr(): string;
  stop(): Promise<void>;
}

/** Starts a program on one core. `taskset` becomes the program, so the pid is the program's. */
export function startChild(
  core: number,
  command: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Child {
  const child = spawn('taskset', ['-c', String(core), command, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...env },
  });
  running.add(child);
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr = (stderr + chunk).slice(-4000)));
  child.once('exit', () => running.delete(child));
  if (child.pid === undefined) throw new Error(`cannot start ${command}`);
  const ended = (): boolean => child.exitCode !== null || child.signalCode !== null;
  return {
    pid: child.pid,
    ended,
    stderr: () => stderr,
    stop: async () => {
      if (ended()) return;
      const exit = once(child, 'exit');
      child.kill('SIGTERM');
      const killer = setTimeout(() => child.kill('SIGKILL'), 10_000);
      await exit;
      clearTimeout(killer);
    },
  };
}

/** Ends what still runs, on the way out. */
export function killChildren(): void {
  for (const child of running) child.kill('SIGTERM');
}

/** `count` different ports of 127.0.0.1 that are free now. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

/** Waits until `ready` says so, asking each `everyMs`; fails with the child's stderr after `timeoutMs`. */
export async function waitUntil(
  child: Child,
  ready: () => Promise<boolean>,
  timeoutMs = 60_000,
  everyMs = 10,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await ready())) {
    if (child.ended()) throw new Error(`it ended instead of getting ready\n${child.stderr()}`);
    if (performance.now() > deadline) throw new Error(`not ready after ${timeoutMs} ms\n${child.stderr()}`);
    await delay(everyMs);
  }
}

export async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

export async function temporaryFolder(): Promise<{ folder: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(path.join(tmpdir(), 'gatewright-bench-'));
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}
