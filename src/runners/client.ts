/**
 * One runner as one worker sees it: pooled connections, conf tokens, calls. A call takes an idle connection or opens one, prepares
 * the configuration where that was not done yet, and is one round trip after that.
 * Invariant: a token is used only while the process that gave it is known to live: while some connection has been open since,
 * and none was lost. (Runners count tokens from 1: after a restart the same number means another configuration.)
 */
import { createHash } from 'node:crypto';
import { GatewayError } from '../errors/gateway-error.ts';
import { RunnerError, type RunnerInformation, type TextEntry } from '../plugin/runners/runners.ts';
import { RunnerConnection, RunnerRefusal } from './connection.ts';
import { decodePrepareConf, encodePrepareConf } from './wire/messages.ts';
import { ProtocolError } from './wire/reader.ts';
import { ErrorCode } from './wire/schema.ts';
import { FrameTooLarge, FrameWriter } from './wire/writer.ts';

export interface ClientLimits {
  readonly connectTimeoutMs: number;
  /** What the runner may take for one call; its questions' answers are not counted. */
  readonly timeoutMs: number;
  /** Tokens are asked for anew before the runner forgets them. */
  readonly confExpireMs: number;
  readonly maxConnections: number;
}

/** A configuration as it is prepared. */
export interface Conf {
  readonly entries: readonly TextEntry[];
  /** The same for equal entries: runners may answer with the token that they gave for it before. */
  readonly key: string;
}

interface Token {
  readonly value: Promise<number>;
  readonly expires: number;
}

/** Kept for the next burst; more are closed as they come back. */
const maxIdle = 32;
const idleTimeoutMs = 60_000;
/** APISIX: tokens are given up a tenth before the runner's time is over. */
const confFreshness = 0.9;
const silenceIntervalMs = 1000;
/** Asking for a token anew does not help a runner that forgets it at once. */
const maxAttempts = 3;

export function createConf(entries: readonly TextEntry[]): Conf {
  const text = JSON.stringify(entries.map(([name, value]) => [name, value ?? '']));
  return { entries, key: createHash('sha256').update(text).digest('base64url') };
}

export class RunnerClient {
  readonly name: string;
  readonly #limits: ClientLimits;
  readonly #writer = new FrameWriter();
  /** undefined: it does not run. */
  #path: string | undefined;
  readonly #open = new Set<RunnerConnection>();
  #connecting = 0;
  #idle: RunnerConnection[] = [];
  readonly #waiting: { readonly resolve: (connection: RunnerConnection | undefined) => void }[] = [];
  #tokens = new Map<string, Token>();
  #sweep: NodeJS.Timeout | undefined;
  #nextId = 0;
  #onRetired: (() => void)[] = [];

  readonly #onSilent: ((name: string) => void) | undefined;
  #toldSilent = -Infinity;

  /** `onSilent`: a call got no sensible answer; told once a second at most. */
  constructor(name: string, path: string | undefined, limits: ClientLimits, onSilent?: (name: string) => void) {
    this.#onSilent = onSilent;
    this.name = name;
    this.#path = path;
    this.#limits = limits;
  }

