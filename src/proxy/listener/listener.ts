/** The data plane's sockets of one worker: plain and TLS listeners, each connection handed to the HTTP engine. */
import { createServer, type Server, type Socket } from 'node:net';
import type { TlsConnection } from '../../plugin/exchange.ts';
import { ClientConnection, type ClientLimits, type ConnectionHandler } from '../http1/client-connection.ts';
import type { Deadlines } from '../http1/deadlines.ts';
import type { WriteQueue } from '../http1/write-queue.ts';
import type { TlsFront } from './tls-front.ts';

export interface ListenAddress {
  readonly ip: string;
  readonly port: number;
  /** The setting that asked for it, for the message when the port is taken. */
  readonly setting: string;
}

export interface ListenerOptions {
  readonly handler: ConnectionHandler;
  readonly limits: ClientLimits;
  readonly deadlines: Deadlines;
  readonly writes: WriteQueue;
}

export class ListenError extends Error {
  override readonly name = 'ListenError';
  readonly setting: string;
  constructor(address: ListenAddress, cause: Error) {
    super(listenMessage(address, cause), { cause });
    this.setting = address.setting;
  }
}

/** One sentence for a person: which address, why, and by what setting. */
export function listenMessage(address: ListenAddress, cause: Error): string {
  const code = 'code' in cause ? cause.code : undefined;
  const why =
    code === 'EADDRINUSE'
      ? 'is already in use'
      : code === 'EACCES'
        ? 'needs more rights than this process has'
        : cause.message;
  return `${address.ip}:${address.port} ${why} (setting ${address.setting})`;
}

/** Several workers listen on one address: the kernel spreads connections (SO_REUSEPORT). Rejects with ListenError. */
export function listen(address: ListenAddress, tls: TlsFront | undefined, options: ListenerOptions): Promise<Server> {
  const { handler, limits, deadlines, writes } = options;
  const accept = (socket: Socket, peer: TlsConnection | undefined): void => {
    handler.onAccept(new ClientConnection(socket, peer, handler, limits, deadlines, writes));
  };
  const server =
    tls?.createServer(accept) ??
    createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      accept(socket, undefined);
    });
  return bind(server, address, true);
}

/** Finds out whether the address is free: without SO_REUSEPORT, so that another gateway's listener counts as taken. */
export async function probe(address: ListenAddress): Promise<void> {
  const server = await bind(createServer(), address, false);
  await new Promise<void>((resolve) =>
    server.close(() => {
      resolve();
    }),
  );
}

function bind(server: Server, address: ListenAddress, reusePort: boolean): Promise<Server> {
  return new Promise((resolve, reject) => {
    const onError = (error: Error): void => {
      reject(new ListenError(address, error));
    };
    server.once('error', onError);
    server.listen({ host: address.ip, port: address.port, reusePort, backlog: 4096 }, () => {
      server.off('error', onError);
      resolve(server);
    });
  });
}
