/** Sends one text to an HTTP server over connections that are kept open. Redirects are not followed. */
import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';

export interface Poster {
  /** Rejects where the server cannot be reached, does not answer in time, or answers with 400 or more. */
  post(body: string): Promise<void>;
  close(): void;
}

export interface PosterOptions {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly verify: boolean;
}

/** Of an error's body, for the log. */
const maxShown = 512;

export function createPoster({ url, headers, timeoutMs, verify }: PosterOptions): Poster {
  const secure = url.protocol === 'https:';
  const agent = secure
    ? new HttpsAgent({ keepAlive: true, rejectUnauthorized: verify })
    : new HttpAgent({ keepAlive: true });
  const request = secure ? httpsRequest : httpRequest;
  return {
    post(body) {
      return new Promise((resolve, reject) => {
        const outgoing = request(
          url,
          {
            method: 'POST',
            agent,
            headers: { ...headers, 'Content-Length': Buffer.byteLength(body) },
            signal: AbortSignal.timeout(timeoutMs),
          },
          (response) => {
            let text = '';
            response.setEncoding('utf8');
            response.on('data', (piece: string) => {
              if (text.length < maxShown) text += piece.slice(0, maxShown - text.length);
            });
            response.on('error', reject);
            response.on('end', () => {
              const { statusCode = 0 } = response;
              if (statusCode < 400) resolve();
              else
                reject(
                  new Error(
                    `server returned status code[${String(statusCode)}] host[${url.hostname}] port[${url.port}] body[${text}]`,
                  ),
                );
            });
          },
        );
        outgoing.on('error', (cause) => {
          reject(
            new Error(`error while sending data to [${url.hostname}] port[${url.port}] ${cause.message}`, { cause }),
          );
        });
        outgoing.end(body);
      });
    },
    close() {
      agent.destroy();
    },
  };
}
