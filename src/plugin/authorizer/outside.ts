/** What forward-auth and opa have in common: options of the call, the fields of the cache, the answer where there is no verdict. */
import { httpClientSchema } from '../http-client/index.ts';
import type { PluginLog, Reply } from '../plugin.ts';
import { AuthorizerError } from './verdict.ts';

/** The http client's options, with APISIX's defaults. */
export const callSchema = {
  ...httpClientSchema,
  ssl_verify: { type: 'boolean', default: true, description: 'Verify the server’s certificate and name.' },
  timeout: {
    type: 'integer',
    minimum: 1,
    maximum: 60_000,
    default: 3000,
    description: 'Milliseconds that the call may take.',
  },
  keepalive: { type: 'boolean', default: true, description: 'Keep connections for later calls.' },
  keepalive_timeout: {
    type: 'integer',
    minimum: 1000,
    default: 60_000,
    description: 'Milliseconds that an idle connection is kept.',
  },
  keepalive_pool: {
    type: 'integer',
    minimum: 1,
    default: 5,
    description: 'Idle connections that are kept, in each worker.',
  },
};

export const ttlSchema = {
  type: 'integer',
  minimum: 1,
  maximum: 3600,
  description: 'Seconds that a verdict is kept at most.',
};

export const maxBodySchema = {
  type: 'integer',
  minimum: 1,
  maximum: 67_108_864,
  default: 1_048_576,
  description: 'Bytes of a body that may be sent; a larger one is refused with 413, and nobody asked.',
};

/** Names of headers. */
export const headerListSchema = {
  type: 'array',
  items: { type: 'string', pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$" },
};

/** Where `error` is no AuthorizerError, it is thrown on. */
export function noVerdict(plugin: string, status: number, log: PluginLog, error: unknown): Reply {
  if (!(error instanceof AuthorizerError)) throw error;
  log.error('no verdict', { reason: error.reason, detail: error.message });
  return {
    status,
    body: { message: 'Authorization is unavailable' },
    reason: `${plugin}.${error.reason}`,
    detail: error.message,
  };
}

/** May the request have a body? Costs nothing where it has none. */
export function mayHaveBody({
  headers,
  httpVersion,
}: {
  readonly headers: { has(name: string): boolean };
  readonly httpVersion: string;
}): boolean {
  return httpVersion === '2.0' || headers.has('content-length') || headers.has('transfer-encoding');
}

/** How long an answer may be kept by its own word (RFC 9111 §5.2.2), in milliseconds; undefined: it does not say. */
export function freshnessOf(cacheControl: string | undefined): number | undefined {
  if (cacheControl === undefined) return undefined;
  if (/\b(?:no-store|no-cache)\b/i.test(cacheControl)) return 0;
  const seconds = /\bmax-age\s*=\s*"?(\d{1,9})/i.exec(cacheControl)?.[1];
  return seconds === undefined ? undefined : Number(seconds) * 1000;
}
