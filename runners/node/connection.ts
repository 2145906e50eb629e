/**
 * One connection of the gateway: a frame in, plugins run, a frame out; the plugins' questions go over it in between.
 *
 *   idle ──frame──▶ busy ⇄ asking (ExtraInfo) ──answer──▶ idle
 *
 * A frame that cannot be read, or comes while another call is busy, is answered with an error and ends the connection.
 * Invariant: a call is answered once: by its plugins, or by its deadline.
 */
import type { Socket } from 'node:net';
import { ConfigError, GatewayError } from '../../src/errors/gateway-error.ts';
import type { Reply } from '../../src/plugin/plugin.ts';
import type { RequestVerdict, TextEntry } from '../../src/plugin/runners/runners.ts';
import { FrameReader, type Frame } from '../../src/runners/wire/frame-reader.ts';
import { ProtocolError } from '../../src/runners/wire/reader.ts';
import { ErrorCode, RpcType } from '../../src/runners/wire/schema.ts';
import { FrameWriter } from '../../src/runners/wire/writer.ts';
import type { Chain, Running } from './chain.ts';
import type { Configurations } from './configurations.ts';
import { RequestExchange, ResponseExchange, type Ask } from './exchange.ts';
import type { HangWatch } from './hang-watch.ts';
import * as log from './log.ts';
import * as messages from './messages.ts';

/** Configurations and request heads. What the gateway is asked for (bodies) may fill a frame (16 MiB). */
const maxCallBytes = 4 * 1024 * 1024;
/** A frame that has begun is whole within this. */
const frameTimeoutMs = 10_000;

export interface ConnectionOptions {
  readonly configurations: Configurations;
  readonly timeoutMs: number;
  readonly hangWatch: HangWatch;
  onClose(connection: Connection): void;
}

class Call implements Running {
  over = false;
  timer: NodeJS.Timeout | undefined;
  readonly #hangWatch: HangWatch;
  #plugin = '';

  constructor(hangWatch: HangWatch) {
    this.#hangWatch = hangWatch;
  }
  get plugin(): string {
    return this.#plugin;
  }
  set plugin(name: string) {
    this.#plugin = name;
    this.#hangWatch.plugin(name);
  }
}

interface Asking {
  readonly resolve: (value: Buffer | undefined) => void;
  readonly reject: (error: Error) => void;
}

/** One for all connections of the process: a frame is finished before anything else is written. */
const writer = new FrameWriter();

export class Connection {
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  readonly #reader = new FrameReader();
  #call: Call | undefined;
  /** Questions wait their turn: one at a time is on its way. */
  #asking: Promise<unknown> = Promise.resolve();
  #awaited: Asking | undefined;
  #frameTimer: NodeJS.Timeout | undefined;

