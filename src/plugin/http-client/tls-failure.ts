/**
 * What went wrong on a connection, in words: errors of Node and OpenSSL → HttpClientError. In TLS 1.3 a server judges the client's
 * certificate after the handshake, so that the same failure arrives here from the first read as well as from the connecting.
 */
import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { HttpClientError, type HttpClientErrorCode } from './http-client-error.ts';
import type { TlsContext } from './identity.ts';

/** A connection, as far as it came. */
export interface Connected {
  /** `host:port`, for messages. */
  readonly server: string;
  /** undefined: no TLS. */
  readonly context: TlsContext | undefined;
  /** The server asked for a client certificate, and has not answered a request since. */
  asked: boolean;
  /** What ended the socket first: the alert, where undici sees no more than the end that follows it. */
  error: Error | undefined;
}

/** RFC 8446 §6.2 and RFC 5246 §7.2.2: what a server says of a client certificate. */
const refusals: Readonly<Record<number, string>> = {
  40: 'handshake failure: often a certificate that the server does not accept',
  42: 'bad certificate: corrupt, or with a signature that does not verify',
  43: 'unsupported certificate: of a kind that the server does not take',
  44: 'certificate revoked',
  45: 'certificate expired, or not yet valid',
  46: 'certificate unknown: unacceptable for some other reason',
  48: 'unknown CA: the server does not trust the certificate’s CA, or an intermediate is missing in ssl_cert',
  49: 'access denied: the certificate is valid, its owner may not enter',
  51: 'decrypt error: the proof of the private key does not verify',
  116: 'certificate required: the server took it as if none had been sent',
};

/** What OpenSSL says of the server's certificate. */
const verification: Readonly<Record<string, readonly [HttpClientErrorCode, string]>> = {
  SELF_SIGNED_CERT_IN_CHAIN: ['CA_NOT_TRUSTED', 'the root of its chain is not among the trusted authorities'],
  DEPTH_ZERO_SELF_SIGNED_CERT: ['CA_NOT_TRUSTED', 'it is self-signed and not among the trusted authorities'],
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: [
    'CA_NOT_TRUSTED',
    'its CA is not among the trusted authorities, or the server does not send its intermediates',
  ],
  UNABLE_TO_GET_ISSUER_CERT: ['CA_NOT_TRUSTED', 'the issuer of one of its chain is not known'],
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: ['CA_NOT_TRUSTED', 'the issuer of one of its chain is not known'],
  CERT_UNTRUSTED: ['CA_NOT_TRUSTED', 'its CA is not trusted for this purpose'],
  CERT_REJECTED: ['CA_NOT_TRUSTED', 'its CA is not trusted for this purpose'],
  INVALID_CA: ['CA_NOT_TRUSTED', 'one of its chain is no CA'],
  INVALID_PURPOSE: ['CA_NOT_TRUSTED', 'it is not a certificate for servers'],
  CERT_SIGNATURE_FAILURE: ['CA_NOT_TRUSTED', 'its signature does not verify'],
  CERT_CHAIN_TOO_LONG: ['CA_NOT_TRUSTED', 'its chain is too long'],
  PATH_LENGTH_EXCEEDED: ['CA_NOT_TRUSTED', 'its chain is longer than its CA allows'],
  CERT_REVOKED: ['CA_NOT_TRUSTED', 'it is revoked'],
  CERT_HAS_EXPIRED: ['CERTIFICATE_EXPIRED', 'it, or one of its chain, has expired'],
  CERT_NOT_YET_VALID: ['CERTIFICATE_EXPIRED', 'it, or one of its chain, is not yet valid'],
};

const broken = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED', 'UND_ERR_SOCKET']);
const unresolved = new Set(['ENOTFOUND', 'EAI_AGAIN', 'ENODATA']);

/** Did the server ask for a certificate? Only then has a client the server's signature algorithms (RFC 8446 §4.3.2). */
export function askedForCertificate(socket: TLSSocket): boolean {
  try {
    return socket.getSharedSigalgs().length > 0;
  } catch {
    return false;
  }
}

