/**
 * Why a request of a plugin got no answer. The message is a sentence for the operator: which server, what failed, what to do. It holds
 * no path, query, header, body or key.
 */
export type HttpClientErrorCode =
  /** The request as the plugin made it: URL, method, header. Nothing was sent. */
  | 'INVALID_REQUEST'
  | 'NAME_NOT_RESOLVED'
  | 'CONNECT_FAILED'
  /** Connecting, or the whole request. */
  | 'TIMEOUT'
  /** The connection ended before the answer did. */
  | 'CONNECTION_CLOSED'
  | 'BODY_TOO_LARGE'
  /** The answer cannot be read. */
  | 'RESPONSE_INVALID'
  /** Our certificate, key or CA file cannot be used, or a reference to one could not be resolved. */
  | 'CERTIFICATE_UNUSABLE'
  /** The server demands a client certificate, and none was sent. */
  | 'CLIENT_CERTIFICATE_REQUIRED'
  /** The server does not accept the one that was sent. */
  | 'CLIENT_CERTIFICATE_REFUSED'
  /** The server's certificate leads to no authority that is trusted. */
  | 'CA_NOT_TRUSTED'
  /** The server's certificate is for another name. */
  | 'NAME_MISMATCH'
  /** The server's certificate, or one of its chain, is over or not yet valid. */
  | 'CERTIFICATE_EXPIRED'
  | 'TLS_FAILED'
  | 'ABORTED'
  | 'CLOSED';

export class HttpClientError extends Error {
  override readonly name = 'HttpClientError';
  readonly code: HttpClientErrorCode;

  constructor(code: HttpClientErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
