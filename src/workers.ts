/**
 * The control plane's side of the data-plane threads: starts them, gives every one the same configuration in the same order,
 * knows which revision each serves, replaces one that dies or is stuck, stops them.
 * Invariant: `publish(revision)` resolves only when no worker serves an older revision, and always resolves.
 */
import { Worker } from 'node:worker_threads';
import type { ExplainReport, ExplainRequest } from './explain/report.ts';
import type { FromWorker, ToWorker } from './messages.ts';
import type { MetricsSnapshot } from './observability/metrics.ts';
import type { Logger } from './observability/error-log.ts';
import type { PluginBundle } from './plugin-files/bundle.ts';
import type { HealthMessage } from './proxy/upstream/health/health-view.ts';
import { createCounterMemory, releaseWorker, type CounterMemory } from './plugin/counters/counters.ts';
import { createVerdictMemory, VerdictControl } from './plugin/verdict-cache/verdict-cache.ts';
import type { PassiveOutcome } from './proxy/upstream/health/health-monitor.ts';
import type { Settings } from './settings/settings.ts';
import { markedPlugin } from './snapshot/running-mark.ts';
import type { SnapshotChange, SnapshotError } from './snapshot/snapshot.ts';

export interface WorkersOptions {
  readonly settings: Settings;
  readonly log: Logger;
  readonly writeLog: (line: string) => void;
  /** Everything as of now, for a worker that starts, in pieces of one revision. */
  readonly load: () => AsyncIterable<{ revision: number; changes: SnapshotChange[] }>;
  /** Asks each worker this often whether it still answers; undefined: it shows at the next message. */
  readonly heartbeatMs?: number;
  /** Plugin files as of now, for a worker that starts. */
  readonly plugins?: () => readonly PluginBundle[];
  /** Names of the plugins that mark that they run, for the log. */
  readonly pluginNames?: () => Iterable<string>;
  readonly healthNow: () => readonly HealthMessage[];
  readonly onOutcome: (key: string, label: string, outcome: PassiveOutcome) => void;
  /** The value behind a reference to a secret that a plugin asks for; undefined: there is none. */
  readonly onSecret?: (reference: string) => Promise<string | undefined>;
  readonly onRejected: (errors: readonly SnapshotError[]) => void;
  /** A plugin runner did not answer a worker. */
  readonly onRunnerSilent?: (name: string) => void;
  /** What a thread runs; default: `worker.ts` beside this file. */
  readonly entry?: URL;
  /** A worker that owes an answer for this long is stuck, and is ended and replaced; default 10,000. */
  readonly answerTimeoutMs?: number;
}

interface Handle {
  readonly thread: Worker;
  readonly number: number;
  /** Where it marks which plugin's file runs. */
  readonly running: Int32Array;
  /** Revision it serves; -1 before the first configuration. */
  applied: number;
  listening: boolean;
  /** The piece of the first load that was sent last has been applied, or the worker is gone. */
  onPiece: (() => void) | undefined;
  /** Changes that came while it was being given everything; undefined once it is up to date, and may serve. */
  backlog: Extract<ToWorker, { type: 'changes' }>[] | undefined;
  /** Answers that are due, and the time-out of the next one. */
  owed: number;
  patience: NodeJS.Timeout | undefined;
}

/** Short-lived objects of a request die young anyway: a small nursery stays in the cache and keeps a worker lean. */
const youngGenerationMb = 12;
/** A worker that dies again at once is not started more often than this. */
const restartDelayMs = 200;
/** Applying 100,000 routes takes a second or two. */
const answerTimeoutMs = 10_000;
const defaultEntry = new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url);

export class Workers {
  readonly #options: WorkersOptions;
  readonly #counterMemory: CounterMemory;
  readonly #verdictMemory: SharedArrayBuffer;
  readonly #runnerPaths = new Map<string, string>();
  readonly verdicts: VerdictControl;
  readonly #handles = new Set<Handle>();
  readonly #heartbeat: NodeJS.Timeout | undefined;
  readonly #waiting = new Set<{ revision: number; resolve: () => void }>();
  readonly #replies = new Map<number, (message: FromWorker) => void>();
  #nextId = 1;
  #revision = 0;
  #stopping = false;
  #listenFailure: ((error: Error) => void) | undefined;

