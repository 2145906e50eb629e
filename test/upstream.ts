/** A real HTTP upstream on loopback that records what reached it; `await using` closes it. */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';

export interface Recorded {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface TestUpstream extends AsyncDisposable {
  readonly port: number;
  /** `127.0.0.1:PORT` */
  readonly node: string;
  readonly requests: Recorded[];
}

/** Default answer: 200, `text/plain`, the method and target. */
export async function startUpstream(
  answer?: (request: IncomingMessage, response: ServerResponse, body: string) => void,
): Promise<TestUpstream> {
  const requests: Recorded[] = [];
  const server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const body = Buffer.concat(pieces).toString();
      requests.push({ method: request.method ?? '', url: request.url ?? '', headers: request.headers, body });
      if (answer !== undefined) answer(request, response, body);
      else {
        response.setHeader('Content-Type', 'text/plain');
        response.end(`${request.method ?? ''} ${request.url ?? ''}\n`);
      }
    });
  });
  await new Promise<void>((resolve) =>
    server.listen(0, '127.0.0.1', () => {
      resolve();
    }),
  );
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    port,
    node: `127.0.0.1:${port}`,
    requests,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}
