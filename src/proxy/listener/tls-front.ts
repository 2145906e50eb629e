/**
 * The TLS side of one worker's listeners: which certificate a client is shown, whether it is asked for its own, and whether its
 * requests may pass with the one it showed.
 * Invariant: a request passes only where both the name of the handshake and the Host are content, as the items stand now.
 *
 * Leans on two internals of Node, as no public way asks for a certificate by server name: `_requestCert` and
 * `_handle.setVerifyMode`. Where they are not there, the handshake ends; where they do nothing, `authorized` stays false.
 */
import { constants } from 'node:crypto';
import type { Server } from 'node:net';
import {
  createServer,
  type SecureContext,
  type SecureContextOptions,
  type Server as TlsServer,
  type TLSSocket,
} from 'node:tls';
import type { ClientConnection } from '../http1/client-connection.ts';
import { type Certificates, keyPairs, type ServedItem, withoutDot } from './certificates.ts';
import { type ClientDemand, skips } from './client-demand.ts';
import { TlsPeer } from './tls-peer.ts';

export interface TlsFrontOptions {
  readonly certificates: Certificates;
  /** Versions and ciphers. */
  readonly protocol: SecureContextOptions;
  /** Sessions may be resumed by tickets, while no item asks for client certificates. */
  readonly sessionTickets: boolean;
  /** A handshake ended because of what an ssl item asks; the address may be gone. */
  readonly onRefused: (why: HandshakeRefusal) => void;
}

export interface HandshakeRefusal {
  readonly reason: 'tls.client_certificate_missing' | 'tls.item_unusable';
  readonly serverName: string;
  readonly client: string | undefined;
  readonly detail?: string;
}

/** What a request shows for the check. */
interface Subject {
  readonly host: string;
  /** Normalised. */
  readonly path: string;
  readonly connection: Pick<ClientConnection, 'tls'>;
}

type ContextCallback = (error: Error | null, context?: SecureContext) => void;

export class TlsFront {
  readonly #options: TlsFrontOptions;
  readonly #servers = new Set<TlsServer>();
  /** Between the SNI of a handshake and its end. */
  readonly #asked = new WeakMap<TLSSocket, { readonly serverName: string; readonly demand: ClientDemand }>();
  #seen = 0;
  #scheduled: NodeJS.Immediate | undefined;

  constructor(options: TlsFrontOptions) {
    this.#options = options;
  }

