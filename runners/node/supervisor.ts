/**
 * The first process: binds the socket, starts the others and starts them again, hands connections to them in turn, remembers every
 * configuration's token. No plugin runs in it.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { chmodSync, lstatSync, renameSync, statSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import * as log from './log.ts';
import { PluginFolder } from './plugin-folder.ts';
import type { ToProcess, ToSupervisor } from './said.ts';
import { Tokens } from './tokens.ts';

export interface RunnerOptions {
  readonly path: string;
  readonly socketMode: number;
  readonly folder: string;
  readonly processes: number;
  readonly timeoutMs: number;
  readonly expireMs: number;
}

/** A process that ends sooner is started again after a pause. */
const stableMs = 10_000;
const maxPauseMs = 8000;
/** A runner before this one may be on its way out. */
const staleWaitMs = 3000;
const stopMs = 1500;

interface Process {
  readonly slot: number;
  readonly child: ChildProcess;
  readonly started: number;
  ready: boolean;
  /** Handed over, not taken yet: should the process end, another gets them. */
  readonly offered: Map<number, Socket>;
}

/** Serves until SIGTERM or SIGINT. Rejects where it cannot begin. */
export async function supervise(options: RunnerOptions, entry: string): Promise<void> {
  const stop = stopSignal();
  const tokens = new Tokens(options.expireMs);
  const running = new Set<Process>();
  const failures = Array.from({ length: options.processes }, () => 0);
  /** Connections that came while no process was ready. */
  const waiting: Socket[] = [];
  let turn = 0;
  let offers = 0;
  let stopping = false;
  const folder = new PluginFolder(options.folder, (bundles) => {
    for (const { child } of running) tell(child, { type: 'plugins', bundles });
  });
  await folder.open();

  const handOver = (socket: Socket): void => {
    const ready = [...running].filter((each) => each.ready);
    const chosen = ready[turn++ % Math.max(1, ready.length)];
    if (chosen === undefined) waiting.push(socket);
    else {
      chosen.offered.set(++offers, socket);
      tell(chosen.child, { type: 'connection', number: offers }, socket);
    }
  };
  const start = (slot: number): void => {
    const child = fork(entry, process.argv.slice(2), {
      serialization: 'advanced',
      env: { ...process.env, GATEWRIGHT_RUNNER_PROCESS: '1' },
    });
    const one: Process = { slot, child, started: Date.now(), ready: false, offered: new Map() };
    running.add(one);
    tell(child, { type: 'plugins', bundles: folder.bundles() });
    child.on('message', (said: ToSupervisor) => {
      if (said.type === 'loaded') {
        one.ready = true;
        for (const socket of waiting.splice(0)) handOver(socket);
      } else if (said.type === 'taken') {
        one.offered.get(said.number)?.destroy();
        one.offered.delete(said.number);
      } else {
        const found = said.type === 'register' ? tokens.register(said.message) : tokens.find(said.token);
        tell(child, { type: 'token', question: said.question, found });
      }
    });
    child.on('error', (error) => log.failure('a process does not start', error));
    child.on('exit', (code, signal) => {
      running.delete(one);
      if (stopping) return;
      for (const socket of one.offered.values()) handOver(socket);
      const count = Date.now() - one.started > stableMs ? 0 : (failures[slot] ?? 0) + 1;
      failures[slot] = count;
      const pause = count <= 1 ? 0 : Math.min(maxPauseMs, 1000 * 2 ** (count - 2));
      log.line(
        'error',
        `process ${child.pid} ended ${signal === null ? `with ${code}` : `by ${signal}`}, another starts`,
      );
      setTimeout(() => {
        if (!stopping) start(slot);
      }, pause);
    });
  };
  const server = await listen(options, handOver);
  for (let slot = 0; slot < options.processes; slot++) start(slot);
  log.line(
    'info',
    `listening on unix:${options.path}, plugins from ${options.folder}, ${options.processes} process(es)`,
  );

  await stop;
  stopping = true;
  folder.close();
  server.close();
  remove(options.path, server);
  for (const socket of waiting) socket.destroy();
  const ended = Promise.all([...running].map(({ child }) => new Promise((resolve) => child.once('exit', resolve))));
  for (const { child } of running) child.kill('SIGTERM');
  await Promise.race([ended, delay(stopMs)]);
  for (const { child } of running) child.kill('SIGKILL');
}

function tell(child: ChildProcess, said: ToProcess, socket?: Socket): void {
  // It may be ending: its exit is heard of elsewhere.
  if (child.connected) child.send(said, socket, { keepOpen: true }, () => undefined);
}

function stopSignal(): Promise<unknown> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, resolve);
  });
}

const identities = new WeakMap<Server, number>();

/** Bound beside its place and renamed: there is no moment with another mode, or without a socket. */
async function listen({ path, socketMode }: RunnerOptions, onConnection: (socket: Socket) => void): Promise<Server> {
  await checkStale(path);
  const server = createServer({ pauseOnConnect: true }, onConnection);
  const beside = `${path}.${process.pid}`;
  const mask = process.umask(0o177);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ path: beside, backlog: 1024 }, resolve);
    });
  } finally {
    process.umask(mask);
  }
  chmodSync(beside, socketMode);
  renameSync(beside, path);
  identities.set(server, statSync(path).ino);
  return server;
}

function remove(path: string, server: Server): void {
  try {
    // Not that of a runner that came after this one.
    if (statSync(path).ino === identities.get(server)) unlinkSync(path);
  } catch {
    // It is gone.
  }
}

async function checkStale(path: string): Promise<void> {
  try {
    if (!lstatSync(path).isSocket()) throw new Error(`${path} is not a socket`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  const until = Date.now() + staleWaitMs;
  while (await isServed(path)) {
    if (Date.now() > until) throw new Error(`${path} is served by another process`);
    await delay(100);
  }
}

function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