  constructor(socket: Socket, options: ConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    socket.on('data', (piece: Buffer) => this.#receive(piece));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#closed());
  }

  get busy(): boolean {
    return this.#call !== undefined;
  }

  close(): void {
    this.#socket.destroy();
  }

  #receive(piece: Buffer): void {
    this.#reader.push(piece);
    try {
      for (let frame = this.#reader.next(); frame !== undefined; frame = this.#reader.next()) this.#frame(frame);
      this.#watchFrame();
    } catch (error) {
      this.#breach(error instanceof Error ? error.message : String(error));
    }
  }

  #frame({ type, payload }: Frame): void {
    if (this.#awaited !== undefined) {
      const { resolve, reject } = this.#awaited;
      this.#awaited = undefined;
      if (type !== RpcType.extraInfo) {
        const error = new ProtocolError('a question was answered with something else');
        reject(error);
        throw error;
      }
      resolve(messages.decodeInformation(payload));
      return;
    }
    if (this.#call !== undefined) throw new ProtocolError('a frame in the midst of a call');
    if (payload.length > maxCallBytes) throw new ProtocolError(`a frame of ${payload.length} bytes`);
    if (type === RpcType.httpReqCall) this.#request(payload);
    else if (type === RpcType.httpRespCall) this.#response(payload);
    else if (type === RpcType.prepareConf) this.#prepare(payload);
    else throw new ProtocolError(`a frame of type ${type}`);
  }

  #prepare(payload: Buffer): void {
    const call = this.#begin();
    this.#options.configurations.prepare(payload).then(
      (token) => this.#end(call, messages.encodeToken(writer, token)),
      (error: unknown) => this.#fail(call, error),
    );
  }

  #request(payload: Buffer): void {
    const request = messages.decodeRequestCall(payload);
    const exchange = new RequestExchange(request, this.#ask);
    this.#run(
      request.confToken,
      (chain, call) => {
        const result = chain.request(exchange, call);
        const answer = (reply: Reply | undefined): Buffer => {
          const verdict = reply === undefined ? exchange.verdict() : stop(reply, exchange.response.headers.changes());
          return messages.encodeRequestVerdict(writer, request.id, verdict);
        };
        return result instanceof Promise ? result.then(answer) : answer(result);
      },
      request.id,
    );
  }

  #response(payload: Buffer): void {
    const response = messages.decodeResponseCall(payload);
    const exchange = new ResponseExchange(response, this.#ask);
    this.#run(response.confToken, async (chain, call) => {
      await chain.response(exchange, call);
      return messages.encodeResponseVerdict(writer, response.id, exchange.response.verdict());
    });
  }

  /** `id`: of a request, which a GatewayError of a plugin may end as the gateway itself would. */
  #run(token: number, work: (chain: Chain, call: Call) => Buffer | Promise<Buffer>, id?: number): void {
    const call = this.#begin();
    try {
      const chain = this.#options.configurations.get(token);
      const result = chain === undefined ? this.#find(token, work, call) : this.#guarded(chain, work, call);
      if (result instanceof Promise)
        result.then(
          (answer) => this.#end(call, answer),
          (error: unknown) => this.#fail(call, error, id),
        );
      else this.#end(call, result);
    } catch (error) {
      this.#fail(call, error, id);
    }
  }

  async #find(
    token: number,
    work: (chain: Chain, call: Call) => Buffer | Promise<Buffer>,
    call: Call,
  ): Promise<Buffer> {
    const chain = await this.#options.configurations.find(token);
    if (chain === undefined) return messages.encodeError(writer, ErrorCode.confTokenNotFound);
    return this.#guarded(chain, work, call);
  }

  /** What a plugin waits for is watched by a timer, what it blocks by another thread (hang-watch.ts). */
  #guarded(
    chain: Chain,
    work: (chain: Chain, call: Call) => Buffer | Promise<Buffer>,
    call: Call,
  ): Buffer | Promise<Buffer> {
    const { timeoutMs } = this.#options;
    const result = work(chain, call);
    if (result instanceof Promise && !call.over) {
      call.timer = setTimeout(() => {
        this.#fail(call, new Error(`no answer within ${timeoutMs} ms`));
        // A question may be on its way.
        this.#socket.destroySoon();
      }, timeoutMs);
    }
    return result;
  }

  readonly #ask: Ask = (question) => {
    const call = this.#call;
    const asked = this.#asking.then(
      () =>
        new Promise<Buffer | undefined>((resolve, reject) => {
          if (call === undefined || call !== this.#call || this.#socket.destroyed) {
            reject(new Error('the call is over'));
            return;
          }
          this.#awaited = { resolve, reject };
          this.#socket.write(messages.encodeQuestion(writer, question));
        }),
    );
    this.#asking = asked.catch(() => undefined);
    return asked;
  };

  #begin(): Call {
    this.#call = new Call(this.#options.hangWatch);
    return this.#call;
  }

  #end(call: Call, answer: Buffer): void {
    if (call.over) return;
    call.over = true;
    clearTimeout(call.timer);
    this.#call = undefined;
    writer.trim();
    if (!this.#socket.destroyed) this.#socket.write(answer);
  }

  #fail(call: Call, error: unknown, id?: number): void {
    if (call.over) return;
    if (error instanceof ProtocolError) {
      call.over = true;
      this.#breach(error.message);
      return;
    }
    const who = call.plugin === '' ? 'a call' : `plugin ${call.plugin}`;
    if (error instanceof ConfigError) {
      log.line('error', `refused: ${error.message}`);
      this.#end(call, messages.encodeError(writer, ErrorCode.badRequest));
    } else if (error instanceof GatewayError && error.status >= 400 && id !== undefined) {
      log.line('warn', `${who}: ${error.message}`);
      const verdict = stop({ status: error.status, body: { error_msg: error.publicMessage } }, []);
      this.#end(call, messages.encodeRequestVerdict(writer, id, verdict));
    } else {
      log.failure(who, error);
      this.#end(call, messages.encodeError(writer, ErrorCode.serviceUnavailable));
    }
  }

  #breach(what: string): void {
    log.line('warn', `connection closed: ${what}`);
    if (this.#socket.destroyed) return;
    this.#socket.end(messages.encodeError(writer, ErrorCode.badRequest));
    this.#socket.removeAllListeners('data').resume();
    this.#socket.destroySoon();
  }

  #watchFrame(): void {
    if (this.#reader.pending === 0) {
      clearTimeout(this.#frameTimer);
      this.#frameTimer = undefined;
      return;
    }
    if (this.#awaited === undefined && this.#reader.pending > maxCallBytes)
      throw new ProtocolError('a frame too large');
    this.#frameTimer ??= setTimeout(() => this.#breach(`half a frame for ${frameTimeoutMs} ms`), frameTimeoutMs);
  }

  #closed(): void {
    clearTimeout(this.#frameTimer);
    if (this.#reader.pending > 0) log.line('warn', 'connection closed: half a frame');
    this.#awaited?.reject(new Error('the gateway closed the connection'));
    this.#awaited = undefined;
    if (this.#call !== undefined) {
      this.#call.over = true;
      clearTimeout(this.#call.timer);
      this.#call = undefined;
    }
    this.#options.onClose(this);
  }
}

function stop({ status, headers = {}, body }: Reply, added: readonly TextEntry[]): RequestVerdict {
  if (!Number.isInteger(status) || status < 200 || status > 599)
    throw new TypeError(`the status of a reply: ${status}`);
  return { action: 'stop', status, headers: [...Object.entries(headers), ...added], body: bodyBytes(body) };
}

/** As the gateway sends a reply's body. */
function bodyBytes(body: Reply['body']): Uint8Array | undefined {
  if (body === undefined || body instanceof Uint8Array) return body;
  return Buffer.from(typeof body === 'string' ? body : `${JSON.stringify(body)}\n`);
}
