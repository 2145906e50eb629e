/** The whole data plane of one worker on a real socket, and upstreams that record and answer exact bytes. */
import { createServer, type Socket } from 'node:net';
import { compileAddressMatcher } from '../../src/address/cidr.ts';
import type { GatewayError } from '../../src/errors/gateway-error.ts';
import type { AnyPlugin } from '../../src/plugin/plugin.ts';
import type { PeerTrust } from '../../src/proxy/exchange.ts';
import type { ClientLimits } from '../../src/proxy/http1/client-connection.ts';
import { createDeadlines } from '../../src/proxy/http1/deadlines.ts';
import { WriteQueue } from '../../src/proxy/http1/write-queue.ts';
import { listen } from '../../src/proxy/listener/listener.ts';
import { Proxy } from '../../src/proxy/proxy.ts';
import { ConnectionPool } from '../../src/proxy/upstream/pool.ts';
import { closeServer, portOf, testLimits } from './harness.ts';
import { RawClient, type RawRequest } from './raw-client.ts';
import { createSnapshot, type Resources } from './snapshot.ts';

export interface GatewayOptions {
  readonly resources: Resources;
  readonly plugins?: readonly AnyPlugin[];
  readonly limits?: Partial<ClientLimits>;
  readonly trust?: Partial<PeerTrust>;
  readonly maxBodyBytes?: number;
}

export interface Gateway extends AsyncDisposable {
  readonly port: number;
  readonly proxy: Proxy;
  /** Reason codes of refusals, in order. */
  readonly refusals: string[];
  /** Plugins that threw, and requests that the parser refused. */
  readonly failures: string[];
  readonly accesses: { status: number; bodyBytesSent: number; reason: string | undefined }[];
  connect(): Promise<RawClient>;
  /** Resolves once that many exchanges have ended. */
  accessed(count: number): Promise<void>;
}

/** No peer's forwarded fields count. */
export /** Nobody's forwarded fields count. */
const distrust: PeerTrust = {
  realIpFrom: () => false,
  realIpHeader: 'x-real-ip',
  realIpRecursive: false,
  forwardedFrom: () => false,
  underscoresInHeaders: true,
};

/** The loopback peer's forwarded fields count. */
export const trustLoopback: Partial<PeerTrust> = {
  realIpFrom: compileAddressMatcher(['127.0.0.0/8']),
  realIpHeader: 'x-forwarded-for',
  forwardedFrom: compileAddressMatcher(['127.0.0.0/8']),
};

export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const deadlines = createDeadlines(5);
  const writes = new WriteQueue();
  const pool = new ConnectionPool(deadlines, writes);
  const refusals: string[] = [];
  const failures: string[] = [];
  const accesses: Gateway['accesses'] = [];
  let onAccess: () => void = () => undefined;
  const proxy = new Proxy({
    table: createSnapshot(options.resources, options.plugins),
    trust: { ...distrust, ...options.trust },
    pool,
    serverToken: 'Gatewright',
    showUpstreamStatus: false,
    maxBodyBytes: options.maxBodyBytes ?? 0,
    onOutcome: () => undefined,
    log: {
      refused: (_exchange, reply) => void refusals.push(reply.reason ?? ''),
      pluginFailed: (name, phase, error) => void failures.push(`${name} ${phase} ${String(error)}`),
      attemptFailed: () => undefined,
      badRequest: (_connection, error: GatewayError) => void failures.push(error.message),
      access: (exchange) => {
        const { responseState, bodyBytesSent, reason } = exchange;
        accesses.push({ status: responseState?.status ?? 0, bodyBytesSent, reason });
        onAccess();
      },
    },
  });
  const server = await listen({ ip: '127.0.0.1', port: 0, setting: 'test' }, undefined, {
    handler: proxy,
    limits: { ...testLimits, ...options.limits },
    deadlines,
    writes,
  });
  const port = portOf(server);
  return {
    port,
    proxy,
    refusals,
    failures,
    accesses,
    connect: () => RawClient.connect(port),
    accessed: (count) =>
      new Promise((resolve) => {
        onAccess = () => {
          if (accesses.length >= count) resolve();
        };
        onAccess();
      }),
    [Symbol.asyncDispose]: async () => {
      for (const connection of proxy.connections) connection.destroy();
      pool.close();
      await closeServer(server);
      deadlines.dispose();
    },
  };
}

export interface Upstream extends AsyncDisposable {
  readonly port: number;
  /** `127.0.0.1:port` as a node. */
  readonly nodes: Readonly<Record<string, number>>;
  /** Connections so far, open or not. */
  readonly peers: RawClient[];
  /** What `answering` has read. */
  readonly requests: RawRequest[];
  /** The nth connection, counted from 0, once it is there. */
  peer(index: number): Promise<RawClient>;
}

/** `serve` is called for each connection; what it throws when its peer goes away is of no interest. */
export async function startUpstream(
  serve: (peer: RawClient, requests: RawRequest[]) => void | Promise<void> = answering(),
): Promise<Upstream> {
  const peers: RawClient[] = [];
  const requests: RawRequest[] = [];
  let onPeer: () => void = () => undefined;
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket: Socket) => {
    const peer = new RawClient(socket);
    peers.push(peer);
    onPeer();
    void Promise.resolve(serve(peer, requests)).catch(() => undefined);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const port = portOf(server);
  return {
    port,
    nodes: { [`127.0.0.1:${port}`]: 1 },
    peers,
    requests,
    peer: (index) =>
      new Promise((resolve) => {
        onPeer = () => {
          const peer = peers[index];
          if (peer !== undefined) resolve(peer);
        };
        onPeer();
      }),
    [Symbol.asyncDispose]: async () => {
      for (const peer of peers) peer.socket.destroy();
      await closeServer(server);
    },
  };
}

const okResponse = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

/** Records each request and answers it with the same bytes, on one connection after another. */
export function answering(response = okResponse): (peer: RawClient, requests: RawRequest[]) => Promise<void> {
  return async (peer, requests) => {
    for (;;) {
      requests.push(await peer.request());
      peer.write(response);
    }
  };
}

/** One route for everything, to that upstream. */
export function routeTo(upstream: Upstream, route: object = {}, upstreamFields: object = {}): Resources {
  return { 'routes/1': { uri: '/*', upstream: { nodes: upstream.nodes, ...upstreamFields }, ...route } };
}
