/**
 * One connection to a runner: a call at a time, each one frame out and one frame back, with the runner's questions in between.
 *
 *   connecting ──► idle ⇄ busy ⇄ answering a question ──► closed
 *
 * Invariant: a call ends within its time, whatever the runner does; after a breach of the protocol the connection is closed.
 */
import { connect, type Socket } from 'node:net';
import { RunnerError, type RunnerInformation } from '../plugin/runners/runners.ts';
import { FrameReader, type Frame } from './wire/frame-reader.ts';
import { decodeError, decodeExtraInfo, encodeExtraInfo } from './wire/messages.ts';
import { ProtocolError } from './wire/reader.ts';
import { ErrorCode, RpcType } from './wire/schema.ts';
import { FrameTooLarge, maxPayloadBytes, type FrameWriter } from './wire/writer.ts';

/** The runner answered with an error of the protocol. The connection can be used again. */
export class RunnerRefusal extends Error {
  override readonly name = 'RunnerRefusal';
  readonly code: number;

  constructor(code: number) {
    super(`the runner refused: ${refusalWords[code] ?? `error ${String(code)}`}`);
    this.code = code;
  }
}

const refusalWords: Readonly<Record<number, string>> = {
  [ErrorCode.badRequest]: 'bad request',
  [ErrorCode.serviceUnavailable]: 'service unavailable',
  [ErrorCode.confTokenNotFound]: 'conf token not found',
};

export interface ConnectionOptions {
  readonly path: string;
  readonly connectTimeoutMs: number;
  readonly writer: FrameWriter;
  /** Once, when it is closed, by whomever. `lost`: not by `close`. */
  onClose(connection: RunnerConnection, lost: boolean): void;
}

interface Call {
  readonly type: number;
  /** undefined: the runner may not ask. */
  readonly information: RunnerInformation | undefined;
  readonly resolve: (payload: Buffer) => void;
  readonly reject: (error: unknown) => void;
  /** The runner's time that is left. */
  leftMs: number;
  questions: number;
}

/** A runner that asks more often in one call goes round in circles. */
const maxQuestions = 1000;

export class RunnerConnection {
  /** Calls that were made on it. */
  calls = 0;
  /** When it was given back, by performance.now(). */
  idleSince = 0;
  /** Of a process that is no longer the current one: not to be used again. */
  retired = false;
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  readonly #reader = new FrameReader();
  #call: Call | undefined;
  #timer: NodeJS.Timeout | undefined;
  #sentAt = 0;
  #answering = false;
  #heard = false;
  #closed = false;
  /** How it came to its end: by `close`, or otherwise. */
  #ending: 'closed' | 'lost' | undefined;
  #failure: Error | undefined;
  /** Between two calls: the next one is told. */
  #breach: ProtocolError | undefined;
  /** What answered PrepareConf, until another kind of answer came: Apache's Java runner sends it twice. */
  #echo: Buffer | undefined;

  private constructor(options: ConnectionOptions, socket: Socket) {
    this.#options = options;
    this.#socket = socket;
    socket.on('data', (piece: Buffer) => {
      this.#onData(piece);
    });
    socket.on('error', (error) => {
      this.#failure = error;
    });
    socket.on('close', () => {
      this.#onClose();
    });
  }

