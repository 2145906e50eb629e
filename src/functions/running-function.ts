/**
 * One thread with one function in it: calls under way, limits, and its end. Invariant: every call settles, whatever the function does:
 * it answers, throws, runs for ever, takes all memory or ends its thread.
 */
import { Worker } from 'node:worker_threads';
import { FunctionError, type FunctionErrorCode } from '../plugin/functions.ts';
import type { FromFunction, FunctionThreadData, ToFunction } from './messages.ts';

export interface RunningFunctionOptions {
  readonly data: FunctionThreadData;
  readonly memoryBytes: number;
  /** How long it may keep its thread from answering. */
  readonly stallMs: number;
  readonly env: Readonly<Record<string, string>>;
  /** It was loaded, and may be called. */
  readonly onReady: () => void;
  /** It ended, and why; undefined: it was told to. */
  readonly onEnd: (error: FunctionError | undefined) => void;
  readonly onOutput: (stream: 'stdout' | 'stderr', text: string) => void;
}

interface Call {
  readonly resolve: (answer: string) => void;
  readonly reject: (error: FunctionError) => void;
  readonly timer: NodeJS.Timeout;
  readonly characters: number;
}

/** Calls and characters of events that may wait in one thread. */
const maxCalls = 4096;
const maxCharacters = 64 * 1_048_576;
/** Between looks at whether it is stuck or too large. */
const watchMs = 100;
/** Looks after the last call was over: it may go on working. */
const looksAfter = 50;
const youngGenerationMb = 8;
const maxOutput = 4096;
const entry = new URL(
  import.meta.url.endsWith('.ts') ? './function-thread.ts' : './function-thread.js',
  import.meta.url,
);

export class RunningFunction {
  readonly #options: RunningFunctionOptions;
  readonly #thread: Worker;
  readonly #calls = new Map<number, Call>();
  #nextId = 1;
  #characters = 0;
  #ended = false;
  #retired = false;
  #watch: NodeJS.Timeout | undefined;
  #looksLeft = 0;
  /** Of performance.now(): when the ping was sent that was not answered yet. */
  #pinged: number | undefined;

  constructor(options: RunningFunctionOptions) {
    this.#options = options;
    const { data, memoryBytes, env } = options;
    this.#thread = new Worker(entry, {
      workerData: data,
      name: `function ${data.namespace}/${data.name}`,
      env: { ...env },
      execArgv: [],
      stdout: true,
      stderr: true,
      resourceLimits: {
        maxOldGenerationSizeMb: Math.ceil(memoryBytes / 1_048_576),
        maxYoungGenerationSizeMb: youngGenerationMb,
      },
    });
    this.#thread.on('message', (message: FromFunction) => {
      this.#onMessage(message);
    });
    this.#thread.on('error', (error) => {
      const { code, name } = error as NodeJS.ErrnoException;
      if (code === 'ERR_WORKER_OUT_OF_MEMORY') this.#end('out_of_memory', 'it took more memory than it may');
      else this.#end('exited', `it ended by an error that nobody caught (${name})`);
    });
    this.#thread.once('exit', (code) => {
      this.#end('exited', `its thread ended (code ${code})`);
    });
    for (const stream of ['stdout', 'stderr'] as const) {
      this.#thread[stream].setEncoding('utf8').on('data', (text: string) => {
        options.onOutput(stream, text.slice(0, maxOutput).trimEnd());
      });
    }
    this.#keepWatch();
  }

  call(event: string, timeoutMs: number): Promise<string> {
    if (this.#ended) return Promise.reject(new FunctionError('exited', 'its thread has ended'));
    if (this.#calls.size >= maxCalls || this.#characters + event.length > maxCharacters)
      return Promise.reject(new FunctionError('busy', `${this.#calls.size} calls wait already`));
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#take(id)?.reject(new FunctionError('timeout', `no answer within ${timeoutMs} ms`));
      }, timeoutMs);
      this.#calls.set(id, { resolve, reject, timer, characters: event.length });
      this.#characters += event.length;
      this.#post([id, event, timeoutMs]);
      this.#keepWatch();
    });
  }

  /** No more calls come: ends when those under way have. */
  retire(): void {
    this.#retired = true;
    this.#endIfDone();
  }

  /** At once. */
  terminate(): void {
    this.#end(undefined, '');
  }

  #post(message: ToFunction): void {
    this.#thread.postMessage(message);
  }

  #onMessage(message: FromFunction): void {
    if (message === 'pong') this.#pinged = undefined;
    else if (message === 'ready') this.#options.onReady();
    else if ('loadFailed' in message) this.#end('load_failed', message.loadFailed);
    else if (message.length === 2) this.#take(message[0])?.resolve(message[1]);
    else this.#take(message[0])?.reject(new FunctionError(message[1], message[2]));
  }

  #take(id: number): Call | undefined {
    const call = this.#calls.get(id);
    if (call === undefined) return undefined;
    this.#calls.delete(id);
    clearTimeout(call.timer);
    this.#characters -= call.characters;
    this.#endIfDone();
    return call;
  }

  #endIfDone(): void {
    if (this.#retired && this.#calls.size === 0) this.#end(undefined, '');
  }

  #end(code: FunctionErrorCode | undefined, why: string): void {
    if (this.#ended) return;
    this.#ended = true;
    clearInterval(this.#watch);
    const error = code === undefined ? undefined : new FunctionError(code, why);
    for (const call of this.#calls.values()) {
      clearTimeout(call.timer);
      call.reject(error ?? new FunctionError('exited', 'it was ended'));
    }
    this.#calls.clear();
    // Its exit was told already, or tells nobody anything new.
    void this.#thread.terminate();
    this.#options.onEnd(error);
  }

  #keepWatch(): void {
    this.#looksLeft = looksAfter;
    if (this.#watch !== undefined) return;
    this.#watch = setInterval(() => {
      this.#look();
    }, watchMs);
    this.#watch.unref();
  }

  /** A thread that is stuck cannot be asked anything, but it can be seen not to answer. */
  #look(): void {
    if (this.#calls.size > 0) this.#looksLeft = looksAfter;
    if (this.#looksLeft-- <= 0 && this.#pinged === undefined) {
      clearInterval(this.#watch);
      this.#watch = undefined;
      return;
    }
    const now = performance.now();
    if (this.#pinged === undefined) {
      this.#pinged = now;
      this.#post('ping');
    } else if (now - this.#pinged > this.#options.stallMs) {
      this.#end('stalled', `it kept its thread busy for more than ${this.#options.stallMs} ms`);
      return;
    }
    void this.#weigh();
  }

  /** V8 limits its heap; buffers lie outside of it. */
  async #weigh(): Promise<void> {
    const heap = await this.#thread.getHeapStatistics().catch(() => undefined);
    if (heap !== undefined && heap.external_memory > this.#options.memoryBytes)
      this.#end('out_of_memory', 'it took more memory than it may');
  }
}