  constructor(options: WorkersOptions) {
    this.#options = options;
    this.#counterMemory = createCounterMemory(options.settings.workers);
    if (options.heartbeatMs !== undefined)
      this.#heartbeat = setInterval(() => {
        for (const handle of this.#handles) if (handle.owed === 0) this.#expect(handle, { type: 'ping' });
      }, options.heartbeatMs).unref();
    this.#verdictMemory = createVerdictMemory(options.settings.verdictBytes);
    this.verdicts = new VerdictControl(this.#verdictMemory);
  }

  /** Resolves when every worker listens; rejects with the reason of the first that cannot. */
  async start(): Promise<void> {
    const failure = new Promise<never>((_, reject) => {
      this.#listenFailure = reject;
    });
    const started = Array.from({ length: this.#options.settings.workers }, (_, number) => this.#spawn(number + 1));
    try {
      await Promise.race([Promise.all(started), failure]);
    } finally {
      this.#listenFailure = undefined;
    }
  }

  /** Undefined when every worker serves the current configuration; else why not. */
  notReady(): string | undefined {
    if (this.#stopping) return 'stopping';
    if (this.#handles.size < this.#options.settings.workers) return 'a worker is being replaced';
    for (const handle of this.#handles) {
      if (!handle.listening) return `worker ${handle.number} does not listen yet`;
      if (handle.applied < this.#revision)
        return `worker ${handle.number} serves revision ${handle.applied} of ${this.#revision}`;
    }
    return undefined;
  }

  get served(): { revision: number; workers: { number: number; revision: number }[] } {
    return {
      revision: this.#revision,
      workers: [...this.#handles].map(({ number, applied }) => ({ number, revision: applied })),
    };
  }

  /** Hands a change to all workers, in order. */
  send(revision: number, changes: readonly SnapshotChange[]): void {
    this.#revision = revision;
    for (const handle of this.#handles) {
      if (handle.backlog === undefined) this.#expect(handle, { type: 'changes', revision, changes });
      else handle.backlog.push({ type: 'changes', revision, changes });
    }
  }

  /** Resources as they are stored already, which reach the workers in another form now (a secret changed). */
  resend(changes: readonly SnapshotChange[]): void {
    for (const handle of this.#handles) {
      if (handle.backlog === undefined) this.#expect(handle, { type: 'changes', revision: -1, changes });
      else handle.backlog.push({ type: 'changes', revision: -1, changes });
    }
  }

  publish(revision: number): Promise<void> {
    if (this.#servedByAll(revision)) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting.add({ revision, resolve });
    });
  }

  health(message: HealthMessage): void {
    for (const handle of this.#handles) post(handle, { type: 'health', message });
  }

  async metrics(): Promise<MetricsSnapshot[]> {
    const replies = await Promise.all(
      [...this.#handles].map((handle) => this.#ask(handle, (id) => ({ type: 'metrics', id }))),
    );
    return replies.flatMap((reply) => (reply?.type === 'metrics' ? [reply.metrics] : []));
  }

  /** Resolves when every worker uses these versions of plugin files; what one of them cannot use is told as rejected. */
  async swapPlugins(bundles: readonly PluginBundle[], removed: readonly string[]): Promise<void> {
    await Promise.all([...this.#handles].map((handle) => this.#givePlugins(handle, bundles, removed)));
  }

  async #givePlugins(handle: Handle, bundles: readonly PluginBundle[], removed: readonly string[]): Promise<void> {
    const reply = await this.#ask(handle, (id) => ({ type: 'plugins', id, bundles, removed }));
    if (reply?.type === 'plugins-loaded' && reply.errors.length > 0) this.#options.onRejected(reply.errors);
  }

  async explain(request: ExplainRequest): Promise<ExplainReport> {
    const [handle] = this.#handles;
    if (handle === undefined) throw new Error('no worker is running');
    const reply = await this.#ask(handle, (id) => ({ type: 'explain', id, request }));
    if (reply?.type !== 'explained') throw new Error('the worker ended while explaining');
    return reply.report;
  }

  /** Tells the workers where a plugin runner listens; resolves when none of them has a call with its former process. */
  async moveRunner(name: string, path: string | undefined): Promise<void> {
    if (path === undefined) this.#runnerPaths.delete(name);
    else this.#runnerPaths.set(name, path);
    const told = [...this.#handles].map((handle) =>
      // A call may take longer than a worker may owe an answer.
      this.#ask(handle, (id) => ({ type: 'runner', id, name, path }), post),
    );
    await Promise.all(told);
  }

  reopenLogs(): void {
    for (const handle of this.#handles) post(handle, { type: 'reopen-logs' });
  }

  /** Resolves when all have finished what was in flight, or the time is over. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#heartbeat);
    const timeoutMs = this.#options.settings.shutdownTimeoutMs;
    await Promise.all(
      [...this.#handles].map(
        (handle) =>
          new Promise<void>((resolve) => {
            const deadline = setTimeout(() => void handle.thread.terminate(), timeoutMs + 1000);
            handle.thread.once('exit', () => {
              clearTimeout(deadline);
              resolve();
            });
            post(handle, { type: 'stop', timeoutMs });
          }),
      ),
    );
  }

  async #spawn(number: number): Promise<void> {
    const { settings, log } = this.#options;
    const running = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
    const thread = new Worker(this.#options.entry ?? defaultEntry, {
      workerData: {
        settings,
        number,
        running,
        counterMemory: this.#counterMemory,
        verdictMemory: this.#verdictMemory,
        runnerPaths: this.#runnerPaths,
      },
      resourceLimits: { maxYoungGenerationSizeMb: youngGenerationMb },
      name: `gatewright-${number}`,
    });
    const handle: Handle = {
      thread,
      number,
      running,
      applied: -1,
      listening: false,
      onPiece: undefined,
      backlog: [],
      owed: 0,
      patience: undefined,
    };
    this.#handles.add(handle);
    const listening = new Promise<void>((resolve) => {
      thread.on('message', (message: FromWorker) => {
        if (message.type === 'listening') {
          handle.listening = true;
          resolve();
        } else this.#onMessage(handle, message);
      });
      thread.once('exit', () => {
        resolve();
      });
    });
    thread.on('error', (error) => {
      log.error('worker failed', {
        worker: number,
        error: error instanceof Error ? (error.stack ?? error.message) : String(error),
      });
    });
    thread.once('exit', (code) => {
      this.#onExit(handle, code);
    });
    for (const message of this.#options.healthNow()) post(handle, { type: 'health', message });
    const plugins = this.#options.plugins?.() ?? [];
    if (plugins.length > 0) await this.#givePlugins(handle, plugins, []);
    let loaded = 0;
    for await (const { revision, changes } of this.#options.load()) {
      loaded = revision;
      // Until the last piece it serves nothing whole. One piece is under way at a time: neither side queues all of it.
      const taken = new Promise<void>((resolve) => {
        handle.onPiece = resolve;
      });
      this.#expect(handle, { type: 'changes', revision: changes.length === 0 ? revision : -1, changes });
      await taken;
      if (!this.#handles.has(handle)) return;
    }
    this.#revision = Math.max(this.#revision, loaded);
    // All of it: what the load holds already is applied twice, in order, before anything is served.
    for (const change of handle.backlog ?? []) this.#expect(handle, change);
    handle.backlog = undefined;
    post(handle, { type: 'listen' });
    await listening;
  }

  #onMessage(handle: Handle, message: FromWorker): void {
    switch (message.type) {
      case 'applied':
        this.#answered(handle);
        handle.applied = Math.max(handle.applied, message.revision);
        handle.onPiece?.();
        if (message.errors.length > 0) this.#options.onRejected(message.errors);
        this.#settle();
        break;
      case 'listen-failed':
        if (this.#listenFailure !== undefined) this.#listenFailure(new Error(message.message));
        else {
          this.#options.log.error('worker cannot listen', { worker: handle.number, reason: message.message });
          void handle.thread.terminate();
        }
        break;
      case 'outcome':
        this.#options.onOutcome(message.key, message.label, message.outcome);
        break;
      case 'secret':
        void (this.#options.onSecret?.(message.reference) ?? Promise.resolve(undefined)).then((value) => {
          post(handle, { type: 'secret', id: message.id, value });
        });
        break;
      case 'log':
        this.#options.writeLog(message.line);
        break;
      case 'pong':
        this.#answered(handle);
        break;
      case 'metrics':
      case 'explained':
      case 'plugins-loaded':
        this.#answered(handle);
        this.#replies.get(message.id)?.(message);
        break;
      case 'runner-silent':
        this.#options.onRunnerSilent?.(message.name);
        break;
      case 'runner-moved':
        this.#replies.get(message.id)?.(message);
        break;
      default:
    }
  }

  #onExit(handle: Handle, code: number): void {
    this.#handles.delete(handle);
    releaseWorker(this.#counterMemory, handle.number);
    this.verdicts.releaseWorker(handle.number);
    clearTimeout(handle.patience);
    handle.onPiece?.();
    this.#settle();
    if (this.#stopping) return;
    if (this.#listenFailure !== undefined) {
      this.#listenFailure(new Error(`worker ${handle.number} ended while it was started (code ${code})`));
      return;
    }
    this.#options.log.error('worker ended, starting another', { worker: handle.number, code });
    setTimeout(() => {
      if (!this.#stopping) this.#replace(handle.number);
    }, restartDelayMs).unref();
  }

  #replace(number: number): void {
    this.#spawn(number).catch((error: unknown) => {
      this.#options.log.error('worker could not be given the configuration', { worker: number, error: String(error) });
      // Its end starts the next one.
      for (const handle of this.#handles) if (handle.number === number) void handle.thread.terminate();
    });
  }

  /** A worker that is still being given everything serves nothing yet. */
  #servedByAll(revision: number): boolean {
    for (const handle of this.#handles) if (handle.backlog === undefined && handle.applied < revision) return false;
    return true;
  }

  /** Sends what the worker must answer. */
  #expect(handle: Handle, message: ToWorker): void {
    handle.owed++;
    if (handle.patience === undefined) this.#awaitAnswer(handle);
    post(handle, message);
  }

  #answered(handle: Handle): void {
    handle.owed--;
    clearTimeout(handle.patience);
    handle.patience = undefined;
    if (handle.owed > 0) this.#awaitAnswer(handle);
  }

  /** A worker that is stuck can neither serve nor be told anything: its connections are lost already. */
  #awaitAnswer(handle: Handle): void {
    handle.patience = setTimeout(() => {
      const plugin = markedPlugin(handle.running, this.#options.pluginNames?.() ?? []);
      this.#options.log.error('worker does not answer, ending it', { worker: handle.number, plugin });
      void handle.thread.terminate();
    }, this.#options.answerTimeoutMs ?? answerTimeoutMs);
    handle.patience.unref();
  }

  #settle(): void {
    for (const waiter of this.#waiting) {
      if (!this.#servedByAll(waiter.revision)) continue;
      this.#waiting.delete(waiter);
      waiter.resolve();
    }
  }

  #ask(
    handle: Handle,
    message: (id: number) => ToWorker,
    sendTo = (to: Handle, what: ToWorker): void => {
      this.#expect(to, what);
    },
  ): Promise<FromWorker | undefined> {
    const id = this.#nextId++;
    return new Promise((resolve) => {
      const done = (reply: FromWorker | undefined): void => {
        this.#replies.delete(id);
        handle.thread.off('exit', onExit);
        resolve(reply);
      };
      const onExit = (): void => {
        done(undefined);
      };
      this.#replies.set(id, done);
      handle.thread.once('exit', onExit);
      sendTo(handle, message(id));
    });
  }
}

function post(handle: Handle, message: ToWorker): void {
  handle.thread.postMessage(message);
}
