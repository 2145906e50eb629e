/**
 * One client socket: requests in, responses out, in order (RFC 9112 §9). Sits between the listener and the exchange handler;
 * knows framing, limits and time-outs, and nothing of routes.
 *
 *   idle ──head──► active ──response and body done──► idle          tunnel: bytes both ways after 101
 *     │              │                                               lingering: answered, closing, input is thrown away
 *     └─error──► lingering ──► closed
 *
 * Invariant: one exchange at a time; bytes of the next request wait (bounded) until this one is answered.
 * One state machine, hence longer than most files.
 */
import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { GatewayError } from '../../errors/gateway-error.ts';
import type { TlsConnection } from '../../plugin/exchange.ts';
import type { BodySink } from './body-sink.ts';
import { ChunkedDecoder } from './chunked.ts';
import type { Deadlines, Expiring } from './deadlines.ts';
import type { Fields } from './fields.ts';
import { BodyLength, type HeadLimits, parseRequestHead, type RequestHead } from './parse-head.ts';
import { readShared } from './shared-read.ts';
import type { Flushable, WriteQueue } from './write-queue.ts';

export interface ClientLimits extends HeadLimits {
  /** All in milliseconds; 0: no limit. */
  readonly headerTimeoutMs: number;
  readonly bodyTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  readonly sendTimeoutMs: number;
  /** Requests on one connection; then it is closed. */
  readonly maxRequests: number;
}

/** What the proxy does with a request. One object a request, made by `onRequest`. */
export interface ConnectionHandler {
  onAccept(connection: ClientConnection): void;
  /** A whole head was read. The handler answers through the connection, now or later. */
  onRequest(connection: ClientConnection, head: RequestHead): ExchangeListener;
  /** The bytes were no acceptable request: the connection answers and closes by itself. For the log. */
  onBadRequest(connection: ClientConnection, error: GatewayError): void;
  onClose(connection: ClientConnection): void;
}

export interface ExchangeListener {
  /** The client went away before the response was complete. */
  onClientGone(): void;
  /** The client takes bytes again after `writeBody` returned false. */
  onDrain(): void;
}

const ConnectionState = { idle: 0, active: 1, tunnel: 2, lingering: 3, closed: 4 } as const;
type ConnectionState = (typeof ConnectionState)[keyof typeof ConnectionState];

/** A body piece up to this many bytes is sent as text together with the head: one write instead of two. */
const maxInlineBytes = 8192;
/** Unread request body up to this many bytes is read and dropped to keep the connection. */
const maxDiscardBytes = 65_536;
const maxWaitingBytes = 65_536;
const lingerMs = 2000;

export class ClientConnection implements Expiring, Flushable {
  deadline = 0;
  readonly socket: Socket;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  /** undefined: the connection is not encrypted. */
  readonly tls: TlsConnection | undefined;
  /** Bytes of the current exchange. */
  bytesReceived = 0;
  bytesSent = 0;
  bodyBytesSent = 0;
  /** Host of the last request, parsed; the exchange's to fill. */
  authority: { readonly raw: string; readonly host: string; readonly port: number | undefined } | undefined = undefined;
  /** The X-Forwarded-* lines that requests of this connection share, for an address and a Host; the forwarding's to fill. */
  forwardedFor = '';
  forwardedHost = '';
  forwardedText = '';

  #state: ConnectionState = ConnectionState.idle;
  #processing = false;
  #waiting: Buffer | undefined;
  #paused = false;
  #clientEnded = false;
  #requests = 0;
  #listener: ExchangeListener | undefined;
  #stopping = false;

  #bodyLeft = 0;
  #decoder: ChunkedDecoder | undefined;
  #sink: BodySink | undefined;
  #bodyPaused = false;
  #mustContinue = false;
  #bodyDone = true;