  /** The caller listens on it and closes it. */
  createServer(accept: (socket: TLSSocket, peer: TlsPeer) => void): Server {
    const onServerName = (socket: unknown, name: string, done: ContextCallback): void => {
      this.#onServerName(socket, name, done);
    };
    const options = {
      ...this.#defaults(),
      ALPNProtocols: ['http/1.1'],
      // Whose certificate is not good gets an answer, which says more than a closed socket; OpenSSL's alert is not to be had from Node.
      rejectUnauthorized: false,
      // @types/node leaves these two of net.createServer out.
      allowHalfOpen: true,
      noDelay: true,
      SNICallback: function (this: unknown, name: string, done: ContextCallback) {
        onServerName(this, name, done);
      },
    };
    const server = createServer(options, (socket) => {
      // As nginx. A second handshake (TLS 1.2) could show another certificate than the one that was judged. Node only tells of it.
      socket.disableRenegotiation();
      socket.on('error', destroy);
      accept(socket, this.#peerOf(socket));
    });
    // A failed handshake ends that socket and nothing else.
    server.on('tlsClientError', (error, socket) => {
      const asked = this.#asked.get(socket);
      if (asked === undefined || !('code' in error) || error.code !== 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE')
        return;
      const { serverName } = asked;
      this.#options.onRefused({ reason: 'tls.client_certificate_missing', serverName, client: socket.remoteAddress });
    });
    this.#servers.add(server);
    server.once('close', () => this.#servers.delete(server));
    return server;
  }

  /** Why a request over TLS may not pass; undefined: it may. Asks nothing of a plain connection, as APISIX. */
  refusal({ host, path, connection }: Subject): string | undefined {
    const { certificates } = this.#options;
    const peer = connection.tls;
    if (!(peer instanceof TlsPeer)) return undefined;
    // What the handshake's name asks holds for any Host: who came by it does not get past it with another one.
    const { problem, serverName } = peer;
    const own = peer.demand === undefined ? undefined : (certificates.demandOf(serverName) ?? peer.demand);
    if (problem !== undefined && own !== undefined && !skips(own, path)) return problem;
    const demand = certificates.demandOf(host);
    if (demand === undefined || skips(demand, path)) return undefined;
    // APISIX: likewise, for names of one wildcard item too.
    if (serverName !== host)
      return `the handshake was for ${serverName === '' ? 'no server name' : serverName}, and the host asks for a client certificate`;
    if (peer.demand?.key !== demand.key) return 'the connection was made before the server name asked for this';
    return problem;
  }

  /** After each change of `certificates`: connections that met another demand than their name has now take no further request. */
  certificatesChanged(connections: Iterable<ClientConnection>): void {
    if (this.#options.certificates.revision === this.#seen) return;
    this.#seen = this.#options.certificates.revision;
    // Many items change in one turn. Meanwhile each request is judged by the items as they are.
    this.#scheduled ??= setImmediate(() => {
      this.#scheduled = undefined;
      const defaults = this.#defaults();
      for (const server of this.#servers) server.setSecureContext(defaults);
      for (const connection of connections) {
        if (!(connection.tls instanceof TlsPeer)) continue;
        const { serverName, demand } = connection.tls;
        // A resumed session may have none; it meets nothing that is asked.
        if (serverName === '' || this.#itemOf(serverName)?.demand?.key !== demand?.key) connection.stop();
      }
    });
  }

  /** What a client meets that names no server, and whether tickets are given. */
  #defaults(): SecureContextOptions {
    const { certificates, protocol, sessionTickets } = this.#options;
    // A resumed session asks for no certificate, and TLS 1.3 resumes it under any server name.
    const tickets = sessionTickets && !certificates.demanding;
    const { ssl, context } = certificates.fallback ?? {};
    return {
      ...protocol,
      ...(context === undefined || ssl === undefined ? {} : keyPairs(ssl)),
      ...(tickets ? {} : { secureOptions: constants.SSL_OP_NO_TICKET }),
    };
  }

  #itemOf(serverName: string): ServedItem | undefined {
    const { certificates } = this.#options;
    return serverName === '' ? certificates.fallback : certificates.find(serverName);
  }

  #onServerName(socket: unknown, name: string, done: ContextCallback): void {
    const item = this.#options.certificates.find(name);
    if (item === undefined) {
      done(new Error('no certificate for this name'));
      return;
    }
    const { context, demand, problem } = item;
    if (context === undefined) {
      const client = (socket as TLSSocket).remoteAddress;
      const detail = `ssl#${item.id}: ${problem ?? ''}`;
      this.#options.onRefused({ reason: 'tls.item_unusable', serverName: name, client, detail });
      done(new Error('the ssl item of this name cannot be used'));
      return;
    }
    if (demand !== undefined) {
      // As in APISIX, the handshake itself ends without a certificate, unless some paths need none.
      askForCertificate(socket, demand.skip.length === 0);
      this.#asked.set(socket as TLSSocket, { serverName: name, demand });
    }
    done(null, context);
  }

  #peerOf(socket: TLSSocket): TlsPeer {
    // The types have false for none; it is also null.
    const sent = (socket as { servername?: unknown }).servername;
    const serverName = typeof sent === 'string' ? withoutDot(sent.toLowerCase()) : '';
    const asked = this.#asked.get(socket);
    if (asked !== undefined) return new TlsPeer(socket, serverName, asked.demand, undefined);
    // Nobody was asked: by a resumed session, or because the client named no server.
    const demand = this.#itemOf(serverName)?.demand;
    const problem = demand === undefined ? undefined : 'the handshake could not ask for a client certificate';
    return new TlsPeer(socket, serverName, demand, problem);
  }
}

function destroy(this: TLSSocket): void {
  this.destroy();
}

/** `must`: the handshake ends without one. Throws where this Node cannot do it. */
function askForCertificate(socket: unknown, must: boolean): void {
  const inner = socket as {
    _requestCert: boolean;
    _handle: { setVerifyMode: (request: boolean, must: boolean) => void };
  };
  inner._handle.setVerifyMode(true, must);
  inner._requestCert = true;
}
