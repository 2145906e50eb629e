/**
 * One end of a socket that writes exact bytes and reads exact bytes: a client, or an upstream's side of a connection. Its
 * message parser is its own, so that a test does not ask the code under test for its opinion. Everything waits on events of
 * the socket; nothing sleeps.
 */
import { connect, type Socket } from 'node:net';

export interface RawResponse {
  readonly version: string;
  readonly status: number;
  readonly reason: string;
  /** As received, in order. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** First value, by lower-case name. */
  header(name: string): string | undefined;
  readonly body: Buffer;
  readonly trailers: readonly (readonly [name: string, value: string])[];
}

export interface RawRequest {
  readonly method: string;
  readonly target: string;
  readonly version: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** First value, by lower-case name. */
  header(name: string): string | undefined;
  /** Every value, by lower-case name. */
  all(name: string): string[];
  readonly body: Buffer;
  readonly trailers: readonly (readonly [name: string, value: string])[];
}

export class RawClient {
  readonly socket: Socket;
  /** What came and no `response` has taken. */
  received: Buffer = Buffer.alloc(0);
  ended = false;
  closed = false;
  error: NodeJS.ErrnoException | undefined;
  /** Whoever waits for the next event; there may be several. */
  #waiting: (() => void)[] = [];

  static async connect(port: number): Promise<RawClient> {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true, allowHalfOpen: true });
    const client = new RawClient(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve).once('error', reject);
    });
    return client;
  }

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.received = Buffer.concat([this.received, chunk]);
      this.#wake();
    });
    socket.on('end', () => {
      this.ended = true;
      this.#wake();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.error = error;
    });
    socket.on('close', () => {
      this.ended = true;
      this.closed = true;
      this.#wake();
    });
  }

  /** Text is Latin-1. */
  write(bytes: string | Uint8Array): this {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
    return this;
  }

  /** Half-closes. */
  end(): this {
    this.socket.end();
    return this;
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }

  get text(): string {
    return this.received.toString('latin1');
  }

  /** Waits until `holds`; rejects when the connection ended and it still does not. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      if (this.closed || (this.ended && !holds()))
        throw new Error(`the connection ended after ${JSON.stringify(this.text)}`);
      await this.#more();
    }
  }

  /** Waits for the end of what the server sends; returns all of it that was not taken yet. */
  async untilEnd(): Promise<string> {
    while (!this.ended) await this.#more();
    return this.text;
  }

  /** The next whole response. `bodyless`: the answer to a HEAD request. Takes 1xx responses as responses. */
  async response(bodyless = false): Promise<RawResponse> {
    for (;;) {
      const parsed = parseResponse(this.received, bodyless, this.ended && this.error === undefined);
      if (parsed !== undefined) {
        this.received = this.received.subarray(parsed.end);
        return parsed.response;
      }
      if (this.ended) throw new Error(`no whole response in ${JSON.stringify(this.text)}`);
      await this.#more();
    }
  }

  /** The next whole request. */
  async request(): Promise<RawRequest> {
    for (;;) {
      const parsed = parseRequest(this.received);
      if (parsed !== undefined) {
        this.received = this.received.subarray(parsed.end);
        return parsed.request;
      }
      if (this.ended) throw new Error(`no whole request in ${JSON.stringify(this.text)}`);
      await this.#more();
    }
  }

  async untilClosed(): Promise<void> {
    while (!this.closed) await this.#more();
  }

  async #more(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

type FieldList = (readonly [string, string])[];

