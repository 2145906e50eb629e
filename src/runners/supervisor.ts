/**
 * The runners that the gateway starts: keeps each running, on a socket of its own for each process, and tells the workers where.
 *
 *   starting ──► running ──► ended ──(backoff)──► starting          reload: a new process takes over, then the old one stops
 *
 * Runs in the control plane. Invariant: of one runner the workers know one process, and none that does not accept connections.
 */
import type { Logger } from '../observability/error-log.ts';
import { RunnerError } from '../plugin/runners/runners.ts';
import type { RunnerSettings, RunnersSettings } from '../settings/settings.ts';
import { createConf, RunnerClient } from './client.ts';
import { RunnerProcess } from './process.ts';
import { unknownPlugin } from './skipping.ts';
import type { SocketDirectory } from './socket-directory.ts';

export interface SupervisorOptions {
  readonly settings: RunnersSettings;
  readonly sockets: SocketDirectory;
  /** What a runner gets beside the two variables of the protocol. */
  readonly environment: Readonly<Record<string, string>>;
  readonly log: Logger;
  /** What a runner prints; it is in the log already. */
  readonly onLine: (name: string, line: string) => void;
  /** The workers are to use that socket; resolves when none has a call with the former process. */
  readonly onMove: (name: string, socket: string | undefined) => Promise<void>;
}

const firstBackoffMs = 100;
const longestBackoffMs = 10_000;
/** A process that ran for so long had begun well. */
const steadyMs = 30_000;
/** Failures come in crowds: one look at the runner is enough. */
const probeIntervalMs = 1000;

export class RunnerSupervisor {
  readonly #runners: readonly Supervised[];

