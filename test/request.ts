/** One HTTP/1.1 request to the gateway with the exact path and Host given (fetch would normalise both). */
import { request as httpRequest } from 'node:http';
import type { Gateway } from './gateway.ts';

export interface TextResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: string;
}

export function request(
  gateway: Pick<Gateway, 'ports'>,
  path: string,
  headers: Record<string, string | string[]> = {},
  options: { method?: string; body?: string | Buffer } = {},
): Promise<TextResponse> {
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest(
      {
        host: '127.0.0.1',
        port: gateway.ports.data,
        path,
        method: options.method ?? 'GET',
        headers: { Connection: 'keep-alive', ...headers },
        agent: false,
      },
      (response) => {
        const pieces: Buffer[] = [];
        response.on('data', (piece: Buffer) => pieces.push(piece));
        response.on('error', reject);
        response.on('end', () => {
          outgoing.destroy();
          resolve({
            status: response.statusCode ?? 0,
            headers: Object.fromEntries(
              Object.entries(response.headers).map(([name, value]) => [
                name,
                Array.isArray(value) ? value.join(', ') : value,
              ]),
            ),
            body: Buffer.concat(pieces).toString(),
          });
        });
      },
    );
    outgoing.on('error', reject);
    outgoing.end(options.body);
  });
}
