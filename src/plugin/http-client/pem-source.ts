/** Where a certificate, key or CA comes from: text in the configuration, or a file. Text is checked when it is written, files when used. */
import { createHash, type KeyObject, type X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { ConfigError } from '../../errors/gateway-error.ts';
import { isUnresolvedReference } from '../secret-reference.ts';
import { PemError, readCertificates, readPrivateKey } from './pem.ts';

export interface PemSource {
  /** Name of the option. */
  readonly field: string;
  readonly kind: 'text' | 'file' | 'unresolved';
  /** The text, the path, or the reference that nobody could resolve. */
  readonly value: string;
}

/** PATH_MAX of Linux. */
const maxPathLength = 4096;

/** Throws ConfigError for text that is not the PEM that is expected. */
export function pemSource(field: string, value: string, expected: 'certificate' | 'key'): PemSource {
  if (isUnresolvedReference(value)) return { field, kind: 'unresolved', value };
  if (!/-BEGIN|[\r\n]/.test(value)) {
    if (value.length > maxPathLength || value.includes('\0'))
      throw new ConfigError(`${field}: is neither PEM text (no -----BEGIN …-----) nor the path of a file`);
    return { field, kind: 'file', value };
  }
  const source: PemSource = { field, kind: 'text', value };
  try {
    if (expected === 'key') readPrivateKey(value);
    else readCertificates(value);
  } catch (error) {
    throw new ConfigError(`${field}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
  return source;
}

/** Names the content without holding it. */
export function sourceName(source: PemSource | undefined): string {
  if (source === undefined) return '';
  return source.kind === 'text'
    ? `text ${createHash('sha256').update(source.value).digest('base64url')}`
    : `${source.kind} ${source.value}`;
}

/** Where both are at hand: they must belong together. Throws ConfigError. */
export function checkKeyPair(cert: PemSource | undefined, key: PemSource | undefined): void {
  if (cert?.kind !== 'text' || key?.kind !== 'text') return;
  try {
    assertPair(cert.value, key.value);
  } catch (error) {
    throw new ConfigError(`ssl_key: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

/** Returns the client's own certificate. Throws PemError. */
export function assertPair(cert: string, key: string): X509Certificate {
  const [own, ...others] = readCertificates(cert);
  const secret: KeyObject = readPrivateKey(key);
  if (own === undefined) throw new PemError('the certificate is missing');
  if (!own.checkPrivateKey(secret)) {
    const place = others.findIndex((other) => other.checkPrivateKey(secret));
    throw new PemError(
      place === -1
        ? 'the private key does not belong to the certificate'
        : `the private key belongs to certificate ${place + 2} of the chain; the client’s own must be the first`,
    );
  }
  try {
    // An empty list of authorities: nothing but the pair is looked at.
    createSecureContext({ cert, key, ca: [] });
  } catch (cause) {
    const { reason } = cause as { reason?: string };
    throw new PemError(`TLS does not take the certificate: ${reason ?? 'unknown reason'}`, { cause });
  }
  return own;
}
