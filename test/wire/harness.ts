/**
 * The HTTP/1.1 engine alone on a real socket: a listener whose handler answers each request with what was parsed of it.
 * No routes, no upstream; `gateway.ts` has those.
 */
import type { Server } from 'node:net';
import type { GatewayError } from '../../src/errors/gateway-error.ts';
import type {
  ClientConnection,
  ClientLimits,
  ConnectionHandler,
  ExchangeListener,
} from '../../src/proxy/http1/client-connection.ts';
import { createDeadlines } from '../../src/proxy/http1/deadlines.ts';
import type { RequestHead } from '../../src/proxy/http1/parse-head.ts';
import { WriteQueue } from '../../src/proxy/http1/write-queue.ts';
import { listen } from '../../src/proxy/listener/listener.ts';
import { RawClient } from './raw-client.ts';

export const testLimits: ClientLimits = {
  maxHeadBytes: 16_384,
  maxFields: 100,
  headerTimeoutMs: 30_000,
  bodyTimeoutMs: 30_000,
  keepAliveTimeoutMs: 30_000,
  sendTimeoutMs: 30_000,
  maxRequests: Infinity,
};

/** What was parsed of one request. */
export interface SeenRequest {
  readonly method: string;
  readonly target: string;
  readonly minor: number;
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly keepAlive: boolean;
  body: Buffer;
  trailers: readonly (readonly [name: string, value: string])[];
  /** The body came to its end. */
  complete: boolean;
}

export interface Engine extends AsyncDisposable {
  readonly port: number;
  readonly connections: Set<ClientConnection>;
  connect(): Promise<RawClient>;
}

/** A handler of which a test gives what it needs. */
export type EngineHandler = Pick<ConnectionHandler, 'onRequest'> & Partial<ConnectionHandler>;

/** The sweep of time-outs is frequent, so that a test of one does not wait long. */
export async function startEngine(handler: EngineHandler, limits: Partial<ClientLimits> = {}): Promise<Engine> {
  const deadlines = createDeadlines(5);
  const writes = new WriteQueue();
  const connections = new Set<ClientConnection>();
  const tracking: ConnectionHandler = {
    onAccept: (connection) => {
      connections.add(connection);
      handler.onAccept?.(connection);
    },
    onRequest: (connection, head) => handler.onRequest(connection, head),
    onBadRequest: (connection, error) => handler.onBadRequest?.(connection, error),
    onClose: (connection) => {
      connections.delete(connection);
      handler.onClose?.(connection);
    },
  };
  const server = await listen({ ip: '127.0.0.1', port: 0, setting: 'test' }, undefined, {
    handler: tracking,
    limits: { ...testLimits, ...limits },
    deadlines,
    writes,
  });
  const port = portOf(server);
  return {
    port,
    connections,
    connect: () => RawClient.connect(port),
    [Symbol.asyncDispose]: async () => {
      for (const connection of connections) connection.destroy();
      await closeServer(server);
      deadlines.dispose();
    },
  };
}

export function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not listening on a port');
  return address.port;
}

export async function closeServer(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => {
      resolve();
    });
  });
}

/** Reads the body, piece by piece, into `request`; `onEnd` when all of it has come. */
export function readWhole(
  connection: ClientConnection,
  request: SeenRequest,
  onEnd: () => void,
  onError: (error: GatewayError) => void,
): void {
  const pieces: Buffer[] = [];
  connection.readBody({
    onData: (piece) => {
      pieces.push(Buffer.from(piece));
      request.body = Buffer.concat(pieces);
    },
    onEnd: (trailers) => {
      request.complete = true;
      request.trailers = trailers === undefined ? [] : [...trailers.entries()];
      onEnd();
    },
    onError,
  });
}

/** Reads each body, then answers 200 with `METHOD target body-length` and the body itself. */
export class EchoHandler implements EngineHandler {
  readonly requests: SeenRequest[] = [];
  readonly errors: GatewayError[] = [];
  gone = 0;

  onAccept(): void {
    // Nothing to prepare.
  }

  onRequest(connection: ClientConnection, head: RequestHead): ExchangeListener {
    const request = seenRequest(head);
    this.requests.push(request);
    readWhole(
      connection,
      request,
      () => {
        this.answer(connection, request);
      },
      (error) => {
        this.errors.push(error);
        connection.refuse(error);
      },
    );
    return {
      onClientGone: () => {
        this.gone++;
      },
      onDrain: () => undefined,
    };
  }

  answer(connection: ClientConnection, request: SeenRequest): void {
    const text = `${request.method} ${request.target} ${request.body.length}\n`;
    const body = Buffer.concat([Buffer.from(text, 'latin1'), request.body]);
    connection.startResponse(200, 'OK', '', body.length, request.method === 'HEAD' ? body.length : undefined);
    connection.writeBody(body);
    connection.endResponse();
  }

  onBadRequest(_connection: ClientConnection, error: GatewayError): void {
    this.errors.push(error);
  }
}

export function seenRequest(head: RequestHead): SeenRequest {
  return {
    method: head.method,
    target: head.target,
    minor: head.minor,
    fields: [...head.fields.entries()],
    keepAlive: head.keepAlive,
    body: Buffer.alloc(0),
    trailers: [],
    complete: false,
  };
}
