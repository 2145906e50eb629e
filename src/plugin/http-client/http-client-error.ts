/**
 * Why a request of a plugin got no answer. The message is a sentence for the operator: which server, what failed, what to do. It holds
 * no path, query, header, body or key.
 */

/** Code → what it means; docs/mutual-tls.md shows the same table. */
export const httpClientErrors = {
  CLIENT_CERTIFICATE_REQUIRED:
    'The server demands a client certificate, and none was sent: `ssl_cert` and `ssl_key` are not set.',
  CLIENT_CERTIFICATE_REFUSED:
    'The server does not accept the one that was sent; the message has its subject, its dates, and the TLS alert in words.',
  CA_NOT_TRUSTED:
    'The server’s certificate leads to no authority in `ssl_ca`, or the server does not send its intermediates.',
  NAME_MISMATCH: 'The server’s certificate is for another name; `ssl_server_name` says which one is right.',
  CERTIFICATE_EXPIRED: 'The server’s certificate, or one of its chain, has expired or is not yet valid.',
  CERTIFICATE_UNUSABLE:
    'A file of `ssl_cert`, `ssl_key` or `ssl_ca` cannot be read or is damaged (with the line), the key does not belong to the certificate, or a secret reference was not resolved.',
  TLS_FAILED:
    'Any other failure of the handshake: no TLS version in common (`ssl_protocols`), no TLS server at that port.',
  NAME_NOT_RESOLVED: 'The host of the URL has no address.',
  CONNECT_FAILED: 'The server refused the connection, or broke it off while it was made.',
  TIMEOUT: 'No connection within `connect_timeout`, or no whole answer within `timeout`.',
  CONNECTION_CLOSED:
    'The server closed the connection before its answer was whole; the message says so where it had asked for a certificate before.',
  BODY_TOO_LARGE: 'The answer’s body is longer than `max_response_body`.',
  RESPONSE_INVALID: 'The answer is no HTTP/1.1, or `json()` found no JSON in it.',
  INVALID_REQUEST: 'The URL, the method or a header, as the plugin made it. Nothing was sent.',
  ABORTED: 'The plugin gave the request up, by its `signal`.',
  CLOSED: 'The plugin has closed the client.',
} as const;

export type HttpClientErrorCode = keyof typeof httpClientErrors;

export class HttpClientError extends Error {
  override readonly name = 'HttpClientError';
  readonly code: HttpClientErrorCode;

  constructor(code: HttpClientErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
