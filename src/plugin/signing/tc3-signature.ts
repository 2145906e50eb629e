/**
 * Tencent Cloud's API signature v3, TC3-HMAC-SHA256, for one request with a known body
 * (https://www.tencentcloud.com/document/api/583/17238). The path is `/`, the query as it stands.
 */
import { createHmac, hash } from 'node:crypto';

export interface Tc3Request {
  readonly method: string;
  readonly host: string;
  /** Without `?`; '' for POST. */
  readonly query: string;
  /** Signed all of them, beside `host`; names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface Tc3Credentials {
  readonly secretId: string;
  readonly secretKey: string;
}

/** The value of Authorization. `timestamp`: seconds since 1970, sent as X-TC-Timestamp. */
export function signTc3(
  request: Tc3Request,
  { secretId, secretKey }: Tc3Credentials,
  service: string,
  timestamp: number,
): string {
  const headers: Record<string, string> = { ...request.headers, host: request.host };
  const names = Object.keys(headers).sort();
  const signedHeaders = names.join(';');
  const canonical = [
    request.method,
    '/',
    request.query,
    ...names.map((name) => `${name}:${(headers[name] ?? '').trim().toLowerCase()}`),
    '',
    signedHeaders,
    hash('sha256', request.body, 'hex'),
  ].join('\n');
  // UTC, whatever the machine's own time zone is.
  const date = new Date(timestamp * 1000).toISOString().slice(0, 10);
  const scope = `${date}/${service}/tc3_request`;
  const text = ['TC3-HMAC-SHA256', String(timestamp), scope, hash('sha256', canonical, 'hex')].join('\n');
  const key = [date, service, 'tc3_request'].reduce<Buffer>(hmac, Buffer.from(`TC3${secretKey}`));
  return `TC3-HMAC-SHA256 Credential=${secretId}/${scope}, SignedHeaders=${signedHeaders}, Signature=${hmac(key, text).toString('hex')}`;
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}