  /** Rejects with RunnerError. */
  static open(options: ConnectionOptions): Promise<RunnerConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ path: options.path });
      const fail = (reason: string): void => {
        clearTimeout(timer);
        socket.destroy();
        reject(new RunnerError('runner_unreachable', `no runner answers at ${options.path}: ${reason}`));
      };
      const onError = (error: NodeJS.ErrnoException): void => {
        fail(error.code ?? error.message);
      };
      const timer = setTimeout(fail, options.connectTimeoutMs, 'it does not accept connections in time');
      socket.once('error', onError);
      socket.once('connect', () => {
        clearTimeout(timer);
        socket.off('error', onError);
        resolve(new RunnerConnection(options, socket));
      });
    });
  }

  get usable(): boolean {
    return this.#ending === undefined && !this.retired;
  }

  /** The call that failed last had heard nothing from the runner: it may have gone to one that was no longer there. */
  get unheard(): boolean {
    return !this.#heard;
  }

  /**
   * Sends a frame (not PrepareConf right after PrepareConf: two answers could not be told apart); resolves to the payload of the answer, which is of the same type. Rejects with RunnerRefusal (the connection
   * stays usable), RunnerError or ProtocolError, or with what `information` rejected with.
   */
  call(frame: Buffer, information: RunnerInformation | undefined, timeoutMs: number): Promise<Buffer> {
    this.calls++;
    this.#heard = false;
    if (this.#breach !== undefined) return Promise.reject(this.#breach);
    return new Promise((resolve, reject) => {
      this.#call = { type: frame[0] ?? 0, information, resolve, reject, leftMs: timeoutMs, questions: 0 };
      if (this.#closed) this.#onClose();
      else this.#send(frame);
    });
  }

  close(): void {
    this.#ending ??= 'closed';
    this.#socket.destroy();
  }

  /** An idle connection keeps nothing alive. */
  unref(): void {
    this.#socket.unref();
  }
  ref(): void {
    this.#socket.ref();
  }

  /** One write for the whole frame: some runners take what one read brings for a whole message. */
  #send(frame: Buffer): void {
    this.#socket.write(frame);
    this.#sentAt = performance.now();
    this.#timer = setTimeout(() => {
      this.#fail(new RunnerError('runner_timeout', 'the runner did not answer in time'));
    }, this.#call?.leftMs ?? 0);
  }

  #onData(piece: Buffer): void {
    this.#reader.push(piece);
    this.#heard = true;
    this.#drain();
  }

  /** Some runners ask several questions at once: each is answered in its turn. */
  #drain(): void {
    try {
      while (!this.#answering) {
        const frame = this.#reader.next();
        if (frame === undefined) break;
        this.#onFrame(frame);
      }
      if (this.#call === undefined && this.#reader.pending > 0 && this.#echo === undefined)
        throw new ProtocolError('bytes that nobody asked for');
      if (this.#reader.pending > maxPayloadBytes + 4) throw new ProtocolError('more than was asked for');
    } catch (error) {
      this.#fail(error);
    }
  }

  #onFrame(frame: Frame): void {
    if (frame.type === RpcType.prepareConf && this.#echo?.equals(frame.payload) === true) {
      this.#echo = undefined;
      return;
    }
    this.#echo = undefined;
    const call = this.#call;
    if (call === undefined) throw new ProtocolError('more than was asked for');
    if (frame.type === RpcType.prepareConf && call.type === frame.type) this.#echo = frame.payload;
    else if (this.#reader.pending > 0 && frame.type !== RpcType.extraInfo)
      throw new ProtocolError('more than was asked for');
    clearTimeout(this.#timer);
    if (frame.type === RpcType.error) {
      const refusal = new RunnerRefusal(frame.payload.length === 0 ? ErrorCode.badRequest : decodeError(frame.payload));
      this.#call = undefined;
      call.reject(refusal);
    } else if (frame.type === RpcType.extraInfo && call.information !== undefined) {
      if (++call.questions > maxQuestions) throw new ProtocolError(`more than ${String(maxQuestions)} questions`);
      call.leftMs = Math.max(1, call.leftMs - (performance.now() - this.#sentAt));
      this.#answer(call, call.information, frame.payload);
    } else if (frame.type === call.type) {
      this.#call = undefined;
      call.resolve(frame.payload);
    } else throw new ProtocolError(`a message of type ${String(frame.type)} where ${String(call.type)} was due`);
  }

  /** The time that an answer takes is not the runner's. */
  #answer(call: Call, information: RunnerInformation, payload: Buffer): void {
    const question = decodeExtraInfo(payload);
    let body: Promise<Uint8Array> | undefined;
    switch (question.info) {
      case 'variable': {
        const value = information.variable(question.name);
        this.#send(encodeExtraInfo(this.#options.writer, value === undefined ? undefined : textBytes(value)));
        return;
      }
      case 'request-body':
        body = information.requestBody();
        break;
      case 'response-body':
        body = information.responseBody();
    }
    if (body === undefined) {
      this.#send(encodeExtraInfo(this.#options.writer, undefined));
      return;
    }
    this.#answering = true;
    body.then(
      (bytes) => {
        this.#answering = false;
        if (this.#call !== call) return;
        try {
          this.#send(encodeExtraInfo(this.#options.writer, bytes));
          this.#drain();
        } catch (error) {
          this.#fail(error instanceof FrameTooLarge ? new RunnerError('runner_unsupported', error.message) : error);
        }
      },
      (error: unknown) => {
        this.#answering = false;
        if (this.#call === call) this.#fail(error);
      },
    );
  }

  /** Ends the call, if one is under way, and the connection. */
  #fail(error: unknown): void {
    clearTimeout(this.#timer);
    if (error instanceof ProtocolError) this.#breach ??= error;
    this.#ending ??= 'lost';
    const call = this.#call;
    this.#call = undefined;
    this.#socket.destroy();
    call?.reject(error);
  }

  #onClose(): void {
    const first = !this.#closed;
    this.#closed = true;
    this.#fail(
      new RunnerError(
        'runner_unreachable',
        `the runner closed the connection${this.#reader.pending > 0 ? ' inside a message' : ''}`,
        {
          cause: this.#failure,
        },
      ),
    );
    if (first) this.#options.onClose(this, this.#ending === 'lost');
  }
}

/** Variables hold decoded text here and there (`uri`), bytes as Latin-1 elsewhere: what Latin-1 cannot say goes as UTF-8. */
function textBytes(text: string): Buffer {
  return Buffer.from(text, /^[\0-\xff]*$/.test(text) ? 'latin1' : 'utf8');
}
