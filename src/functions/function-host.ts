/**
 * `deps.functions`: the functions that one worker runs. A function is started by the first request that needs it, replaced when
 * something in the function directory changed, started anew when it ended, and ended when no configuration names it any more.
 * Invariant: what is called is the code that `revision` names; a change that cannot be loaded leaves the code of before in place, a
 * file that is gone is gone.
 */
import {
  checkReference,
  FunctionError,
  type FunctionHandle,
  type FunctionReference,
  type Functions,
} from '../plugin/functions.ts';
import type { PluginLog } from '../plugin/plugin.ts';
import { FunctionDirectory } from './function-directory.ts';
import { RunningFunction } from './running-function.ts';

export interface FunctionHostOptions {
  readonly directory: string;
  /** Of one function in one worker. */
  readonly memoryBytes: number;
  /** How long a function may keep its thread from answering. */
  readonly stallMs: number;
  /** All that functions see of the environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly log: PluginLog;
}

/** A function that nothing names any more is kept this long: a change of configuration takes it up again. */
const lingerMs = 30_000;
/** A function that ends soon after its start is not started more often than this. */
const restartMs = 250;

export class FunctionHost implements Functions {
  readonly #options: FunctionHostOptions;
  readonly #directory: FunctionDirectory;
  readonly #hosted = new Map<string, HostedFunction>();

  constructor(options: FunctionHostOptions) {
    this.#options = options;
    this.#directory = new FunctionDirectory(options.directory);
  }

  acquire(reference: FunctionReference): FunctionHandle {
    checkReference(reference);
    const key = JSON.stringify([reference.namespace, reference.name, reference.qualifier]);
    let hosted = this.#hosted.get(key);
    if (hosted === undefined) {
      hosted = new HostedFunction(reference, this.#directory, this.#options, () => {
        this.#hosted.delete(key);
      });
      this.#hosted.set(key, hosted);
    }
    const held = hosted;
    held.hold();
    let released = false;
    return {
      revision: () => held.revision(),
      call: (event, timeoutMs) => held.call(event, timeoutMs),
      release: () => {
        if (released) return;
        released = true;
        held.release();
      },
    };
  }

  /** Ends all threads. */
  close(): void {
    for (const hosted of this.#hosted.values()) hosted.close();
  }
}

class HostedFunction {
  readonly #reference: FunctionReference;
  readonly #label: string;
  readonly #directory: FunctionDirectory;
  readonly #options: FunctionHostOptions;
  readonly #onGone: () => void;
  #users = 0;
  #linger: NodeJS.Timeout | undefined;
  #unfollow: (() => void) | undefined;
  #serving: { readonly running: RunningFunction; readonly revision: string } | undefined;
  /** The code of now, being loaded while that of before serves. */
  #candidate: RunningFunction | undefined;
  #startedAt = -Infinity;
  /** Why it could not be loaded, and which code that was. */
  #failure: { readonly revision: string; readonly error: FunctionError; readonly until: number } | undefined;

  constructor(
    reference: FunctionReference,
    directory: FunctionDirectory,
    options: FunctionHostOptions,
    onGone: () => void,
  ) {
    this.#reference = reference;
    this.#label = `${reference.namespace}/${reference.name}@${reference.qualifier}`;
    this.#directory = directory;
    this.#options = options;
    this.#onGone = onGone;
  }

  hold(): void {
    this.#users++;
    clearTimeout(this.#linger);
    this.#linger = undefined;
  }

  release(): void {
    if (--this.#users > 0) return;
    if (this.#unfollow === undefined) {
      this.close();
      return;
    }
    this.#linger = setTimeout(() => {
      this.close();
    }, lingerMs);
    this.#linger.unref();
  }

  close(): void {
    this.#onGone();
    clearTimeout(this.#linger);
    this.#unfollow?.();
    this.#unfollow = undefined;
    this.#candidate?.terminate();
    this.#serving?.running.retire();
    this.#serving = undefined;
  }

  revision(): string {
    this.#follow();
    return this.#serving?.revision ?? this.#directory.fingerprint;
  }

  call(event: string, timeoutMs: number): Promise<string> {
    this.#follow();
    try {
      return (this.#serving ?? this.#start()).running.call(event, timeoutMs);
    } catch (error) {
      return Promise.reject(error instanceof FunctionError ? error : new FunctionError('load_failed', String(error)));
    }
  }

  #follow(): void {
    this.#unfollow ??= this.#directory.follow(() => {
      this.#onChange();
    });
  }

  /** Throws FunctionError where there is nothing to start, or not yet again. */
  #start(): { readonly running: RunningFunction; readonly revision: string } {
    const revision = this.#directory.fingerprint;
    const now = performance.now();
    if (this.#failure !== undefined && this.#failure.revision === revision && now < this.#failure.until)
      throw this.#failure.error;
    const file = this.#file();
    this.#startedAt = now;
    const running = this.#run(file, revision, () => undefined);
    return (this.#serving = { running, revision });
  }

  #file(): string {
    const file = this.#directory.find(this.#reference);
    if (file === undefined)
      throw new FunctionError('missing', `no file of ${this.#label} in ${this.#options.directory}`);
    return file;
  }

  #run(file: string, revision: string, onReady: () => void): RunningFunction {
    const { log, memoryBytes, stallMs, env } = this.#options;
    const running: RunningFunction = new RunningFunction({
      data: { file, ...this.#reference },
      memoryBytes,
      stallMs,
      env,
      onReady,
      onEnd: (error) => {
        if (this.#serving?.running === running) this.#serving = undefined;
        if (this.#candidate === running) this.#candidate = undefined;
        if (error === undefined) return;
        log.error('function ended', { function: this.#label, reason: error.code, detail: error.message });
        const soon = performance.now() - this.#startedAt < restartMs;
        if (error.code === 'load_failed' || soon)
          this.#failure = { revision, error, until: performance.now() + restartMs };
      },
      onOutput: (stream, text) => {
        const write = stream === 'stderr' ? log.warn.bind(log) : log.info.bind(log);
        write('function output', { function: this.#label, text });
      },
    });
    return running;
  }

  /** Something in the directory changed: perhaps what this function imports. */
  #onChange(): void {
    const revision = this.#directory.fingerprint;
    this.#candidate?.terminate();
    this.#candidate = undefined;
    const serving = this.#serving;
    if (serving === undefined) return;
    const file = this.#directory.find(this.#reference);
    if (file === undefined) {
      this.#serving = undefined;
      serving.running.retire();
      this.#options.log.warn('function is gone', { function: this.#label });
      return;
    }
    const candidate = this.#run(file, revision, () => {
      if (this.#candidate !== candidate) return;
      this.#candidate = undefined;
      this.#startedAt = performance.now();
      const before = this.#serving;
      this.#serving = { running: candidate, revision };
      before?.running.retire();
      this.#options.log.info('function replaced', { function: this.#label });
    });
    this.#candidate = candidate;
  }
}

/** `NAME` is taken from the gateway's environment, `NAME=value` stands for itself: `nginx_config.envs`. */
export function listedEnvironment(
  listed: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const found: Record<string, string> = {};
  for (const item of listed) {
    const equals = item.indexOf('=');
    const name = equals < 0 ? item : item.slice(0, equals);
    const value = equals < 0 ? environment[name] : item.slice(equals + 1);
    if (value !== undefined) found[name] = value;
  }
  return found;
}
