/**
 * nginx's `$ssl_*` variables over an Exchange: of the connection, and of the client's certificate. Computed when they are asked for.
 * Those of the certificate have a value only where it was verified. On a plain connection none has one.
 * Not here: what nginx knows of a handshake and Node does not tell (`ssl_ciphers`, `ssl_curve`, `ssl_early_data`, …).
 */
import type { X509Certificate } from 'node:crypto';
import { formatDistinguishedName } from './distinguished-name.ts';
import type { Exchange } from './exchange.ts';

type Read = (exchange: Exchange) => string | undefined;

const millisecondsPerDay = 86_400_000;
const orNone = (text: string | undefined): string | undefined => (text === '' ? undefined : text);

function of(read: (certificate: X509Certificate) => string): Read {
  return ({ clientCertificate }) => (clientCertificate === undefined ? undefined : read(clientCertificate));
}

const pem = (certificate: X509Certificate): string => certificate.toString().trimEnd();

export const tlsVariables = {
  ssl_protocol: ({ tls }) => orNone(tls?.protocol),
  ssl_cipher: ({ tls }) => orNone(tls?.cipher),
  ssl_server_name: ({ tls }) => orNone(tls?.serverName),
  ssl_session_reused: ({ tls }) => tls && (tls.sessionReused ? 'r' : '.'),
  ssl_client_verify: ({ tls }) => tls?.clientVerify,
  /** RFC 2253. */
  ssl_client_s_dn: of(({ subject }) => formatDistinguishedName(subject)),
  ssl_client_i_dn: of(({ issuer }) => formatDistinguishedName(issuer)),
  /** Hex digits, upper case. */
  ssl_client_serial: of(({ serialNumber }) => serialNumber),
  /** SHA-1, hex digits, lower case. */
  ssl_client_fingerprint: of(({ fingerprint }) => fingerprint.replaceAll(':', '').toLowerCase()),
  ssl_client_v_start: of(({ validFrom }) => validFrom),
  ssl_client_v_end: of(({ validTo }) => validTo),
  /** Whole days. */
  ssl_client_v_remain: of(({ validToDate }) =>
    String(Math.max(0, Math.floor((validToDate.getTime() - Date.now()) / millisecondsPerDay))),
  ),
  /** With line feeds, which no header takes: `ssl_client_escaped_cert` is for headers. */
  ssl_client_raw_cert: of((certificate) => `${pem(certificate)}\n`),
  ssl_client_cert: of((certificate) => pem(certificate).replaceAll('\n', '\n\t')),
  ssl_client_escaped_cert: of((certificate) => encodeURIComponent(`${pem(certificate)}\n`)),
} satisfies Record<string, Read>;
