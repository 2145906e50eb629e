/** Opens one connection, TLS included, within its time. */
import { connect as connectTcp, isIP, type LookupFunction, type Socket } from 'node:net';
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
  /** undefined: the system's. */
  readonly lookup: LookupFunction | undefined;
}

export type AddressesOf = (name: string) => Promise<readonly string[]>;

export function lookupBy(addressesOf: AddressesOf): LookupFunction {
  return (name, { all }, done) => {
    addressesOf(name).then(
      (addresses) => {
        const found = addresses.map((address) => ({ address, family: isIP(address) }));
        const [first] = found;
        if (first === undefined) done(Object.assign(new Error('no address'), { code: 'ENOTFOUND' }), '');
        else if (all === true) done(null, found);
        else done(null, first.address, first.family);
      },
      (error: unknown) => {
        done(error as Error, '');
      },
    );
  };
}

/**
 * Calls back once, with HttpClientError or the socket, which is the caller's from then on. Destroying the returned socket ends the
 * attempt without a call.
 */
export function connect(
  { host, port, context, timeoutMs, lookup }: ConnectTarget,
  done: (error: HttpClientError | undefined, socket: Socket, connected: Connected) => void,
): Socket {
  const server = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  const connected: Connected = { server, context, asked: false, error: undefined };
  const socket =
    context === undefined
      ? connectTcp({ host, port, ...(lookup === undefined ? {} : { lookup }) })
      : secure(context, host, port, lookup);
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

function secure(context: TlsContext, host: string, port: number, lookup: LookupFunction | undefined): TLSSocket {
  return connectTls({
    host,
    port,
    ...(lookup === undefined ? {} : { lookup }),
    servername: context.serverName ?? (isIP(host) === 0 ? host : ''),
    secureContext: context.secure,
    rejectUnauthorized: context.verify,
    ALPNProtocols: ['http/1.1'],
  });
}
