/** What a finished TLS handshake settled, for as long as its connection lives. Made once a connection by `tls-front.ts`. */
import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { TlsConnection } from '../../plugin/exchange.ts';
import { type ClientDemand, isWithinDepth } from './client-demand.ts';

export class TlsPeer implements TlsConnection {
  readonly #socket: TLSSocket;
  readonly serverName: string;
  /** What the handshake asked of the client; undefined: nothing. */
  readonly demand: ClientDemand | undefined;
  /** Why the client is not verified; undefined: it is, or nobody asked. */
  readonly problem: string | undefined;
  readonly clientVerify: string;
  readonly clientCertificate: X509Certificate | undefined;

  /** `problem`: one that is known already. */
  constructor(socket: TLSSocket, serverName: string, demand: ClientDemand | undefined, problem: string | undefined) {
    this.#socket = socket;
    this.serverName = serverName;
    this.demand = demand;
    const presented = demand === undefined ? undefined : socket.getPeerX509Certificate();
    this.problem = problem ?? (demand === undefined ? undefined : whyUnverified(socket, presented, demand));
    this.clientVerify =
      presented === undefined ? 'NONE' : this.problem === undefined ? 'SUCCESS' : `FAILED:${this.problem}`;
    // APISIX: $ssl_client_s_dn and the like are also those of a certificate that nobody has verified.
    this.clientCertificate = this.problem === undefined ? presented : undefined;
  }

  get protocol(): string {
    return this.#socket.getProtocol() ?? '';
  }
  get cipher(): string {
    // The types forget that a closed socket has none.
    return (this.#socket.getCipher() as { name: string } | undefined)?.name ?? '';
  }
  get sessionReused(): boolean {
    return this.#socket.isSessionReused();
  }
}

function whyUnverified(
  socket: TLSSocket,
  certificate: X509Certificate | undefined,
  demand: ClientDemand,
): string | undefined {
  if (certificate === undefined) return 'client certificate was not present';
  // OpenSSL's name of what is wrong, such as CERT_HAS_EXPIRED.
  if (!socket.authorized) return String(socket.authorizationError);
  return isWithinDepth(certificate, demand) ? undefined : 'CERT_CHAIN_TOO_LONG';
}
