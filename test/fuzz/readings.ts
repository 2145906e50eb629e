/** How a server read a stream of bytes: by node:http's own parser, and by ours, each behind a real socket. */
import { createServer, type IncomingMessage } from 'node:http';
import { connect, type Server } from 'node:net';
import { GatewayError } from '../../src/errors/gateway-error.ts';
import { ProxyExchange } from '../../src/proxy/exchange.ts';
import { distrust } from '../wire/gateway.ts';
import {
  closeServer,
  EchoHandler,
  portOf,
  readWhole,
  type SeenRequest,
  seenRequest,
  startEngine,
} from '../wire/harness.ts';

export interface Reading {
  readonly requests: SeenRequest[];
  /** The server said no, to the last request or to what follows it; an end of input inside a request is no refusal. */
  refused: boolean;
}

export interface Reader extends AsyncDisposable {
  /** `splitAt`: the bytes from there on go in a segment of their own. */
  read(bytes: Buffer, splitAt?: number): Promise<Reading>;
}

/** The client's port → what its connection gave. */
type Readings = Map<number, Reading>;

function readingOf(readings: Readings, port: number): Reading {
  let reading = readings.get(port);
  if (reading === undefined) readings.set(port, (reading = { requests: [], refused: false }));
  return reading;
}

export async function startNodeReader(): Promise<Reader> {
  const readings: Readings = new Map();
  const server = createServer(
    { requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 60_000 },
    (message, response) => {
      record(readingOf(readings, message.socket.remotePort ?? 0), message);
      message.on('end', () => response.end('ok'));
      message.on('error', () => undefined);
    },
  );
  // Requests that were read whole are answered after a half-close, too.
  Object.assign(server, { httpAllowHalfOpen: true });
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const { remotePort = 0 } = socket as { remotePort?: number };
    if (error.code !== 'HPE_INVALID_EOF_STATE') readingOf(readings, remotePort).refused = true;
    // What was read before is still on its way to its listeners.
    setImmediate(() => setImmediate(() => socket.destroy()));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    read: (bytes, splitAt) => exchangeBytes(server, readings, bytes, splitAt),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await closeServer(server);
    },
  };
}

function record(reading: Reading, message: IncomingMessage): void {
  const pieces: Buffer[] = [];
  const request: SeenRequest = {
    method: message.method ?? '',
    target: message.url ?? '',
    minor: message.httpVersionMinor,
    fields: pairs(message.rawHeaders),
    keepAlive: true,
    body: Buffer.alloc(0),
    trailers: [],
    complete: false,
  };
  reading.requests.push(request);
  message.on('data', (piece: Buffer) => {
    pieces.push(piece);
    request.body = Buffer.concat(pieces);
  });
  message.on('end', () => {
    request.complete = message.complete;
    request.trailers = pairs(message.rawTrailers);
  });
}

function pairs(raw: readonly string[]): [string, string][] {
  const result: [string, string][] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) result.push([raw[i] ?? '', raw[i + 1] ?? '']);
  return result;
}

export async function startOurReader(): Promise<Reader> {
  const readings: Readings = new Map();
  const echo = new EchoHandler();
  const engine = await startEngine({
    onRequest: (connection, head) => {
      const reading = readingOf(readings, connection.remotePort);
      const request = seenRequest(head);
      const listener = { onClientGone: () => undefined, onDrain: () => undefined };
      try {
        // Target, path and Host are judged here.
        new ProxyExchange(connection, head, distrust);
      } catch (error) {
        if (!(error instanceof GatewayError)) throw error;
        connection.refuse(error);
        return listener;
      }
      reading.requests.push(request);
      readWhole(
        connection,
        request,
        () => {
          echo.answer(connection, request);
        },
        (error) => {
          connection.refuse(error);
        },
      );
      return listener;
    },
    onBadRequest: (connection, error) => {
      if (error.detail !== 'the connection ended inside the body')
        readingOf(readings, connection.remotePort).refused = true;
    },
  });
  return {
    read: (bytes, splitAt) => exchangeBytes(engine, readings, bytes, splitAt),
    [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose](),
  };
}

/** A server that has not closed by then will not. */
const patienceMs = 4000;

/** Sends, half-closes, and waits for the server to close. Rejects where ours does not; node:http waits after an upgrade. */
async function exchangeBytes(
  server: Server | { readonly port: number },
  readings: Readings,
  bytes: Buffer,
  splitAt: number | undefined,
): Promise<Reading> {
  const port = 'port' in server ? server.port : portOf(server);
  const socket = connect({ host: '127.0.0.1', port, noDelay: true, allowHalfOpen: true });
  let own = 0;
  const patience = AbortSignal.timeout(patienceMs);
  const giveUp = (): void => {
    socket.destroy();
  };
  patience.addEventListener('abort', giveUp);
  await new Promise<void>((resolve) => {
    socket.on('connect', () => {
      own = socket.localPort ?? 0;
      if (splitAt === undefined) socket.end(bytes);
      else {
        socket.write(bytes.subarray(0, splitAt));
        setImmediate(() => socket.end(bytes.subarray(splitAt)));
      }
    });
    socket.on('end', () => socket.end());
    socket.on('error', () => undefined);
    socket.on('close', () => {
      resolve();
    });
    socket.resume();
  });
  patience.removeEventListener('abort', giveUp);
  if (patience.aborted && 'port' in server) throw new Error(`still open: ${JSON.stringify(bytes.toString('latin1'))}`);
  const reading = readings.get(own) ?? { requests: [], refused: false };
  readings.delete(own);
  return reading;
}