  /** Calls under way end on the process that they began on; resolves when the last has. */
  setPath(path: string | undefined): Promise<void> {
    this.#path = path;
    this.#tokens = new Map();
    for (const connection of this.#open) connection.retired = true;
    for (const connection of this.#idle) connection.close();
    this.#idle = [];
    return new Promise((resolve) => {
      this.#onRetired.push(resolve);
      this.#settleRetired();
    });
  }

  #settleRetired(): void {
    for (const connection of this.#open) if (connection.retired) return;
    for (const resolve of this.#onRetired.splice(0)) resolve();
  }

  /**
   * One call. `encode` is given the token and an id; `decode` reads the answer and says the id that stands in it.
   * Rejects with RunnerError, or with what `information` rejected with.
   */
  async call<T extends { readonly id: number }>(
    conf: Conf,
    encode: (writer: FrameWriter, token: number, id: number) => Buffer,
    decode: (payload: Buffer) => T,
    information: RunnerInformation,
  ): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      const connection = await this.#take();
      let token: Token | undefined;
      // Another call prepares: its failure is not this connection's.
      let waits = false;
      try {
        token = this.#tokenOf(conf);
        waits = token !== undefined;
        token ??= this.#begin(conf, connection);
        const value = await token.value;
        waits = false;
        const id = this.#newId();
        const frame = encode(this.#writer, value, id);
        this.#writer.trim();
        const answer = decode(await connection.call(frame, information, this.#limits.timeoutMs));
        if (answer.id !== id && answer.id !== 0) throw new ProtocolError('an answer to another call');
        return answer;
      } catch (error) {
        if (attempt < maxAttempts && (waits || this.#mayTryAgain(error, connection))) {
          if (token !== undefined && this.#tokens.get(conf.key) === token) this.#tokens.delete(conf.key);
          continue;
        }
        if (!waits && !(error instanceof RunnerRefusal)) connection.close();
        const explained = this.#explained(error);
        this.#suspect(explained);
        throw explained;
      } finally {
        this.#give(connection);
      }
    }
  }

  /**
   * Hands over a configuration whatever was prepared before, on a connection of its own: on a used one the second copy of an answer
   * (Apache's Java runner) and the next answer could not be told apart. Rejects with RunnerError: `runner_refused` where it says no.
   */
  async prepare(conf: Conf): Promise<void> {
    const connection = await this.#connect();
    try {
      await this.#prepare(conf, connection);
    } catch (error) {
      throw this.#explained(error);
    } finally {
      connection.close();
    }
  }

  close(): void {
    this.#path = undefined;
    clearInterval(this.#sweep);
    for (const connection of this.#open) connection.close();
    for (const waiter of this.#waiting.splice(0)) waiter.resolve(undefined);
  }

  #newId(): number {
    this.#nextId = this.#nextId === 0xff_ff_ff_ff ? 1 : this.#nextId + 1;
    return this.#nextId;
  }

  /** The runner forgot the token; or it had gone before it heard of the call, while the connection lay idle. */
  #mayTryAgain(error: unknown, connection: RunnerConnection): boolean {
    if (error instanceof RunnerRefusal) return error.code === ErrorCode.confTokenNotFound;
    return (
      error instanceof RunnerError &&
      error.failure === 'runner_unreachable' &&
      connection.calls > 1 &&
      connection.unheard
    );
  }

  #suspect(error: unknown): void {
    if (!(error instanceof RunnerError) || (error.failure !== 'runner_timeout' && error.failure !== 'runner_protocol'))
      return;
    const now = performance.now();
    if (now - this.#toldSilent < silenceIntervalMs) return;
    this.#toldSilent = now;
    this.#onSilent?.(this.name);
  }

  #explained(error: unknown): unknown {
    if (error instanceof RunnerRefusal) return new RunnerError('runner_refused', `${this.name}: ${error.message}`);
    if (error instanceof ProtocolError)
      return new RunnerError('runner_protocol', `${this.name}: the runner sent ${error.message}`, { cause: error });
    if (error instanceof FrameTooLarge) return new RunnerError('runner_unsupported', `${this.name}: ${error.message}`);
    if (error instanceof RunnerError)
      return new RunnerError(error.failure, `${this.name}: ${error.message}`, { cause: error.cause });
    if (error instanceof GatewayError) return error;
    return new RunnerError('runner_protocol', `${this.name}: unexpected`, { cause: error });
  }

  // ---- tokens -------------------------------------------------------------------------------------------------------

  #tokenOf(conf: Conf): Token | undefined {
    const known = this.#tokens.get(conf.key);
    return known !== undefined && known.expires > performance.now() ? known : undefined;
  }

  /** Prepares on `connection`. Those who come meanwhile wait for the same answer. */
  #begin(conf: Conf, connection: RunnerConnection): Token {
    const tokens = this.#tokens;
    const token: Token = {
      value: this.#prepare(conf, connection),
      expires: performance.now() + this.#limits.confExpireMs * confFreshness,
    };
    tokens.set(conf.key, token);
    token.value.catch(() => {
      if (tokens.get(conf.key) === token) tokens.delete(conf.key);
    });
    return token;
  }

  async #prepare(conf: Conf, connection: RunnerConnection): Promise<number> {
    const frame = encodePrepareConf(this.#writer, conf.entries, conf.key);
    return decodePrepareConf(await connection.call(frame, undefined, this.#limits.timeoutMs));
  }

  // ---- connections --------------------------------------------------------------------------------------------------

  #take(): Promise<RunnerConnection> | RunnerConnection {
    const idle = this.#idle.pop();
    if (idle !== undefined) {
      idle.ref();
      return idle;
    }
    if (this.#open.size + this.#connecting < this.#limits.maxConnections) return this.#connect();
    return this.#await();
  }

  async #connect(): Promise<RunnerConnection> {
    const path = this.#path;
    if (path === undefined) throw new RunnerError('runner_unreachable', `${this.name}: the runner is not running`);
    this.#connecting++;
    try {
      const connection = await RunnerConnection.open({
        path,
        connectTimeoutMs: this.#limits.connectTimeoutMs,
        writer: this.#writer,
        onClose: (closed, lost) => {
          this.#closed(closed, lost);
        },
      });
      connection.retired = path !== this.#path;
      this.#open.add(connection);
      return connection;
    } catch (error) {
      this.#tokens = new Map();
      throw this.#explained(error);
    } finally {
      this.#connecting--;
    }
  }

  /** All connections are busy: the next that is given back, in the order of asking. */
  #await(): Promise<RunnerConnection> {
    return new Promise((resolve, reject) => {
      const waiter = {
        resolve: (connection: RunnerConnection | undefined): void => {
          clearTimeout(timer);
          if (connection !== undefined) resolve(connection);
          else resolve(this.#take());
        },
      };
      const timer = setTimeout(() => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
        reject(new RunnerError('runner_busy', `${this.name}: all connections to the runner are busy`));
      }, this.#limits.timeoutMs);
      this.#waiting.push(waiter);
    });
  }

  #give(connection: RunnerConnection): void {
    if (!connection.usable) {
      connection.close();
      return;
    }
    const waiter = this.#waiting.shift();
    if (waiter !== undefined) {
      waiter.resolve(connection);
      return;
    }
    if (this.#idle.length >= maxIdle) {
      connection.close();
      return;
    }
    connection.idleSince = performance.now();
    connection.unref();
    this.#idle.push(connection);
    this.#sweep ??= setInterval(() => {
      this.#closeIdle();
    }, idleTimeoutMs / 4).unref();
  }

  /** The least used ones stand first. */
  #closeIdle(): void {
    const oldest = performance.now() - idleTimeoutMs;
    for (const connection of [...this.#idle]) if (connection.idleSince < oldest) connection.close();
    if (this.#open.size > 0) return;
    clearInterval(this.#sweep);
    this.#sweep = undefined;
  }

  #closed(connection: RunnerConnection, lost: boolean): void {
    this.#open.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    if (lost || this.#open.size === 0) this.#tokens = new Map();
    this.#settleRetired();
    // Its place is free: whoever waits may open another.
    this.#waiting.shift()?.resolve(undefined);
  }
}
