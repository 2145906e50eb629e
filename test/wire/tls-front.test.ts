/** The TLS side of a listener on a real socket: each request is judged by the items as they are, whatever became of its connection. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { before, describe, it } from 'node:test';
import { Certificates } from '../../src/proxy/listener/certificates.ts';
import { TlsFront } from '../../src/proxy/listener/tls-front.ts';
import type { TlsPeer } from '../../src/proxy/listener/tls-peer.ts';
import type { Ssl } from '../../src/resources/ssl.ts';
import { type Authority, type Certificate, createAuthority, createCertificate } from '../certificates.ts';
import { connectTls, type TlsClient } from '../tls-client.ts';
import { closeServer, portOf } from './harness.ts';

let root: Authority;
let second: Authority;
let server: Certificate;
let client: Certificate;
before(async () => {
  [root, second, server] = await Promise.all([
    createAuthority('root'),
    createAuthority('second'),
    createCertificate('a.test'),
  ]);
  client = await root.issue({ name: 'client' });
});

interface Front extends AsyncDisposable {
  readonly certificates: Certificates;
  put(id: string, ssl: Ssl): void;
  connect(options: ConnectionOptions): Promise<{ client: TlsClient; refusal: (host: string) => string | undefined }>;
}

/** Nobody tells it of changes: connections stay, and sessions may be resumed. */
async function start(): Promise<Front> {
  const certificates = new Certificates({}, undefined);
  const front = new TlsFront({ certificates, protocol: {}, sessionTickets: true, onRefused: () => undefined });
  const sockets = new Set<TLSSocket>();
  let onPeer: (peer: TlsPeer) => void = () => undefined;
  const listener = front.createServer((socket, peer) => {
    sockets.add(socket.on('error', () => undefined).resume());
    socket.write('x');
    onPeer(peer);
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  return {
    certificates,
    put: (id, ssl) => {
      certificates.put(id, { ...server, ...ssl });
    },
    connect: async (options) => {
      const accepted = new Promise<TlsPeer>((resolve) => (onPeer = resolve));
      const connected = await connectTls(portOf(listener), options);
      const tls = await accepted;
      return { client: connected, refusal: (host) => front.refusal({ host, path: '/', connection: { tls } }) };
    },
    [Symbol.asyncDispose]: () => {
      for (const socket of sockets) socket.destroy();
      return closeServer(listener);
    },
  };
}

describe('a request on a connection that is still there', () => {
  it('is refused once its name asks for a certificate, or for one of another authority', async () => {
    await using front = await start();
    front.put('a', { sni: 'a.test' });
    const { client: connected, refusal } = await front.connect({ servername: 'a.test', ...client });
    using _ = connected;
    assert.equal(refusal('a.test'), undefined);
    front.put('a', { sni: 'a.test', client: { ca: root.cert } });
    assert.match(refusal('a.test') ?? '', /made before the server name asked/);

    const { client: verified, refusal: ofVerified } = await front.connect({ servername: 'a.test', ...client });
    using _verified = verified;
    assert.equal(ofVerified('a.test'), undefined);
    front.put('a', { sni: 'a.test', client: { ca: root.cert, depth: 3 } });
    assert.match(ofVerified('a.test') ?? '', /made before/);
    front.put('a', { sni: 'a.test', client: { ca: second.cert } });
    assert.match(ofVerified('a.test') ?? '', /made before/);
    front.put('a', { sni: 'a.test', client: { ca: root.cert } });
    assert.equal(ofVerified('a.test'), undefined);
    assert.throws(() => {
      front.put('b', { sni: 'b.test', client: { ca: 'none' } });
    });
    assert.match(ofVerified('b.test') ?? '', /the handshake was for a\.test/);
  });

  it('does not come to be: a second handshake on the connection ends it', async () => {
    await using front = await start();
    front.put('a', { sni: 'a.test', client: { ca: root.cert } });
    const { client: connected } = await front.connect({ servername: 'a.test', maxVersion: 'TLSv1.2', ...client });
    using _ = connected;
    connected.socket.renegotiate({}, () => undefined);
    await connected.raw.untilClosed();
  });

  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    it(`is refused where a session was resumed, which asks for nothing (${maxVersion})`, async () => {
      await using front = await start();
      front.put('a', { sni: 'a.test', client: { ca: root.cert } });
      const { client: first } = await front.connect({ maxVersion, servername: 'a.test', ...client });
      const session = await first.session;
      first[Symbol.dispose]();
      const { client: connected, refusal } = await front.connect({ maxVersion, servername: 'a.test', session });
      using _ = connected;
      assert.ok(connected.socket.isSessionReused());
      assert.match(
        refusal('a.test') ?? '',
        /could not ask for a client certificate|the handshake was for no server name/,
      );
    });
  }
});
