/** One request on one connection, once. */
import type { Dispatcher } from 'undici';
import type { Connection } from './connections.ts';
import { HttpClientError } from './http-client-error.ts';
import type { HttpResponse } from './http-client.ts';
import { ReceivedResponse } from './response.ts';
import { connectionFailure } from './tls-failure.ts';

/** A request that was checked. */
export interface Outgoing {
  readonly method: string;
  readonly url: URL;
  /** Name, value, name, value, … */
  readonly headers: readonly string[];
  readonly body: string | Uint8Array | undefined;
  readonly keepAlive: boolean;
  readonly maxResponseBytes: number;
}

/** Rejects with HttpClientError. The connection stays the caller's; `progress` is told when the answer begins. */
export function sendOnce(
  connection: Connection,
  outgoing: Outgoing,
  progress: { answered: boolean },
): Promise<HttpResponse> {
  const server = outgoing.url.host;
  return new Promise((resolve, reject) => {
    let status = 0;
    let fields: readonly string[] = [];
    let length = 0;
    const pieces: Uint8Array[] = [];
    const handler: Dispatcher.DispatchHandler = {
      onRequestStart: () => undefined,
      onResponseStart: (controller, code) => {
        // RFC 9110 §15.2: interim answers come before the answer.
        if (code < 200) return;
        progress.answered = true;
        if (connection.connected !== undefined) connection.connected.asked = false;
        status = code;
        fields = rawFields(controller);
      },
      onResponseData: (_controller, piece) => {
        length += piece.length;
        if (length > outgoing.maxResponseBytes) {
          connection.destroy(tooLarge(server, outgoing.maxResponseBytes));
          return;
        }
        pieces.push(piece);
      },
      onResponseEnd: () => {
        resolve(new ReceivedResponse(server, status, fields, Buffer.concat(pieces, length)));
      },
      onResponseError: (_controller, error) => {
        reject(failureOf(error, connection, server));
      },
    };
    const options: Dispatcher.DispatchOptions & { servername: string } = {
      method: outgoing.method,
      path: `${outgoing.url.pathname}${outgoing.url.search}`,
      headers: [...outgoing.headers],
      reset: !outgoing.keepAlive,
      // Or undici takes a Host header for it, and connects anew for each.
      servername: outgoing.url.hostname,
    };
    if (outgoing.body !== undefined) options.body = outgoing.body;
    connection.client.dispatch(options, handler);
  });
}

function failureOf(error: Error, { connected, context }: Connection, server: string): HttpClientError {
  if (error instanceof HttpClientError) return error;
  if ((error as NodeJS.ErrnoException).code === 'UND_ERR_INVALID_ARG')
    // What undici finds in a request that was let pass; the message may hold a value.
    return new HttpClientError('INVALID_REQUEST', `${server}: the request cannot be sent`);
  if (connected === undefined)
    return connectionFailure(error, { server, context, asked: false, error: undefined }, false);
  return connectionFailure(connected.error ?? error, connected, true);
}

function tooLarge(server: string, maxBytes: number): HttpClientError {
  return new HttpClientError('BODY_TOO_LARGE', `${server}: the answer’s body is longer than ${maxBytes} bytes`);
}

/** undici keeps the fields as they came, as bytes, beside the object that it makes of them. */
function rawFields({ rawHeaders }: Dispatcher.DispatchController): string[] {
  const texts: readonly (Buffer | string)[] = Array.isArray(rawHeaders) ? rawHeaders : [];
  return texts.map((text) => (typeof text === 'string' ? text : text.toString('latin1')));
}
