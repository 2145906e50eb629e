/** Certificates and keys that can be read and belong together, checked when they are written. Never repeats a key. */
import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { ConfigError } from '../errors/gateway-error.ts';
import { compileRegex } from '../expression/regex.ts';
import type { Json, JsonObject } from './resource.ts';

/** `$secret://…` and `$env://…` are resolved later; there is nothing to read yet. */
function isReference(value: string): boolean {
  return value.startsWith('$');
}

/** Both PEM text. Returns the first error, or undefined. */
export function checkKeyPair(cert: Json | undefined, key: Json | undefined): string | undefined {
  if (typeof cert !== 'string' || typeof key !== 'string') return undefined;
  let certificate: X509Certificate | undefined;
  if (!isReference(cert)) {
    certificate = readCertificate(cert);
    if (!certificate) return 'failed to parse cert: it is not a PEM certificate';
  }
  if (isReference(key)) return undefined;
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey(key);
  } catch {
    return 'failed to parse key: it is not a PEM private key without a passphrase';
  }
  return certificate?.checkPrivateKey(privateKey) === false
    ? 'failed to validate key: it is not the key of cert'
    : undefined;
}

/** An ssl resource that has passed its schema (APISIX: ssl.lua, check_ssl_conf). */
export function checkSsl(ssl: JsonObject): string | undefined {
  const first = checkKeyPair(ssl['cert'], ssl['key']);
  if (first !== undefined) return first;
  const certs = Array.isArray(ssl['certs']) ? ssl['certs'] : [];
  const keys = Array.isArray(ssl['keys']) ? ssl['keys'] : [];
  if (certs.length !== keys.length) return 'mismatched number of certs and keys';
  for (const [i, cert] of certs.entries()) {
    const error = checkKeyPair(cert, keys[i]);
    if (error !== undefined) return `failed to handle cert-key pair[${String(i + 1)}]: ${error}`;
  }
  const client = ssl['client'];
  if (typeof client !== 'object' || client === null || Array.isArray(client)) return checkUse(ssl);
  const ca = client['ca'];
  if (typeof ca === 'string' && !isReference(ca)) {
    try {
      readCertificates(ca);
    } catch (error) {
      return `failed to validate client_cert: failed to parse cert: ${error instanceof Error ? error.message : ''}`;
    }
  }
  const skip = client['skip_mtls_uri_regex'];
  for (const [i, source] of (Array.isArray(skip) ? skip : []).entries()) {
    try {
      compileRegex(typeof source === 'string' ? source : '', '');
    } catch (error) {
      return `client.skip_mtls_uri_regex[${i + 1}]: ${error instanceof Error ? error.message : ''}`;
    }
  }
  return checkUse(ssl);
}

/** OpenSSL reads more than it serves: keys that are too small are refused here, and not by each worker. */
function checkUse(ssl: JsonObject): string | undefined {
  const pairs: (readonly [Json | undefined, Json | undefined])[] = [[ssl['cert'], ssl['key']]];
  const { certs, keys } = ssl;
  if (Array.isArray(certs) && Array.isArray(keys)) pairs.push(...certs.map((cert, i) => [cert, keys[i]] as const));
  for (const [cert, key] of pairs) {
    if (typeof cert !== 'string' || typeof key !== 'string' || isReference(cert) || isReference(key)) continue;
    try {
      createSecureContext({ cert, key });
    } catch (error) {
      const reason = error instanceof Error && 'reason' in error ? String(error.reason) : 'unknown reason';
      return `failed to use cert and key: ${reason}`;
    }
  }
  return undefined;
}

/** Every certificate of a PEM text. Throws ConfigError where there is none, or where one cannot be read. */
export function readCertificates(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN [^-]*CERTIFICATE-----[^]*?(?:-----END [^-]*CERTIFICATE-----|$)/g) ?? [];
  if (blocks.length === 0) throw new ConfigError('it holds no PEM certificate');
  return blocks.map((block, i) => {
    const certificate = readCertificate(block);
    if (certificate === undefined) throw new ConfigError(`certificate ${i + 1} of ${blocks.length} cannot be read`);
    return certificate;
  });
}

function readCertificate(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}