  constructor(options: SupervisorOptions) {
    this.#runners = options.settings.runners.flatMap((runner) =>
      runner.command === undefined ? [] : [new Supervised(runner, runner.command, options)],
    );
  }

  /** Resolves when each accepts connections, or its time is up. Rejects where one cannot be started at all. */
  async start(): Promise<void> {
    await Promise.all(this.#runners.map((runner) => runner.start()));
  }

  /** Each goes on in a process that is started after this call, without a gap. */
  async reload(): Promise<void> {
    await Promise.all(this.#runners.map((runner) => runner.reload()));
  }

  /** A worker got no verdict from it: one that does not answer any more is ended, and so started anew. */
  suspect(name: string): void {
    for (const runner of this.#runners) if (runner.name === name) void runner.probe();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#runners.map((runner) => runner.stop()));
  }
}

class Supervised {
  readonly name: string;
  readonly #command: readonly string[];
  readonly #options: SupervisorOptions;
  #process: RunnerProcess | undefined;
  #backoffMs = firstBackoffMs;
  #restart: NodeJS.Timeout | undefined;
  #stopping = false;
  /** Starts and reloads, one after another. */
  #turn: Promise<void> = Promise.resolve();
  /** The reload that has not begun yet. */
  #due: Promise<void> | undefined;
  /** Started to take over, and not ready yet. */
  #next: RunnerProcess | undefined;
  #probed = -Infinity;

  constructor(runner: RunnerSettings, command: readonly string[], options: SupervisorOptions) {
    this.name = runner.name;
    this.#command = command;
    this.#options = options;
  }

  start(): Promise<void> {
    return this.#inTurn(() => this.#start());
  }

  async #start(): Promise<void> {
    const { settings, log } = this.#options;
    // A reload that was under way when the former one ended has brought another.
    if (this.#stopping || this.#process !== undefined) return;
    const started = await this.#spawn();
    this.#process = started;
    void this.#watch(started);
    if (this.#isStopping()) return;
    if (await started.ready(settings.startTimeoutMs)) await this.#use(started);
    else if (started.running) {
      log.error('a runner was started and does not listen yet; its requests are refused', { runner: this.name });
      void started.ready(Infinity).then(async (ready) => {
        if (ready && started === this.#process) await this.#use(started);
      });
    }
  }

  /** Those who ask before a reload has begun share it; who asks later has one of their own after it. */
  reload(): Promise<void> {
    this.#due ??= this.#inTurn(() => {
      this.#due = undefined;
      return this.#replace();
    });
    return this.#due;
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => undefined);
    return done;
  }

  async #replace(): Promise<void> {
    const { settings, log } = this.#options;
    const former = this.#process;
    // Ended, and due to be started anew.
    if (this.#stopping || former === undefined) return;
    let next;
    try {
      next = this.#next = await this.#spawn();
    } catch (error) {
      log.error('the runner goes on as it is: it cannot be started anew', { runner: this.name, error: String(error) });
      return;
    }
    const ready = !this.#isStopping() && (await next.ready(settings.startTimeoutMs));
    this.#next = undefined;
    if (!ready || this.#isStopping()) {
      if (!this.#isStopping())
        log.error('the runner goes on as it is: the new one does not listen', { runner: this.name });
      await this.#end(next);
      return;
    }
    this.#process = next;
    this.#backoffMs = firstBackoffMs;
    void this.#watch(next);
    const moved = this.#use(next);
    const timer = new Promise((resolve) => setTimeout(resolve, settings.timeoutMs).unref());
    await Promise.race([moved, timer]);
    await this.#end(former);
  }

  async probe(): Promise<void> {
    const suspect = this.#process;
    if (suspect === undefined || performance.now() - this.#probed < probeIntervalMs) return;
    this.#probed = performance.now();
    const client = new RunnerClient(this.name, suspect.socket, this.#options.settings);
    try {
      // Any runner answers this, with a token or a refusal.
      await client.prepare(createConf([]));
    } catch (error) {
      if (error instanceof RunnerError && error.failure === 'runner_refused') return;
      if (suspect === this.#process && suspect.running) {
        this.#options.log.error('the runner does not answer, ending it', { runner: this.name, error: String(error) });
        suspect.kill();
      }
    } finally {
      client.close();
    }
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#restart);
    // Nobody waits any more until they are ready.
    const running = [this.#process, this.#next].filter((one) => one !== undefined);
    await Promise.all(running.map((one) => this.#end(one)));
    await this.#turn;
    if (this.#process !== undefined) await this.#end(this.#process);
  }

  #isStopping(): boolean {
    return this.#stopping;
  }

  #spawn(): Promise<RunnerProcess> {
    const { settings, sockets, environment, log } = this.#options;
    const socket = sockets.next(this.name);
    return RunnerProcess.start({
      command: this.#command,
      socket,
      environment: {
        ...environment,
        APISIX_LISTEN_ADDRESS: `unix:${socket}`,
        APISIX_CONF_EXPIRE_TIME: String(Math.max(1, Math.round(settings.confExpireMs / 1000))),
      },
      onLine: (line) => {
        // Our own question (ask.ts) is no news.
        if (!line.includes(unknownPlugin)) log.warn('runner', { runner: this.name, line });
        this.#options.onLine(this.name, line);
      },
    }).then((started) => {
      sockets.note(socket, started.pid);
      return started;
    });
  }

  async #use(started: RunnerProcess): Promise<void> {
    this.#options.log.info('runner started', { runner: this.name, pid: started.pid });
    await this.#options.onMove(this.name, started.socket);
  }

  /** When it ends by itself, another is started. */
  async #watch(started: RunnerProcess): Promise<void> {
    const began = performance.now();
    const how = await started.exited;
    this.#options.sockets.forget(started.socket);
    if (this.#stopping || started !== this.#process) return;
    this.#process = undefined;
    if (performance.now() - began > steadyMs) this.#backoffMs = firstBackoffMs;
    this.#options.log.error('the runner ended, starting it again', {
      runner: this.name,
      with: how,
      after_ms: this.#backoffMs,
    });
    void this.#options.onMove(this.name, undefined);
    this.#again();
  }

  #again(): void {
    this.#restart = setTimeout(() => {
      this.start().catch((error: unknown) => {
        this.#options.log.error('the runner cannot be started', { runner: this.name, error: String(error) });
        if (!this.#stopping) this.#again();
      });
    }, this.#backoffMs);
    this.#backoffMs = Math.min(2 * this.#backoffMs, longestBackoffMs);
  }

  async #end(ended: RunnerProcess): Promise<void> {
    await ended.stop(this.#options.settings.stopTimeoutMs);
    this.#options.sockets.forget(ended.socket);
  }
}
