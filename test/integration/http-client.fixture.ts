/** Servers that demand certificates, and the http client as plugins get it. All on loopback, all ended with their test. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer as createHttps } from 'node:https';
import type { AddressInfo, Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TLSSocket, type TlsOptions } from 'node:tls';
import { createHttpClients } from '../../src/plugin/http-client/client.ts';
import { HttpClientError, type HttpClientErrorCode, type HttpClients } from '../../src/plugin/http-client/index.ts';
import { ResourcePool } from '../../src/plugin/shared-resources.ts';
import { type Authority, type Certificate, createAuthority } from '../certificates.ts';

export interface Certificates {
  /** Of servers; `serverMiddle` is below it. */
  readonly serverRoot: Authority;
  readonly serverMiddle: Authority;
  /** Of clients; `clientMiddle` is below it. */
  readonly clientRoot: Authority;
  readonly clientMiddle: Authority;
  /** For localhost and 127.0.0.1, with its intermediate. */
  readonly server: Certificate;
  /** CN=one, with its intermediate. */
  readonly one: Certificate;
  /** CN=two, with its intermediate. */
  readonly two: Certificate;
}

export async function createCertificates(): Promise<Certificates> {
  const [serverRoot, clientRoot] = await Promise.all([createAuthority('servers'), createAuthority('clients')]);
  const [serverMiddle, clientMiddle] = await Promise.all([
    serverRoot.intermediate('servers 1'),
    clientRoot.intermediate('clients 1'),
  ]);
  const [server, one, two] = await Promise.all([
    serverMiddle.issue({ name: 'server', names: ['localhost', '127.0.0.1'] }),
    clientMiddle.issue({ name: 'one' }),
    clientMiddle.issue({ name: 'two' }),
  ]);
  const chained = ({ cert, key }: Certificate, { chain }: Authority): Certificate => ({ cert: cert + chain, key });
  return {
    serverRoot,
    serverMiddle,
    clientRoot,
    clientMiddle,
    server: chained(server, serverMiddle),
    one: chained(one, clientMiddle),
    two: chained(two, clientMiddle),
  };
}

export interface Kit {
  readonly http: HttpClients;
  readonly pool: ResourcePool;
  readonly logged: string[];
}

export function createKit(): Kit {
  const logged: string[] = [];
  const write = (message: string, fields?: Record<string, unknown>): void => {
    logged.push(`${message} ${JSON.stringify(fields)}`);
  };
  const pool = new ResourcePool();
  return { http: createHttpClients({ shared: pool, log: { error: write, warn: write, info: write } }), pool, logged };
}

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: readonly string[];
  readonly body: string;
  /** Common name of the client's certificate; '' where it had none. */
  readonly client: string;
  readonly protocol: string;
  readonly serverName: string;
}

/** Where what was started is ended: a test, or a list that a suite goes through. */
export interface Ending {
  after(end: () => Promise<void>): void;
}

export interface TestServer {
  readonly port: number;
  /** By its address. */
  readonly url: string;
  readonly requests: SeenRequest[];
  /** All that were ever made. */
  readonly sockets: Socket[];
  open(): number;
}

export type Respond = (request: SeenRequest, response: ServerResponse, incoming: IncomingMessage) => void;

/** An HTTPS server; by default it answers with the common name of the client's certificate. */
export async function startTls(
  t: Ending,
  options: TlsOptions,
  respond: Respond = (request, response) => response.end(request.client),
): Promise<TestServer> {
  const server = createHttps(options);
  const requests: SeenRequest[] = [];
  server.on('request', (incoming: IncomingMessage, response: ServerResponse) => {
    const { socket } = incoming;
    assert.ok(socket instanceof TLSSocket);
    let body = '';
    incoming.setEncoding('latin1').on('data', (piece: string) => (body += piece));
    incoming.on('error', () => undefined);
    incoming.on('end', () => {
      const { servername } = socket as { servername?: string | false };
      const peer = socket.getPeerCertificate() as { subject?: { CN?: string } };
      const request: SeenRequest = {
        method: incoming.method ?? '',
        path: incoming.url ?? '',
        headers: incoming.rawHeaders,
        body,
        client: peer.subject?.CN ?? '',
        protocol: socket.getProtocol() ?? '',
        serverName: typeof servername === 'string' ? servername : '',
      };
      requests.push(request);
      respond(request, response, incoming);
    });
  });
  const sockets = await listen(t, server);
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `https://127.0.0.1:${port}`,
    requests,
    sockets,
    open: () => sockets.filter((socket) => !socket.destroyed).length,
  };
}

/** The raw sockets, as they come. */
export async function listen(t: Ending, server: Server): Promise<Socket[]> {
  const sockets: Socket[] = [];
  server.on('connection', (socket) => {
    sockets.push(socket.on('error', () => undefined));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(
    () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  );
  return sockets;
}

/** `openssl s_server`, which refuses with the alerts of the RFCs, demanding a certificate below `clientRoot`. */
export async function startOpenssl(
  t: Ending,
  { server, clientRoot }: Certificates,
  protocol: 'tls1_2' | 'tls1_3',
): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'gatewright-'));
  const file = async (name: string, text: string): Promise<string> => {
    await writeFile(join(directory, name), text);
    return join(directory, name);
  };
  // prettier-ignore
  const child = spawn('openssl', [
    's_server', '-accept', '127.0.0.1:0', '-www', `-${protocol}`, '-Verify', '5', '-verify_return_error',
    '-cert', await file('cert', server.cert), '-cert_chain', await file('chain', server.cert), '-key', await file('key', server.key),
    '-CAfile', await file('ca', clientRoot.cert),
  ], { stdio: ['ignore', 'pipe', 'ignore'] });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  t.after(async () => {
    child.kill();
    await ended;
    await rm(directory, { recursive: true });
  });
  let output = '';
  const port = await new Promise<string>((resolve, reject) => {
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      const found = /ACCEPT 127\.0\.0\.1:(\d+)/.exec(output)?.[1];
      if (found !== undefined) resolve(found);
    });
    void ended.then(() => reject(new Error(`openssl did not start: ${output}`)));
  });
  return `https://127.0.0.1:${port}/`;
}

/** The request fails, with this code; returns what the operator reads. No message holds a key. */
export async function failure(answer: Promise<unknown>, code: HttpClientErrorCode): Promise<string> {
  try {
    await answer;
  } catch (error) {
    assert.ok(error instanceof HttpClientError, String(error));
    assert.equal(error.code, code, error.message);
    assert.doesNotMatch(error.message, /-----BEGIN|MI[GIH][a-zA-Z0-9+/]{20}/);
    return error.message;
  }
  return assert.fail(`${code} was expected, an answer came`);
}
