/** Opens one connection, TLS included, within its time. */
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, TLSSocket } from 'node:tls';
import { HttpClientError } from './http-client-error.ts';
import type { TlsContext } from './identity.ts';
import { askedForCertificate, connectionFailure, type Connected } from './tls-failure.ts';

export interface ConnectTarget {
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
  /** undefined: no TLS. */
  readonly context: TlsContext | undefined;
  readonly timeoutMs: number;
}

/**
 * Calls back once, with HttpClientError or the socket, which is the caller's from then on. Destroying the returned socket ends the
 * attempt without a call.
 */
export function connect(
  { host, port, context, timeoutMs }: ConnectTarget,
  done: (error: HttpClientError | undefined, socket: Socket, connected: Connected) => void,
): Socket {
  const server = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  const connected: Connected = { server, context, asked: false, error: undefined };
  const socket = context === undefined ? connectTcp({ host, port }) : secure(context, host, port);
  const look = (): void => {
    if (socket instanceof TLSSocket) connected.asked ||= askedForCertificate(socket);
  };
  const timer = setTimeout(() => {
    socket.destroy(new HttpClientError('TIMEOUT', `${server}: no connection within ${timeoutMs} ms`));
  }, timeoutMs);
  const settle = (error?: HttpClientError): void => {
    clearTimeout(timer);
    socket.off(ready, onReady).off('error', onError).off('close', onClose).off('end', look);
    if (error !== undefined || !socket.destroyed) done(error, socket, connected);
  };
  const onReady = (): void => {
    look();
    settle();
  };
  const onError = (error: Error): void => {
    look();
    settle(connectionFailure(error, connected, false));
  };
  const onClose = (): void => {
    clearTimeout(timer);
  };
  const ready = context === undefined ? 'connect' : 'secureConnect';
  socket
    .setNoDelay(true)
    .setKeepAlive(true, 60_000)
    .once(ready, onReady)
    .once('error', onError)
    .once('close', onClose)
    .on('error', (error) => (connected.error ??= error))
    // Before Node takes the handle away, and with it what the handshake had said.
    .prependListener('end', look);
  return socket;
}

function secure(context: TlsContext, host: string, port: number): TLSSocket {
  return connectTls({
    host,
    port,
    servername: context.serverName ?? (isIP(host) === 0 ? host : ''),
    secureContext: context.secure,
    rejectUnauthorized: context.verify,
    ALPNProtocols: ['http/1.1'],
  });
}
