/** Certificates and keys that can be read and belong together, checked when they are written. Never repeats a key. */
import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
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
  if (typeof client !== 'object' || client === null || Array.isArray(client)) return undefined;
  const ca = client['ca'];
  if (typeof ca === 'string' && !isReference(ca) && !readCertificate(ca))
    return 'failed to validate client_cert: failed to parse cert';
  return undefined;
}

function readCertificate(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}