  #minor = 1;
  #headOnly = false;
  #keepAlive = true;
  /** Bytes of responses that leave with this turn of the event loop. */
  #pending = '';
  #queued = false;
  #chunkedOut = false;
  /** The response has no framing but the end of the connection (HTTP/1.0 clients). */
  #untilClose = false;
  #responding = false;
  #tunnelPeer: ((piece: Buffer) => boolean) | undefined;
  #tunnelEnd: (() => void) | undefined;

  readonly #handler: ConnectionHandler;
  readonly #limits: ClientLimits;
  readonly #deadlines: Deadlines;
  readonly #writes: WriteQueue;

  /** `accepted` is this connection's from here on; what others need of it is at `socket`. */
  constructor(
    accepted: Socket,
    tls: TlsConnection | undefined,
    handler: ConnectionHandler,
    limits: ClientLimits,
    deadlines: Deadlines,
    writes: WriteQueue,
  ) {
    this.tls = tls;
    this.#handler = handler;
    this.#limits = limits;
    this.#deadlines = deadlines;
    this.#writes = writes;
    const onBytes = (buffer: Buffer, length: number): void => {
      this.#onBytes(buffer, length);
    };
    let socket = accepted;
    if (tls !== undefined) {
      accepted.on('data', (chunk: Buffer) => {
        onBytes(chunk, chunk.length);
      });
    } else socket = readShared(accepted, onBytes);
    this.socket = socket;
    this.remoteAddress = plainAddress(socket.remoteAddress);
    this.remotePort = socket.remotePort ?? 0;
    this.localAddress = plainAddress(socket.localAddress);
    this.localPort = socket.localPort ?? 0;
    this.deadline = deadlines.after(limits.headerTimeoutMs);
    deadlines.add(this);
    socket.on('end', () => {
      this.#onEnd();
    });
    socket.on('drain', () => {
      if (this.#state === ConnectionState.active) {
        this.deadline = 0;
        this.#listener?.onDrain();
      } else if (this.#state === ConnectionState.tunnel) this.#listener?.onDrain();
    });
    // 'close' follows and carries the state change.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#onClose();
    });
  }

  // ---- request body -------------------------------------------------------------------------------------------------

  /** The request has a body that has not been read to its end. */
  get hasBody(): boolean {
    return !this.#bodyDone;
  }

  /** Starts the body flowing into `sink`; answers `Expect: 100-continue` first (RFC 9110 §10.1.1). */
  readBody(sink: BodySink): void {
    if (this.#bodyDone) {
      sink.onEnd(undefined);
      return;
    }
    if (this.#state !== ConnectionState.active) {
      sink.onError(new GatewayError('CLIENT_CLOSED'));
      return;
    }
    this.#sink = sink;
    if (this.#mustContinue) {
      this.#mustContinue = false;
      this.#append('HTTP/1.1 100 Continue\r\n\r\n');
      this.flushWrites();
    }
    this.deadline = this.#deadlines.after(this.#limits.bodyTimeoutMs);
    this.#resume();
    if (!this.#processing) this.#processWaiting();
    if (this.#clientEnded) this.#endInsideBody();
  }

  pauseBody(): void {
    this.#bodyPaused = true;
    // Whoever takes the body is slow, not the client.
    this.deadline = 0;
  }

  resumeBody(): void {
    if (!this.#bodyPaused) return;
    this.#bodyPaused = false;
    if (!this.#bodyDone) this.deadline = this.#deadlines.after(this.#limits.bodyTimeoutMs);
    this.#resume();
    if (!this.#processing) this.#processWaiting();
  }

  // ---- response -----------------------------------------------------------------------------------------------------

  /** An informational response (1xx), forwarded to HTTP/1.1 clients only (RFC 9110 §15.2). */
  sendInformational(head: string): void {
    if (this.#minor !== 1 || this.#responding) return;
    this.#append(head);
    this.flushWrites();
  }

  /**
   * Begins the response. `fields` is the serialised field section without Connection, Content-Length, Transfer-Encoding and
   * the last CRLF. `length`: bytes of body, or BodyLength.chunked / untilClose where it is unknown; `contentLength` is sent
   * as it is on answers without a body (HEAD, 304).
   */
  startResponse(status: number, reason: string, fields: string, length: number, contentLength?: number): void {
    this.#responding = true;
    const bodyless = this.#headOnly || status === 204 || status === 304;
    let framing = '';
    this.#chunkedOut = false;
    this.#untilClose = false;
    if (bodyless) {
      if (contentLength !== undefined && status !== 204) framing = `Content-Length: ${contentLength}\r\n`;
      else if (length < 0 && this.#headOnly && this.#minor === 1 && status !== 204 && status !== 304)
        framing = 'Transfer-Encoding: chunked\r\n';
    } else if (length >= 0) framing = `Content-Length: ${length}\r\n`;
    else if (this.#minor === 1) {
      framing = 'Transfer-Encoding: chunked\r\n';
      this.#chunkedOut = true;
    } else {
      this.#keepAlive = false;
      this.#untilClose = true;
    }
    if (this.#keepAlive && !this.#bodyDone && !this.#discardable()) this.#keepAlive = false;
    if (this.#stopping || this.#clientEnded || this.#requests >= this.#limits.maxRequests) this.#keepAlive = false;
    this.#headOnly = bodyless;
    this.#append(
      `HTTP/1.1 ${status} ${reason}\r\n${fields}${framing}${this.#keepAlive ? 'Connection: keep-alive\r\n\r\n' : 'Connection: close\r\n\r\n'}`,
    );
  }

  /** `buffer[from, to)` as a piece of the body; kept only as a copy. False: the client is slow, wait for onDrain. */
  writeBody(buffer: Buffer, from = 0, to = buffer.length): boolean {
    const length = to - from;
    if (this.#headOnly || length === 0) return true;
    this.bodyBytesSent += length;
    if (length <= maxInlineBytes && this.#pending.length + length <= maxInlineBytes * 2) {
      const text = buffer.toString('latin1', from, to);
      this.#append(this.#chunkedOut ? `${length.toString(16)}\r\n${text}\r\n` : text);
      return !this.socket.writableNeedDrain;
    }
    this.socket.cork();
    if (this.#chunkedOut) this.#append(`${length.toString(16)}\r\n`);
    this.flushWrites();
    this.bytesSent += length;
    const room = this.socket.write(Buffer.from(buffer.subarray(from, to)));
    if (this.#chunkedOut) this.#append('\r\n');
    this.socket.uncork();
    if (!room) this.deadline = this.#deadlines.after(this.#limits.sendTimeoutMs);
    return room;
  }

  /** What `startResponse` and `writeBody` have gathered leaves with this turn of the event loop. False as in `writeBody`. */
  flush(): boolean {
    if (!this.#queued && this.#pending !== '') {
      this.#queued = true;
      this.#writes.add(this);
    }
    return !this.socket.writableNeedDrain;
  }

  flushWrites(): void {
    this.#queued = false;
    if (this.#pending === '' || this.#state === ConnectionState.closed) return;
    const text = this.#pending;
    this.#pending = '';
    if (!this.socket.write(text, 'latin1')) this.deadline = this.#deadlines.after(this.#limits.sendTimeoutMs);
  }

  /** Completes the response; `trailers`: serialised field lines, only sent where the body is chunked. */
  endResponse(trailers = ''): void {
    if (this.#chunkedOut) this.#append(`0\r\n${trailers}\r\n`);
    this.flush();
    this.#responding = false;
    this.#finish();
  }

  /** Ends a response that cannot be completed: where its end is the connection's, only a reset tells the client so. */
  abortResponse(): void {
    this.#pending = '';
    if (this.#untilClose && this.tls === undefined) this.socket.resetAndDestroy();
    else this.socket.destroy();
  }

  get responding(): boolean {
    return this.#responding;
  }

  // ---- upgrade ------------------------------------------------------------------------------------------------------

  /** From here on bytes pass both ways: `toPeer` gets the client's (false: pause, until `resumeTunnel`). */
  startTunnel(head: string, toPeer: (piece: Buffer) => boolean, onClientEnd: () => void): void {
    this.#state = ConnectionState.tunnel;
    this.#tunnelPeer = toPeer;
    this.#tunnelEnd = onClientEnd;
    this.deadline = 0;
    this.#append(head);
    this.flushWrites();
    const waiting = this.#waiting;
    this.#waiting = undefined;
    this.#resume();
    if (waiting !== undefined) this.#onBytes(waiting, waiting.length);
  }

  /** False: the client is slow, wait for onDrain. */
  writeTunnel(piece: Buffer): boolean {
    this.bytesSent += piece.length;
    this.bodyBytesSent += piece.length;
    return this.socket.write(Buffer.from(piece));
  }

  resumeTunnel(): void {
    this.#resume();
  }

  endTunnel(): void {
    this.socket.end();
    // A client that does not close its half in turn is not waited for.
    this.deadline = this.#deadlines.after(lingerMs);
  }

  // ---- life ---------------------------------------------------------------------------------------------------------

  /** No further request: idle connections close now, busy ones after their response. */
  stop(): void {
    this.#stopping = true;
    if (this.#state === ConnectionState.idle) this.#linger();
  }

  destroy(): void {
    this.socket.destroy();
  }

  onDeadline(): void {
    switch (this.#state) {
      case ConnectionState.idle:
        if (this.#waiting === undefined || this.#waiting.length === 0) this.#linger();
        else this.refuse(new GatewayError('REQUEST_TIMEOUT', 'the request head did not arrive in time'));
        break;
      case ConnectionState.active:
        if (!this.#bodyDone && this.#sink !== undefined && this.#sink !== discard && !this.#bodyPaused) {
          const sink = this.#sink;
          this.#sink = undefined;
          this.#keepAlive = false;
          sink.onError(new GatewayError('REQUEST_TIMEOUT', 'the request body did not arrive in time'));
        } else this.socket.destroy();
        break;
      default:
        this.socket.destroy();
    }
  }

  /** `chunk[0, length)` is valid during the call only. */
  #onBytes(chunk: Buffer, length: number): void {
    switch (this.#state) {
      case ConnectionState.tunnel:
        this.bytesReceived += length;
        if (this.#tunnelPeer?.(chunk.subarray(0, length)) === false) this.#pause();
        return;
      case ConnectionState.lingering:
      case ConnectionState.closed:
        return;
      default:
    }
    if (this.#waiting !== undefined) {
      const piece = chunk.subarray(0, length);
      const bytes = Buffer.concat([this.#waiting, piece]);
      // A head can only have become complete, or wrong, at the end of a line.
      if (this.#state === ConnectionState.idle && !piece.includes(0x0a) && bytes.length <= this.#limits.maxHeadBytes) {
        this.#waiting = bytes;
        return;
      }
      this.#waiting = undefined;
      this.#process(bytes, bytes.length);
    } else this.#process(chunk, length);
  }

  #processWaiting(): void {
    const bytes = this.#waiting;
    if (bytes === undefined) return;
    this.#waiting = undefined;
    this.#process(bytes, bytes.length);
  }

  #process(bytes: Buffer, end: number): void {
    this.#processing = true;
    let position = 0;
    try {
      while (position < end) {
        if (this.#state === ConnectionState.idle) {
          const from = position;
          const head = parseRequestHead(bytes, position, end, this.#limits);
          if (head === undefined) {
            this.#keep(bytes, position, end);
            // The whole head has one deadline: a slow drip does not extend it.
            if (this.#requests > 0 && position === from) this.#startHeadDeadline();
            break;
          }
          position = head.end;
          this.#begin(head, head.end - from);
        } else if (this.#state === ConnectionState.active && !this.#bodyDone) {
          if (this.#sink === undefined || this.#bodyPaused) {
            this.#keep(bytes, position, end);
            this.#pause();
            break;
          }
          position = this.#readBodyBytes(bytes, position, end);
        } else if (this.#state === ConnectionState.active) {
          this.#keep(bytes, position, end);
          if (end - position > maxWaitingBytes) this.#pause();
          break;
        } else if (this.#state === ConnectionState.tunnel) {
          const rest = bytes.subarray(position, end);
          position = end;
          this.#onBytes(rest, rest.length);
        } else break;
      }
    } catch (error) {
      this.#onParseError(
        error instanceof GatewayError ? error : new GatewayError('REQUEST_MALFORMED', 'unexpected', { cause: error }),
      );
    } finally {
      this.#processing = false;
    }
  }

  #headDeadlineSet = false;
  #startHeadDeadline(): void {
    if (this.#headDeadlineSet) return;
    this.#headDeadlineSet = true;
    this.deadline = this.#deadlines.after(this.#limits.headerTimeoutMs);
  }

  #begin(head: RequestHead, headBytes: number): void {
    this.#state = ConnectionState.active;
    this.#headDeadlineSet = false;
    this.#requests++;
    this.deadline = 0;
    this.#minor = head.minor;
    this.#headOnly = head.method === 'HEAD';
    this.#keepAlive = head.keepAlive;
    this.bytesReceived = headBytes;
    this.bytesSent = 0;
    this.bodyBytesSent = 0;
    this.#sink = undefined;
    this.#bodyPaused = false;
    this.#mustContinue = head.expectContinue;
    this.#bodyDone = head.bodyLength === BodyLength.none;
    this.#bodyLeft = head.bodyLength;
    this.#decoder =
      head.bodyLength === BodyLength.chunked ? new ChunkedDecoder('REQUEST_MALFORMED', this.#limits) : undefined;
    const listener = this.#handler.onRequest(this, head);
    // onRequest may have answered already; the listener is only for what is still under way.
    if (this.#underWay()) this.#listener = listener;
  }

  #underWay(): boolean {
    return this.#state === ConnectionState.active || this.#state === ConnectionState.tunnel;
  }

  #readBodyBytes(bytes: Buffer, from: number, end: number): number {
    const sink = this.#sink;
    if (sink === undefined) return from;
    this.deadline = this.#deadlines.after(this.#limits.bodyTimeoutMs);
    const decoder = this.#decoder;
    if (decoder !== undefined) {
      const to = decoder.decode(bytes, from, end, (start, pieceEnd) => {
        sink.onData(bytes.subarray(start, pieceEnd));
      });
      this.bytesReceived += to - from;
      if (decoder.done) this.#endBody(sink, decoder.trailers);
      return to;
    }
    const to = Math.min(end, from + this.#bodyLeft);
    this.#bodyLeft -= to - from;
    this.bytesReceived += to - from;
    sink.onData(from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to));
    if (this.#bodyLeft === 0) this.#endBody(sink, undefined);
    return to;
  }

  #endBody(sink: BodySink, trailers: Fields | undefined): void {
    this.#bodyDone = true;
    this.#sink = undefined;
    this.#decoder = undefined;
    this.deadline = 0;
    sink.onEnd(trailers);
    if (sink === discard) this.#finish();
  }

  #onParseError(error: GatewayError): void {
    const sink = this.#sink;
    if (this.#state === ConnectionState.active && !this.#bodyDone && sink !== undefined) {
      this.#sink = undefined;
      this.#keepAlive = false;
      if (sink === discard) this.#linger();
      else sink.onError(error);
      return;
    }
    this.refuse(error);
  }

  /** Answers with an error of the request itself and closes. */
  refuse(error: GatewayError): void {
    this.#handler.onBadRequest(this, error);
    const body = `{"error_msg":"${error.publicMessage}"}\n`;
    this.#append(
      `HTTP/1.1 ${error.publicMessage}\r\nDate: ${new Date().toUTCString()}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
    );
    this.#linger();
  }

  /** The response is sent: read the rest of the request away, then wait for the next one. */
  #finish(): void {
    if (this.#state !== ConnectionState.active || this.#responding) return;
    if (!this.#bodyDone && this.#keepAlive) {
      if (this.#sink !== discard) {
        this.#mustContinue = false;
        this.#bodyPaused = false;
        this.readBody(discard);
      }
      return;
    }
    this.#listener = undefined;
    if (!this.#keepAlive || this.#stopping) {
      this.#linger();
      return;
    }
    this.#state = ConnectionState.idle;
    this.deadline = this.#deadlines.after(this.#limits.keepAliveTimeoutMs);
    if (this.#clientEnded && this.#waiting === undefined) {
      this.#linger();
      return;
    }
    this.#resume();
    if (!this.#processing && this.#waiting !== undefined) this.#processWaiting();
  }

  #discardable(): boolean {
    return !this.#mustContinue && this.#decoder === undefined && this.#bodyLeft <= maxDiscardBytes;
  }

  /** Closes in a way that lets the client read the answer first (RFC 9112 §9.6). */
  #linger(): void {
    this.flushWrites();
    this.#state = ConnectionState.lingering;
    this.#waiting = undefined;
    this.#listener = undefined;
    this.deadline = this.#deadlines.after(lingerMs);
    this.socket.end();
    if (this.#clientEnded) this.socket.destroySoon();
    else this.#resume();
  }

  #onEnd(): void {
    this.#clientEnded = true;
    if (this.#state === ConnectionState.tunnel) this.#tunnelEnd?.();
    else if (this.#state === ConnectionState.lingering) this.socket.destroySoon();
    else if (this.#state === ConnectionState.idle) this.#linger();
    else if (this.#bodyDone) {
      // As nginx has it (499): a client that closes its half is gone. Who only half-closes is rare, and who went away must not hold the
      // upstream and a place of limit-conn.
      this.socket.destroy();
    } else this.#endInsideBody();
  }

  /** A body that nobody reads yet is found to be short when it is read. */
  #endInsideBody(): void {
    if (!this.#bodyDone && this.#sink !== undefined && this.#waiting === undefined)
      this.#onParseError(new GatewayError('REQUEST_MALFORMED', 'the connection ended inside the body'));
  }

  #onClose(): void {
    const wasActive = this.#state === ConnectionState.active || this.#state === ConnectionState.tunnel;
    this.#state = ConnectionState.closed;
    this.#deadlines.delete(this);
    this.#waiting = undefined;
    const sink = this.#sink;
    this.#sink = undefined;
    const listener = this.#listener;
    this.#listener = undefined;
    if (sink !== undefined && sink !== discard) sink.onError(new GatewayError('CLIENT_CLOSED'));
    if (wasActive) listener?.onClientGone();
    this.#handler.onClose(this);
  }

  /** The bytes may lie in the buffer of the next read: they are copied. */
  #keep(bytes: Buffer, position: number, end: number): void {
    if (position < end) this.#waiting = Buffer.from(bytes.subarray(position, end));
  }

  #pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.socket.pause();
  }

  #resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.socket.resume();
  }

  #append(text: string): void {
    this.bytesSent += text.length;
    this.#pending += text;
  }
}

/** Reads a body away. */
const discard: BodySink = {
  onData: () => undefined,
  onEnd: () => undefined,
  onError: () => undefined,
};

/** IPv4-mapped IPv6 as IPv4. */
function plainAddress(address: string | undefined): string {
  if (address === undefined) return '';
  return address.startsWith('::ffff:') ? address.slice(7) : address;
}