/** `error` ended the connection, before or after it stood. */
export function connectionFailure(error: Error, connected: Connected, stood: boolean): HttpClientError {
  if (error instanceof HttpClientError) return error;
  const { server } = connected;
  const fail = (code: HttpClientErrorCode, text: string) => new HttpClientError(code, text, { cause: error });
  const { code = '' } = error as NodeJS.ErrnoException;
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    const { host, cert } = error as { host?: string; cert?: { subjectaltname?: string } };
    return fail(
      'NAME_MISMATCH',
      `${server}: the server’s certificate is not for ${host ?? 'this name'} but for ${cert?.subjectaltname ?? 'none'}; if that is the server, name it in ssl_server_name`,
    );
  }
  const found = verification[code];
  if (found !== undefined)
    return fail(found[0], `${server}: the server’s certificate cannot be verified: ${found[1]} (${code}; ssl_ca)`);
  const alert = alertOf(error);
  if (alert !== undefined) return alertFailure(alert, error, connected);
  if (broken.has(code)) return closedFailure(error, connected, stood);
  if (unresolved.has(code)) return fail('NAME_NOT_RESOLVED', `${server}: the name has no address (${code})`);
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG')
    return fail('TLS_FAILED', `${server}: there is no TLS server: what answers is something else (${code})`);
  if (code.startsWith('ERR_SSL_') || code === 'EPROTO') {
    const { reason } = error as { reason?: string };
    return fail('TLS_FAILED', `${server}: the TLS handshake failed: ${reason ?? code}`);
  }
  if (code.startsWith('UND_ERR_') || error.name === 'HTTPParserError')
    return fail('RESPONSE_INVALID', `${server}: the answer cannot be read (${code === '' ? error.name : code})`);
  return fail(
    stood ? 'CONNECTION_CLOSED' : 'CONNECT_FAILED',
    `${server}: ${stood ? 'the connection broke' : 'no connection'} (${code === '' ? error.name : code})`,
  );
}

function alertFailure(alert: number, error: Error, { server, context, asked }: Connected): HttpClientError {
  const words = refusals[alert];
  if (words === undefined || (!asked && alert !== 116)) {
    const { reason } = error as { reason?: string };
    return new HttpClientError(
      'TLS_FAILED',
      `${server}: the server ended the TLS handshake: alert ${alert}, ${reason ?? 'unknown'}; perhaps no TLS version (ssl_protocols) or cipher in common`,
      { cause: error },
    );
  }
  const certificate = context?.certificate;
  if (certificate === undefined) return certificateRequired(server, `alert ${alert}`, error);
  return new HttpClientError(
    'CLIENT_CERTIFICATE_REFUSED',
    `${server}: the server refused the client certificate (${describe(certificate)}): alert ${alert}, ${words}`,
    { cause: error },
  );
}

function closedFailure(error: Error, { server, context, asked }: Connected, stood: boolean): HttpClientError {
  const certificate = context?.certificate;
  if (asked && !stood) {
    if (certificate === undefined) return certificateRequired(server, 'it closed the connection', error);
    return new HttpClientError(
      'CLIENT_CERTIFICATE_REFUSED',
      `${server}: the server closed the connection when it had the client certificate (${describe(certificate)}), without saying why`,
      { cause: error },
    );
  }
  if (!stood)
    return new HttpClientError('CONNECT_FAILED', `${server}: the server closed the connection while connecting`, {
      cause: error,
    });
  // Whoever closes in TLS 1.3 without an alert may mean the certificate, or have broken down.
  const what =
    certificate === undefined ? 'none was sent (ssl_cert)' : `perhaps refused ours (${describe(certificate)})`;
  const hint = asked ? `; it had asked for a client certificate and ${what}` : '';
  return new HttpClientError(
    'CONNECTION_CLOSED',
    `${server}: the server closed the connection before its answer${hint}`,
    {
      cause: error,
    },
  );
}

function certificateRequired(server: string, how: string, cause: Error): HttpClientError {
  return new HttpClientError(
    'CLIENT_CERTIFICATE_REQUIRED',
    `${server}: the server demands a client certificate and none was sent (${how}): set ssl_cert and ssl_key`,
    { cause },
  );
}

function alertOf(error: Error): number | undefined {
  const number = /SSL alert number (\d+)/.exec(error.message)?.[1];
  return number === undefined ? undefined : Number(number);
}

/** Public by its nature. */
function describe(certificate: X509Certificate): string {
  const subject = certificate.subject.replaceAll('\n', ', ');
  const now = Date.now();
  const validity =
    now > certificate.validToDate.getTime()
      ? `expired on ${certificate.validTo}`
      : now < certificate.validFromDate.getTime()
        ? `not valid before ${certificate.validFrom}`
        : `valid until ${certificate.validTo}`;
  return `${subject}, ${validity}`;
}
