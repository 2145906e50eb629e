/**
 * What an ssl resource asks of clients (`client.ca`, `client.depth`, `client.skip_mtls_uri_regex`), compiled when the item changes.
 * OpenSSL verifies the chain in the handshake; Node gives no way to set its depth, so the depth is counted here afterwards.
 */
import { createHash, type X509Certificate } from 'node:crypto';
import { compileRegex } from '../../expression/regex.ts';
import { readCertificates } from '../../resources/certificate-check.ts';
import type { Ssl } from '../../resources/ssl.ts';

export interface ClientDemand {
  /** The same for the same authorities and depth: while it stays, what a handshake has verified holds. */
  readonly key: string;
  readonly authorities: readonly X509Certificate[];
  /** Authorities between a client's certificate and one that signed itself, at most (`openssl verify -verify_depth`). */
  readonly depth: number;
  /** Requests to such a path need no certificate. */
  readonly skip: readonly RegExp[];
}

/** Nobody meets it: stands where an item that asks for certificates cannot be used. */
export const unmeetable: ClientDemand = { key: '', authorities: [], depth: 0, skip: [] };

/** Throws ConfigError, or what is wrong with a certificate. */
export function compileClientDemand(client: NonNullable<Ssl['client']>): ClientDemand {
  const authorities = readCertificates(client.ca ?? '');
  const depth = client.depth ?? 1;
  const hash = createHash('sha256').update(`${depth}\n`);
  for (const { fingerprint256 } of authorities) hash.update(fingerprint256);
  // APISIX: the same, searched anywhere in the path; `^` is the operator's to write.
  const skip = (client.skip_mtls_uri_regex ?? []).map((source) => compileRegex(source, ''));
  return { key: hash.digest('base64'), authorities, depth, skip };
}

export function skips({ skip }: ClientDemand, path: string): boolean {
  for (const expression of skip) if (expression.test(path)) return true;
  return false;
}

/**
 * Whether a way leads from the certificate, over no more authorities between than `depth` allows, to one of the demand's own that
 * signed itself. `certificate` comes from a handshake: `issuerCertificate` links what the client sent. No replacement for the
 * verification: it takes for granted that OpenSSL found the certificate good.
 */
export function isWithinDepth(certificate: X509Certificate, { authorities, depth }: ClientDemand): boolean {
  const trusted = new Set(authorities.map(({ fingerprint256 }) => fingerprint256));
  if (trusted.has(certificate.fingerprint256)) return true;
  const candidates = new Map(
    [...authorities, ...chainOf(certificate)].map((candidate) => [candidate.fingerprint256, candidate]),
  );
  let level = [certificate];
  for (let between = 0; between <= depth && level.length > 0; between++) {
    const above = new Set<X509Certificate>();
    for (const below of level) {
      for (const [fingerprint, candidate] of candidates) {
        const root = trusted.has(fingerprint) && candidate.checkIssued(candidate);
        // A root of version 1 has no extension that would call it an authority.
        if ((!root && !candidate.ca) || !isValidNow(candidate) || !isSignedBy(below, candidate)) continue;
        if (root) return true;
        above.add(candidate);
        candidates.delete(fingerprint);
      }
    }
    level = [...above];
  }
  return false;
}

function chainOf(certificate: X509Certificate): X509Certificate[] {
  const chain: X509Certificate[] = [];
  const seen = new Set([certificate.fingerprint256]);
  for (let next = certificate.issuerCertificate; next !== undefined; next = next.issuerCertificate) {
    if (seen.has(next.fingerprint256)) break;
    seen.add(next.fingerprint256);
    chain.push(next);
  }
  return chain;
}

function isSignedBy(below: X509Certificate, above: X509Certificate): boolean {
  return below.checkIssued(above) && below.verify(above.publicKey);
}

function isValidNow({ validFromDate, validToDate }: X509Certificate): boolean {
  const now = Date.now();
  return validFromDate.getTime() <= now && now <= validToDate.getTime();
}
