/**
 * One connection to an upstream node: request text out, response head and body pieces back, one exchange at a time.
 *
 *   connecting ──► idle ⇄ busy ──► closed          tunnel: bytes both ways after 101
 *
 * Invariant: it goes back to the pool only if the response was framed, complete, and nothing followed it.
 */
import { Buffer } from 'node:buffer';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type SecureContext } from 'node:tls';
import { GatewayError } from '../../errors/gateway-error.ts';
import { ChunkedDecoder } from '../http1/chunked.ts';
import type { Deadlines, Expiring } from '../http1/deadlines.ts';
import type { Flushable, WriteQueue } from '../http1/write-queue.ts';
import type { Fields } from '../http1/fields.ts';
import { BodyLength, type HeadLimits, parseResponseHead, type ResponseHead } from '../http1/parse-head.ts';

export interface UpstreamTls {
  readonly servername: string;
  readonly verify: boolean;
  /** Client certificate and trusted authorities. */
  readonly context: SecureContext;
}

export interface ResponseSink {
  onConnect(): void;
  onInformational(head: ResponseHead): void;
  /** `hasBody` false: onEnd follows at once. Returns false to switch to a tunnel (101). */
  onHead(head: ResponseHead): void;
  /** `buffer[from, to)` of the body; valid during the call only. */
  onData(buffer: Buffer, from: number, to: number): void;
  onEnd(trailers: Fields | undefined): void;
  /** All pieces of one read have been given. */
  onFlush(): void;
  onDrain(): void;
  /** The connection is gone; nothing else follows. `responseStarted`: a head had been given. */
  onError(error: GatewayError): void;
  /** Bytes after a 101. */
  onTunnel(piece: Buffer): void;
  onTunnelEnd(): void;
}

const ConnectionState = { connecting: 0, idle: 1, busy: 2, tunnel: 3, closed: 4 } as const;
type ConnectionState = (typeof ConnectionState)[keyof typeof ConnectionState];

const responseLimits: HeadLimits = { maxHeadBytes: 65_536, maxFields: 256 };

/** One read buffer for all connections of the thread: it is parsed, or copied, before the next read can happen. */
const readBuffer = Buffer.allocUnsafeSlow(65_536);

export class UpstreamConnection implements Expiring, Flushable {
  deadline = 0;
  requests = 0;
  readonly poolKey: string;
  onIdleClose: ((connection: UpstreamConnection) => void) | undefined;

  #state: ConnectionState = ConnectionState.connecting;
  #sink: ResponseSink | undefined;
  #held: Buffer | undefined;
  #head: ResponseHead | undefined;
  #headRequest = false;
  #left = 0;
  #decoder: ChunkedDecoder | undefined;
  #requestDone = true;
  #responseDone = true;
  #paused = false;
  #readTimeoutMs = 0;
  #sendTimeoutMs = 0;
  readonly #socket: Socket;
  readonly #deadlines: Deadlines;
  readonly #writes: WriteQueue;
  /** A request head that leaves with this turn of the event loop. */
  #pending = '';
  readonly #release: (connection: UpstreamConnection) => void;

