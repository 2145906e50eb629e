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

export interface Attempt {
  /** Rejects with HttpClientError. */
  readonly response: Promise<HttpResponse>;
  /** The answer had begun. */
  readonly answered: () => boolean;
}

export function sendOnce(connection: Connection, outgoing: Outgoing): Attempt {
  let status = 0;
  const server = outgoing.url.host;
  const response = new Promise<HttpResponse>((resolve, reject) => {
    let fields: readonly string[] = [];
    let length = 0;
    const pieces: Uint8Array[] = [];
    const handler: Dispatcher.DispatchHandler = {
      onRequestStart: () => undefined,
      onResponseStart: (controller, code) => {
        // RFC 9110 §15.2: interim answers come before the answer.
        if (code < 200) return;
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
        const connected = connection.connected ?? { server, context: connection.context, asked: false };
        reject(connectionFailure(error, connected, connection.connected !== undefined));
      },
    };
    try {
      connection.client.dispatch(
        {
          method: outgoing.method as Dispatcher.HttpMethod,
          path: `${outgoing.url.pathname}${outgoing.url.search}`,
          headers: [...outgoing.headers],
          ...(outgoing.body === undefined ? {} : { body: outgoing.body }),
          reset: !outgoing.keepAlive,
        },
        handler,
      );
    } catch (cause) {
      // What undici finds in a request that we let pass.
      reject(new HttpClientError('INVALID_REQUEST', `${server}: the request cannot be sent`, { cause }));
    }
  });
  return { response, answered: () => status !== 0 };
}

function tooLarge(server: string, maxBytes: number): HttpClientError {
  return new HttpClientError('BODY_TOO_LARGE', `${server}: the answer’s body is longer than ${maxBytes} bytes`);
}

/** undici keeps the fields as they came, as bytes, beside the object that it makes of them. */
function rawFields(controller: Dispatcher.DispatchController): string[] {
  const raw = (controller.rawHeaders ?? []) as readonly (Buffer | string)[];
  return raw.map((text) => (typeof text === 'string' ? text : text.toString('latin1')));
}
