/**
 * A plugin's request, checked: nothing of what it was made from can end a line, name another server or change the framing
 * (CVE-2026-31908). Messages name the header, not its value, and of the URL the server at most.
 */
import type { HttpRequest } from './http-client.ts';
import { HttpClientError } from './http-client-error.ts';
import type { Outgoing } from './attempt.ts';
import type { CheckedOptions } from './options.ts';

/** RFC 9110 §5.6.2. */
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** RFC 9110 §5.5, one byte a character: beyond Latin-1 a character would be cut down to another. */
const fieldValue = /^[\t\x20-\x7e\x80-\xff]*$/;
/** `new URL` drops line breaks and tabs, and reads a backslash as a slash. */
// eslint-disable-next-line no-control-regex -- the forbidden octets themselves
const unclean = /[\x00-\x20\x7f\\]/;
/** Framing, and what concerns this connection alone (RFC 9110 §7.6.1): the client's own. */
const reserved = new Set(
  'connection content-length expect keep-alive proxy-connection te trailer transfer-encoding upgrade'.split(' '),
);
/** RFC 9110 §9.2.2. */
const idempotentMethods = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']);
const refusedMethods = new Set(['CONNECT', 'TRACE']);

/** Throws HttpClientError INVALID_REQUEST. */
export function checkRequest(request: HttpRequest, options: CheckedOptions): Outgoing {
  const method = request.method ?? 'GET';
  if (!token.test(method) || refusedMethods.has(method.toUpperCase())) throw invalid('the method is not allowed');
  const headers: string[] = [];
  let hosts = 0;
  for (const [name, values] of Object.entries(request.headers ?? {})) {
    if (!token.test(name)) throw invalid('a header’s name holds characters that are not allowed');
    if (reserved.has(name.toLowerCase())) throw invalid(`the header ${name} is the client’s own`);
    for (const value of typeof values === 'string' ? [values] : values) {
      if (!fieldValue.test(value))
        throw invalid(`the value of the header ${name} holds characters that are not allowed`);
      if (name.toLowerCase() === 'host' && ++hosts > 1) throw invalid('there are two Host headers');
      headers.push(name, value);
    }
  }
  const body = request.body === undefined || request.body.length === 0 ? undefined : request.body;
  const url = checkUrl(request.url);
  if (options.cert !== undefined && url.protocol !== 'https:')
    throw invalid('the client has a certificate (ssl_cert), which is never shown to a server by http');
  const { keepAlive, maxResponseBytes } = options;
  return {
    method,
    url,
    headers,
    body,
    keepAlive,
    maxResponseBytes: request.maxResponseBytes ?? maxResponseBytes,
  };
}

export function mayRepeat(request: HttpRequest): boolean {
  return request.idempotent ?? idempotentMethods.has(request.method ?? 'GET');
}

function checkUrl(text: string): URL {
  if (unclean.test(text)) throw invalid('the URL holds a space, a control character or a backslash; encode it');
  const url = URL.parse(text);
  if (url === null || url.hostname === '') throw invalid('the URL is not absolute');
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw invalid('the URL is neither http nor https');
  if (url.username !== '' || url.password !== '') throw invalid('the URL holds a user or password; use a header');
  return url;
}

function invalid(text: string): HttpClientError {
  return new HttpClientError('INVALID_REQUEST', `the request cannot be sent: ${text}`);
}
