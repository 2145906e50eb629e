/**
 * One runner process: started in a process group of its own, told where to listen, its output read line by line, ended with all
 * that it started. Runs in the control plane.
 * Invariant: it does not outlive the gateway: `stop` ends the group, and so does the end of the gateway's process.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { rmSync } from 'node:fs';
import { connect } from 'node:net';
import type { Readable } from 'node:stream';

export interface ProcessOptions {
  readonly command: readonly string[];
  /** Path of the socket that it shall listen on. */
  readonly socket: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly onLine: (line: string) => void;
}

/** Longer lines are cut: the log is no place for a dump. */
const maxLineLength = 4096;
const readyIntervalMs = 25;

export class RunnerProcess {
  readonly socket: string;
  /** What it ended with: a signal's name or an exit code. */
  readonly exited: Promise<string>;
  #running = true;
  readonly #child: ChildProcess;
  readonly #atExit: () => void;

  private constructor(child: ChildProcess, options: ProcessOptions) {
    this.#child = child;
    this.socket = options.socket;
    if (child.stdout !== null) readLines(child.stdout, options.onLine);
    if (child.stderr !== null) readLines(child.stderr, options.onLine);
    this.#atExit = () => {
      this.#kill('SIGKILL');
    };
    process.once('exit', this.#atExit);
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.#running = false;
        process.off('exit', this.#atExit);
        // What it started and left behind goes too.
        this.#kill('SIGKILL');
        rmSync(this.socket, { force: true });
        resolve(signal ?? `exit code ${String(code)}`);
      });
    });
  }

  /** Rejects where the program cannot be started. */
  static start(options: ProcessOptions): Promise<RunnerProcess> {
    const [program = '', ...args] = options.command;
    return new Promise((resolve, reject) => {
      const child = spawn(program, args, {
        detached: true,
        stdio: ['ignore', 'pipe', 'pipe'],
        env: options.environment,
      });
      child.once('error', (error: NodeJS.ErrnoException) => {
        reject(new Error(`cannot start ${program}: ${error.code ?? error.message}`, { cause: error }));
      });
      child.once('spawn', () => {
        resolve(new RunnerProcess(child, options));
      });
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get running(): boolean {
    return this.#running;
  }

  /** True once it accepts connections; false when it has ended, or `limitMs` are over. */
  async ready(limitMs: number): Promise<boolean> {
    const end = performance.now() + limitMs;
    while (this.#running) {
      if (await accepts(this.socket)) return true;
      if (performance.now() > end) return false;
      await new Promise((resolve) => setTimeout(resolve, readyIntervalMs));
    }
    return false;
  }

  /** SIGTERM, and SIGKILL after `graceMs`; resolves when it is gone. */
  async stop(graceMs: number): Promise<void> {
    if (!this.#running) return;
    this.#kill('SIGTERM');
    const timer = setTimeout(() => {
      this.#kill('SIGKILL');
    }, graceMs);
    await this.exited;
    clearTimeout(timer);
  }

  kill(): void {
    this.#kill('SIGKILL');
  }

  #kill(signal: NodeJS.Signals): void {
    try {
      process.kill(-this.pid, signal);
    } catch {
      // The group is gone.
    }
  }
}

function accepts(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = connect({ path: socket });
    const settle = (answer: boolean) => () => {
      connection.destroy();
      resolve(answer);
    };
    connection.once('connect', settle(true));
    connection.once('error', settle(false));
  });
}

function readLines(stream: Readable, onLine: (line: string) => void): void {
  let held = '';
  stream.setEncoding('utf8');
  stream.on('data', (piece: string) => {
    held += piece;
    let newline;
    while ((newline = held.indexOf('\n')) >= 0) {
      const line = held.slice(0, newline).trimEnd();
      held = held.slice(newline + 1);
      if (line !== '') onLine(line.slice(0, maxLineLength));
    }
    if (held.length > maxLineLength) {
      onLine(held.slice(0, maxLineLength));
      held = '';
    }
  });
  stream.on('end', () => {
    if (held.trim() !== '') onLine(held.trimEnd());
  });
  // The other end is a process that may be killed at any time.
  stream.on('error', () => undefined);
}
