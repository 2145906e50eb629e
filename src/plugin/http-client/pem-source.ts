/**
 * Where a certificate, key or CA comes from: text in the configuration, or a file. Text is checked when it is written, a file when
 * it is used.
 */
import { createHash, type KeyObject, type X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { isUnresolvedReference } from '../secret-reference.ts';
import { PemError, readCertificates, readPrivateKey } from './pem.ts';

export interface PemSource {
  /** The option, with the file; begins each message. */
  readonly name: string;
  readonly kind: 'text' | 'file' | 'unresolved';
  /** The text, the path, or the reference that nobody could resolve. */
  readonly value: string;
}

/** A client certificate with its chain, as OpenSSL wants it. */
export interface KeyPair {
  /** The client's own. */
  readonly certificate: X509Certificate;
  /** PEM, with the intermediates. */
  readonly cert: string;
  /** PEM. */
  readonly key: string;
}

/** PATH_MAX of Linux. */
const maxPathLength = 4096;

/** Throws PemError where `value` can be neither PEM nor a path. */
export function pemSource(field: string, value: string): PemSource {
  if (isUnresolvedReference(value)) return { name: field, kind: 'unresolved', value };
  if (/-BEGIN|[\r\n]/.test(value)) return { name: field, kind: 'text', value };
  if (value.length > maxPathLength || value.includes('\0'))
    throw new PemError(`${field}: is neither PEM text (no -----BEGIN …-----) nor the path of a file`);
  return { name: `${field} (${value})`, kind: 'file', value };
}

/** Names the content without holding it. */
export function sourceKey(source: PemSource | undefined): string {
  if (source === undefined) return '';
  const { kind, value } = source;
  return `${kind} ${kind === 'text' ? createHash('sha256').update(value).digest('base64url') : value}`;
}

/** Rejects with PemError where there is no text to be had. */
export async function textOf({ name, kind, value }: PemSource): Promise<string> {
  if (kind === 'text') return value;
  if (kind === 'unresolved') throw new PemError(`${name}: ${value} cannot be resolved`);
  try {
    return await readFile(value, 'utf8');
  } catch (cause) {
    throw new PemError(`${name}: cannot be read: ${(cause as NodeJS.ErrnoException).code ?? 'unknown reason'}`, {
      cause,
    });
  }
}

/** Throws PemError. */
export function certificatesOf(source: PemSource, text: string): X509Certificate[] {
  return named(source.name, () => readCertificates(text));
}

/** Throws PemError. */
export function privateKeyOf(source: PemSource, text: string): KeyObject {
  return named(source.name, () => readPrivateKey(text));
}

/** `chain`: the client's own certificate first. Throws PemError where they do not belong together, or TLS does not take them. */
export function pairOf(chain: readonly X509Certificate[], secret: KeyObject): KeyPair {
  const [certificate] = chain;
  if (certificate?.checkPrivateKey(secret) !== true) {
    const place = chain.findIndex((other) => other.checkPrivateKey(secret));
    throw new PemError(
      place === -1
        ? 'ssl_key: the private key does not belong to the certificate'
        : `ssl_cert: the private key belongs to certificate ${place + 1} of the chain; the client’s own must be the first`,
    );
  }
  const cert = chain.map((one) => one.toString()).join('');
  const key = secret.export({ type: 'pkcs8', format: 'pem' });
  try {
    // An empty list of authorities: nothing but the pair is looked at.
    createSecureContext({ cert, key, ca: [] });
  } catch (cause) {
    const { reason = 'unknown reason' } = cause as { reason?: string };
    throw new PemError(`ssl_cert: TLS does not take the certificate: ${reason}`, { cause });
  }
  return { certificate, cert, key };
}

function named<T>(name: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new PemError(`${name}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}