  constructor(
    poolKey: string,
    address: string,
    port: number,
    tls: UpstreamTls | undefined,
    connectTimeoutMs: number,
    sink: ResponseSink,
    deadlines: Deadlines,
    writes: WriteQueue,
    release: (connection: UpstreamConnection) => void,
  ) {
    this.poolKey = poolKey;
    this.#sink = sink;
    this.#deadlines = deadlines;
    this.#writes = writes;
    this.#release = release;
    const onread = {
      buffer: readBuffer,
      callback: (bytes: number): boolean => {
        this.#onBytes(readBuffer, bytes);
        return true;
      },
    };
    this.deadline = this.#deadlines.after(connectTimeoutMs);
    deadlines.add(this);
    if (tls === undefined) {
      this.#socket = connectTcp({ host: address, port, noDelay: true, onread });
      this.#socket.once('connect', () => {
        this.#onConnect();
      });
    } else {
      this.#socket = connectTls({
        host: address,
        port,
        ...(tls.servername === '' ? {} : { servername: tls.servername }),
        rejectUnauthorized: tls.verify,
        secureContext: tls.context,
        ALPNProtocols: ['http/1.1'],
      });
      this.#socket.setNoDelay(true);
      this.#socket.once('secureConnect', () => {
        this.#onConnect();
      });
      this.#socket.on('data', (chunk: Buffer) => {
        this.#onBytes(chunk, chunk.length);
      });
    }
    this.#socket.on('drain', () => {
      if (this.#state === ConnectionState.busy && this.#requestDone)
        this.deadline = this.#deadlines.after(this.#readTimeoutMs);
      this.#sink?.onDrain();
    });
    this.#socket.on('end', () => {
      this.#onEnd();
    });
    this.#socket.on('error', (error: Error) => {
      this.#onSocketError(error);
    });
    this.#socket.on('close', () => {
      this.#onClose();
    });
  }

  get busy(): boolean {
    return this.#state === ConnectionState.busy;
  }

  /** Takes the connection out of idleness for one exchange. */
  assign(sink: ResponseSink): void {
    this.#sink = sink;
    this.#state = ConnectionState.busy;
  }

  /** Writes the request head (and what body it carries already). `hasMore`: writeBody and endBody follow. */
  sendHead(
    text: string,
    headRequest: boolean,
    hasMore: boolean,
    sendTimeoutMs: number,
    readTimeoutMs: number,
  ): boolean {
    this.#state = ConnectionState.busy;
    this.requests++;
    this.#headRequest = headRequest;
    this.#requestDone = !hasMore;
    this.#responseDone = false;
    this.#head = undefined;
    this.#sendTimeoutMs = sendTimeoutMs;
    this.#readTimeoutMs = readTimeoutMs;
    if (!hasMore) {
      this.#pending = text;
      this.#writes.add(this);
      this.deadline = this.#deadlines.after(readTimeoutMs);
      return true;
    }
    const room = this.#socket.write(text, 'latin1');
    this.deadline = this.#deadlines.after(sendTimeoutMs);
    return room;
  }

  flushWrites(): void {
    const text = this.#pending;
    this.#pending = '';
    if (text !== '' && this.#state === ConnectionState.busy) this.#socket.write(text, 'latin1');
  }

  /** `piece` may be reused by the caller afterwards. False: wait for onDrain. */
  writeBody(piece: Uint8Array | string): boolean {
    this.deadline = this.#deadlines.after(this.#sendTimeoutMs);
    return typeof piece === 'string' ? this.#socket.write(piece, 'latin1') : this.#socket.write(Buffer.from(piece));
  }

  /** Body pieces wait for more from the client: the upstream is not to blame meanwhile. */
  endBody(): void {
    this.#requestDone = true;
    if (this.#responseDone) this.#finish();
    else this.deadline = this.#deadlines.after(this.#readTimeoutMs);
  }

  cork(): void {
    this.#socket.cork();
  }
  uncork(): void {
    this.#socket.uncork();
  }

  pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.deadline = 0;
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.deadline = this.#deadlines.after(this.#readTimeoutMs);
    this.#socket.resume();
  }

  /** After a 101 was given: bytes pass through `onTunnel`. */
  startTunnel(): void {
    this.#state = ConnectionState.tunnel;
    this.deadline = 0;
  }

  writeTunnel(piece: Buffer): boolean {
    return this.#socket.write(Buffer.from(piece));
  }

  endTunnel(): void {
    this.#socket.end();
  }

  /** Drops the connection without telling the sink. */
  destroy(): void {
    this.#sink = undefined;
    this.#socket.destroy();
  }

  onDeadline(): void {
    switch (this.#state) {
      case ConnectionState.connecting:
        this.#fail(new GatewayError('UPSTREAM_CONNECT_TIMEOUT'));
        break;
      case ConnectionState.busy:
        this.#fail(new GatewayError(this.#requestDone ? 'UPSTREAM_READ_TIMEOUT' : 'UPSTREAM_SEND_TIMEOUT'));
        break;
      default:
        this.destroy();
    }
  }

  #onConnect(): void {
    if (this.#state !== ConnectionState.connecting) return;
    this.#state = ConnectionState.busy;
    this.deadline = 0;
    this.#sink?.onConnect();
  }

  #onBytes(buffer: Buffer, bytes: number): void {
    if (this.#state === ConnectionState.tunnel) {
      this.#sink?.onTunnel(buffer.subarray(0, bytes));
      return;
    }
    if (this.#state !== ConnectionState.busy || this.#responseDone) {
      // Bytes that nobody asked for: an idle connection that speaks cannot be trusted with the next request.
      this.#closeQuietly();
      return;
    }
    let input = buffer;
    let end = bytes;
    if (this.#held !== undefined) {
      input = Buffer.concat([this.#held, buffer.subarray(0, bytes)]);
      end = input.length;
      this.#held = undefined;
    }
    try {
      this.#consume(input, end);
    } catch (error) {
      this.#fail(
        error instanceof GatewayError ? error : new GatewayError('UPSTREAM_MALFORMED', 'unexpected', { cause: error }),
      );
    }
  }

  #consume(input: Buffer, end: number): void {
    let position = 0;
    const sink = this.#sink;
    if (sink === undefined) return;
    while (this.#head === undefined) {
      const head = parseResponseHead(input, position, end, responseLimits);
      if (head === undefined) {
        this.#held = Buffer.from(input.subarray(position, end));
        return;
      }
      position = head.end;
      if (head.status < 200 && head.status !== 101) {
        sink.onInformational(head);
        continue;
      }
      this.#head = head;
      this.#startBody(head);
      sink.onHead(head);
    }
    if (this.#state === ConnectionState.tunnel) {
      if (position < end) sink.onTunnel(input.subarray(position, end));
      return;
    }
    if (this.#sink !== sink) return;
    if (this.#decoder !== undefined) {
      position = this.#decoder.decode(input, position, end, (from, to) => {
        sink.onData(input, from, to);
      });
      if (this.#decoder.done) this.#endResponse(sink, this.#decoder.trailers, position < end);
    } else if (this.#left === BodyLength.untilClose) {
      if (position < end) sink.onData(input, position, end);
    } else {
      const to = Math.min(end, position + this.#left);
      if (to > position) {
        this.#left -= to - position;
        sink.onData(input, position, to);
      }
      if (this.#left === 0) this.#endResponse(sink, undefined, to < end);
    }
    if (!this.#responseDone && this.#sink === sink) {
      if (!this.#paused) this.deadline = this.#deadlines.after(this.#readTimeoutMs);
      sink.onFlush();
    }
  }

  #startBody(head: ResponseHead): void {
    const bodyless = this.#headRequest || head.status === 204 || head.status === 304 || head.status === 101;
    this.#left = bodyless ? 0 : head.bodyLength;
    this.#decoder =
      this.#left === BodyLength.chunked ? new ChunkedDecoder('UPSTREAM_MALFORMED', responseLimits) : undefined;
  }

  #endResponse(sink: ResponseSink, trailers: Fields | undefined, moreBytes: boolean): void {
    this.#responseDone = true;
    this.#decoder = undefined;
    // An answer before the end of the request leaves the rest of it unsent: nothing else can follow on this connection.
    if (!moreBytes && this.#requestDone && this.#head !== undefined && isReusable(this.#head)) this.#finish();
    else this.#closeQuietly();
    sink.onEnd(trailers);
  }

  #finish(): void {
    this.#sink = undefined;
    if (this.#state !== ConnectionState.busy) return;
    this.#state = ConnectionState.idle;
    this.deadline = 0;
    if (this.#paused) this.resume();
    this.#release(this);
  }

  #closeQuietly(): void {
    this.#sink = undefined;
    this.#socket.destroy();
  }

  #onEnd(): void {
    const head = this.#head;
    if (this.#state === ConnectionState.tunnel) this.#sink?.onTunnelEnd();
    else if (
      this.#state === ConnectionState.busy &&
      head !== undefined &&
      !this.#responseDone &&
      this.#left === BodyLength.untilClose
    ) {
      const sink = this.#sink;
      this.#responseDone = true;
      this.#closeQuietly();
      sink?.onEnd(undefined);
    } else if (this.#state === ConnectionState.busy && !this.#responseDone)
      this.#fail(new GatewayError('UPSTREAM_CLOSED'));
    else this.#closeQuietly();
  }

  #onSocketError(error: Error): void {
    if (this.#state === ConnectionState.connecting) {
      const code = this.#socket.connecting || isConnectError(error) ? 'UPSTREAM_CONNECT_FAILED' : 'UPSTREAM_TLS_FAILED';
      this.#fail(new GatewayError(code, error.message, { cause: error }));
    } else this.#fail(new GatewayError('UPSTREAM_CLOSED', error.message, { cause: error }));
  }

  #onClose(): void {
    this.#deadlines.delete(this);
    const wasIdle = this.#state === ConnectionState.idle;
    if (!wasIdle && this.#sink !== undefined) this.#fail(new GatewayError('UPSTREAM_CLOSED'));
    this.#state = ConnectionState.closed;
    if (wasIdle) this.onIdleClose?.(this);
  }

  #fail(error: GatewayError): void {
    const sink = this.#sink;
    this.#sink = undefined;
    this.#deadlines.delete(this);
    this.#socket.destroy();
    if (this.#state === ConnectionState.tunnel) sink?.onTunnelEnd();
    else sink?.onError(error);
  }
}

/** Not after a message that another reader could frame differently (RFC 9112 §6.1, §6.3): its rest may still be on the way. */
function isReusable(head: ResponseHead): boolean {
  if (head.status === 204 && (head.contentLength ?? 0) > 0) return false;
  if (head.bodyLength === BodyLength.chunked && (head.minor === 0 || head.status === 204)) return false;
  return head.keepAlive;
}

function isConnectError(error: Error): boolean {
  return 'syscall' in error && error.syscall === 'connect';
}
