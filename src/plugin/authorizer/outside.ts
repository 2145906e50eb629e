/** What forward-auth and opa have in common: options of the call, and how long an answer may be kept. */
import { httpClientSchema } from '../http-client/index.ts';

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

/** How long an answer may be kept by its own word (RFC 9111 §5.2.2), in milliseconds; undefined: it does not say. */
export function freshnessOf(cacheControl: string | undefined): number | undefined {
  if (cacheControl === undefined) return undefined;
  if (/\b(?:no-store|no-cache)\b/i.test(cacheControl)) return 0;
  const seconds = /\bmax-age\s*=\s*"?(\d{1,9})/i.exec(cacheControl)?.[1];
  return seconds === undefined ? undefined : Number(seconds) * 1000;
}
