/** A client of the TLS port that says what a test wants it to: server name, certificate, Host, and several requests on one connection. */
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { RawClient, type RawResponse } from './wire/raw-client.ts';

export interface TlsClient extends Disposable {
  readonly socket: TLSSocket;
  readonly raw: RawClient;
  /** The first session that the server gives out. */
  readonly session: Promise<Buffer>;
  get(host: string, target?: string): Promise<RawResponse>;
}

/** Accepts any server certificate. Rejects where the handshake fails; in TLS 1.3 a server may still end it after this resolved. */
export async function connectTls(port: number, options: ConnectionOptions): Promise<TlsClient> {
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options });
  const session = new Promise<Buffer>((resolve) => socket.once('session', resolve));
  await new Promise<void>((resolve, reject) => {
    socket.once('secureConnect', resolve).once('error', reject);
  });
  const raw = new RawClient(socket);
  return {
    socket,
    raw,
    session,
    get: (host, target = '/') => {
      raw.write(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      return raw.response();
    },
    [Symbol.dispose]: () => socket.destroy(),
  };
}

/** The status of one request on a connection of its own, or the error that ended the handshake. `host`: by default the server name. */
export async function statusOverTls(
  port: number,
  options: ConnectionOptions & { readonly host?: never; readonly as?: string },
  target = '/',
): Promise<number | string> {
  const { as: host = options.servername ?? '', ...rest } = options;
  let client: TlsClient | undefined;
  try {
    client = await connectTls(port, rest);
    return (await client.get(host, target)).status;
  } catch (error) {
    return String((client?.raw.error ?? (error as NodeJS.ErrnoException)).code);
  } finally {
    client?.[Symbol.dispose]();
  }
}
