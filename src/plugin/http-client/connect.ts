/** Opens one connection, TLS included, within its time. */
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
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
  const socket = context === undefined ? connectTcp({ host, port }) : secure(context, host, port);
  const state = (): Connected => ({
    server,
    context,
    asked: context !== undefined && askedForCertificate(socket as TLSSocket),
  });
  const timer = setTimeout(() => {
    socket.destroy(new HttpClientError('TIMEOUT', `${server}: no connection within ${timeoutMs} ms`));
  }, timeoutMs);
  const onError = (error: Error): void => {
    end();
    done(connectionFailure(error, state(), false), socket, state());
  };
  const onConnect = (): void => {
    end();
    done(undefined, socket, state());
  };
  const end = (): void => {
    clearTimeout(timer);
    socket.off('error', onError).off(ready, onConnect).off('close', end);
  };
  const ready = context === undefined ? 'connect' : 'secureConnect';
  socket.setNoDelay(true).setKeepAlive(true, 60_000).on('error', onError).on(ready, onConnect).on('close', end);
  return socket;
}

function secure(context: TlsContext, host: string, port: number): TLSSocket {
  const servername = context.serverName ?? (isIP(host) === 0 ? host : '');
  return connectTls({
    host,
    port,
    servername,
    secureContext: context.secure,
    rejectUnauthorized: context.verify,
    ALPNProtocols: ['http/1.1'],
  });
}
