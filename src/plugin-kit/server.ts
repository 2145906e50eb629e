/**
 * An HTTP server on a free loopback port that records what it is asked: the upstream of a plugin's test, or a service that the plugin
 * asks. Whoever starts it closes it (`await using`).
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One request, as it arrived, with its whole body. */
export interface RecordedRequest {
  readonly method: string;
  /** Request-target: path and query. */
  readonly url: string;
  /** Names in lower case; several fields of one name joined as Node.js does. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Uint8Array;
  /** The body as UTF-8. */
  text(): string;
  json(): unknown;
}

export interface Answer {
  /** Default: 200. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** An object is sent as JSON; what is iterated asynchronously goes out piece by piece. */
  readonly body?: string | Uint8Array | object | AsyncIterable<string | Uint8Array>;
}

export type Answering = (request: RecordedRequest) => Answer | Promise<Answer>;

export interface TestServer extends AsyncDisposable {
  readonly port: number;
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  /** All so far. */
  readonly requests: readonly RecordedRequest[];
  /** The last one. Throws where there was none. */
  readonly last: RecordedRequest;
  /** From here on. */
  answer: Answering;
}

/** `answer`: for every request; default: 200 and `ok`. What it throws is answered with 500. */
export async function startServer(answer: Answering = () => ({ body: 'ok' })): Promise<TestServer> {
  const requests: RecordedRequest[] = [];
  const server = createServer((incoming, response) => {
    respond(incoming, response).catch((error: unknown) => {
      if (response.headersSent) response.destroy();
      else response.writeHead(500).end(String(error));
    });
  });
  const respond = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const request = await record(incoming);
    requests.push(request);
    const { status = 200, headers = {}, body = '' } = await started.answer(request);
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    response.statusCode = status;
    if (isPieces(body)) {
      for await (const piece of body) response.write(piece);
      response.end();
    } else if (typeof body === 'string' || body instanceof Uint8Array) {
      response.setHeader('Content-Length', Buffer.byteLength(body)).end(body);
    } else {
      if (!response.hasHeader('Content-Type')) response.setHeader('Content-Type', 'application/json');
      response.end(JSON.stringify(body));
    }
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const started: TestServer = {
    port,
    url: `http://127.0.0.1:${port}`,
    requests,
    get last() {
      const last = requests.at(-1);
      if (last === undefined) throw new Error('no request came here');
      return last;
    },
    answer,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
  return started;
}

function isPieces(body: NonNullable<Answer['body']>): body is AsyncIterable<string | Uint8Array> {
  return typeof body === 'object' && Symbol.asyncIterator in body;
}

async function record(incoming: IncomingMessage): Promise<RecordedRequest> {
  const pieces: Buffer[] = [];
  for await (const piece of incoming) pieces.push(piece as Buffer);
  const body = Buffer.concat(pieces);
  const headers = Object.fromEntries(
    Object.entries(incoming.headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value]),
  );
  return {
    method: incoming.method ?? '',
    url: incoming.url ?? '',
    headers,
    body,
    text: () => body.toString(),
    json: () => JSON.parse(body.toString()) as unknown,
  };
}
