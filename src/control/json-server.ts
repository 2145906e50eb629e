/** A small HTTP server for operators: exact paths, JSON answers. Off the request path; the caller listens and closes. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';

export interface JsonAnswer {
  readonly status: number;
  /** A string is sent as it is, with `contentType`. */
  readonly body: unknown;
  readonly contentType?: string;
}

/** `segments`: the decoded path without leading slash. Undefined: 404. */
export type JsonHandler = (
  method: string,
  segments: readonly string[],
  readBody: () => Promise<string>,
) => Promise<JsonAnswer | undefined> | JsonAnswer | undefined;

const maxBodyBytes = 65_536;

export function createJsonServer(handle: JsonHandler): Server {
  return createServer((request, response) => {
    answer(request, handle).then(
      (result) => {
        send(response, result ?? { status: 404, body: { error_msg: 'not found' } });
      },
      (error: unknown) => {
        send(response, { status: 500, body: { error_msg: error instanceof Error ? error.message : String(error) } });
      },
    );
  });
}

async function answer(request: IncomingMessage, handle: JsonHandler): Promise<JsonAnswer | undefined> {
  const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
  let segments;
  try {
    segments = path.split('/').slice(1).map(decodeURIComponent);
  } catch {
    return { status: 400, body: { error_msg: 'invalid path' } };
  }
  return handle(request.method ?? 'GET', segments, () => readText(request));
}

async function readText(request: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    bytes += piece.length;
    if (bytes > maxBodyBytes) throw new Error(`the body is larger than ${maxBodyBytes} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString();
}

function send(response: ServerResponse, { status, body, contentType }: JsonAnswer): void {
  const text = typeof body === 'string' ? body : `${JSON.stringify(body)}\n`;
  response.writeHead(status, {
    'Content-Type': contentType ?? 'application/json',
    'Content-Length': Buffer.byteLength(text),
  });
  response.end(text);
}