function parseResponse(
  bytes: Buffer,
  bodyless: boolean,
  ended: boolean,
): { response: RawResponse; end: number } | undefined {
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd < 0) return undefined;
  const [statusLine = '', ...lines] = bytes.toString('latin1', 0, headEnd).split('\r\n');
  const match = /^HTTP\/(1\.[01]) ([0-9]{3}) (.*)$/.exec(statusLine);
  if (match === null) throw new Error(`not a status line: ${JSON.stringify(statusLine)}`);
  const [, version = '', code = '', reason = ''] = match;
  const status = Number(code);
  const fields = lines.map(splitField);
  const header = (name: string): string | undefined => fields.find(([field]) => field.toLowerCase() === name)?.[1];
  const bodyStart = headEnd + 4;
  const base = { version, status, reason, fields, header };
  const length = header('content-length');
  if (bodyless || status < 200 || status === 204 || status === 304) {
    return { response: { ...base, body: Buffer.alloc(0), trailers: [] }, end: bodyStart };
  }
  if (header('transfer-encoding') === 'chunked') {
    if (length !== undefined) throw new Error('a response with both framings');
    const chunked = parseChunked(bytes, bodyStart);
    return chunked && { response: { ...base, body: chunked.body, trailers: chunked.trailers }, end: chunked.end };
  }
  if (length !== undefined) {
    const end = bodyStart + Number(length);
    if (bytes.length < end) return undefined;
    return { response: { ...base, body: bytes.subarray(bodyStart, end), trailers: [] }, end };
  }
  if (!ended) return undefined;
  return { response: { ...base, body: bytes.subarray(bodyStart), trailers: [] }, end: bytes.length };
}

function parseRequest(bytes: Buffer): { request: RawRequest; end: number } | undefined {
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd < 0) return undefined;
  const [requestLine = '', ...lines] = bytes.toString('latin1', 0, headEnd).split('\r\n');
  const match = /^([A-Z-]+) (\S+) HTTP\/(1\.[01])$/.exec(requestLine);
  if (match === null) throw new Error(`not a request line: ${JSON.stringify(requestLine)}`);
  const [, method = '', target = '', version = ''] = match;
  const fields = lines.map(splitField);
  const all = (name: string): string[] =>
    fields.filter(([field]) => field.toLowerCase() === name).map(([, value]) => value);
  const header = (name: string): string | undefined => all(name)[0];
  const base = { method, target, version, fields, header, all };
  const bodyStart = headEnd + 4;
  const length = header('content-length');
  if (header('transfer-encoding') === 'chunked') {
    if (length !== undefined) throw new Error('a request with both framings');
    const chunked = parseChunked(bytes, bodyStart);
    return chunked && { request: { ...base, body: chunked.body, trailers: chunked.trailers }, end: chunked.end };
  }
  const end = bodyStart + Number(length ?? 0);
  if (bytes.length < end) return undefined;
  return { request: { ...base, body: bytes.subarray(bodyStart, end), trailers: [] }, end };
}

function parseChunked(bytes: Buffer, from: number): { body: Buffer; trailers: FieldList; end: number } | undefined {
  const pieces: Buffer[] = [];
  let position = from;
  for (;;) {
    const lineEnd = bytes.indexOf('\r\n', position);
    if (lineEnd < 0) return undefined;
    const line = bytes.toString('latin1', position, lineEnd);
    if (!/^[0-9a-fA-F]+$/.test(line)) throw new Error(`not a chunk size: ${JSON.stringify(line)}`);
    const size = Number.parseInt(line, 16);
    position = lineEnd + 2;
    if (size === 0) break;
    if (bytes.length < position + size + 2) return undefined;
    pieces.push(bytes.subarray(position, position + size));
    position += size;
    if (bytes.toString('latin1', position, position + 2) !== '\r\n') throw new Error('no CRLF after a chunk');
    position += 2;
  }
  const trailers: FieldList = [];
  for (;;) {
    const lineEnd = bytes.indexOf('\r\n', position);
    if (lineEnd < 0) return undefined;
    const line = bytes.toString('latin1', position, lineEnd);
    position = lineEnd + 2;
    if (line === '') return { body: Buffer.concat(pieces), trailers, end: position };
    trailers.push(splitField(line));
  }
}

function splitField(line: string): readonly [string, string] {
  const colon = line.indexOf(':');
  if (colon <= 0) throw new Error(`not a field line: ${JSON.stringify(line)}`);
  return [line.slice(0, colon), line.slice(colon + 1).trim()];
}
