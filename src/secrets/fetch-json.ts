/** One request to a secret manager: bounded in time and size, redirects not followed (a token goes to its manager alone). */
import { request as requestHttp, type IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';

export interface ManagerRequest {
  readonly url: URL;
  readonly method: 'GET' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly timeoutMs: number;
  /** false: any certificate will do. */
  readonly verify?: boolean;
}

export interface ManagerAnswer {
  readonly status: number;
  /** undefined: not JSON. */
  readonly body: unknown;
}

/** Vault's own limit for a request is 32 MiB, AWS's for a secret 64 KiB; what configures a gateway is small. */
const maxBytes = 1 << 20;

/** Why a secret could not be read. Holds neither tokens nor values. */
export class SecretSourceError extends Error {
  override readonly name = 'SecretSourceError';
  /** The manager answered that there is no such secret: the value known so far is no longer one. */
  readonly gone: boolean;

  constructor(message: string, gone = false) {
    super(message);
    this.gone = gone;
  }
}

/** Rejects with SecretSourceError where no whole answer comes. */
export function fetchJson({
  url,
  method,
  headers,
  body,
  timeoutMs,
  verify = true,
}: ManagerRequest): Promise<ManagerAnswer> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      reject(new SecretSourceError(`${url.origin} cannot be asked: ${reasonOf(error)}`));
    };
    const options = { method, headers, agent: false as const, signal: AbortSignal.timeout(timeoutMs) };
    const request =
      url.protocol === 'https:'
        ? requestHttps(url, { ...options, rejectUnauthorized: verify })
        : requestHttp(url, options);
    request.on('error', fail);
    request.on('response', (response: IncomingMessage) => {
      const chunks: Buffer[] = [];
      let length = 0;
      response.on('error', fail);
      response.on('data', (chunk: Buffer) => {
        length += chunk.length;
        if (length > maxBytes) request.destroy(new Error('the answer is too long'));
        else chunks.push(chunk);
      });
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, body: parseJson(Buffer.concat(chunks).toString('utf8')) });
      });
    });
    request.end(body);
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function reasonOf(error: Error & { code?: string | number }): string {
  if (error.name === 'AbortError' || error.name === 'TimeoutError') return 'no answer in time';
  return typeof error.code === 'string' ? error.code : error.message;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
