/**
 * JWS algorithms (RFC 7518 §3, RFC 8037): a key bound to the one algorithm that the configuration names, compiled once.
 * Invariant: what a token's header says never selects an algorithm; it can only disagree with the key and be refused.
 */
import { constants, createHmac, createPublicKey, sign, timingSafeEqual, verify, type KeyObject } from 'node:crypto';
import { ConfigError } from '../../errors/gateway-error.ts';

export const hmacAlgorithms = ['HS256', 'HS384', 'HS512'] as const;
export const publicKeyAlgorithms = [
  'RS256',
  'RS384',
  'RS512',
  'ES256',
  'ES384',
  'ES512',
  'PS256',
  'PS384',
  'PS512',
  'EdDSA',
] as const;

export type HmacAlgorithm = (typeof hmacAlgorithms)[number];
export type PublicKeyAlgorithm = (typeof publicKeyAlgorithms)[number];
export type Algorithm = HmacAlgorithm | PublicKeyAlgorithm;

export interface VerifyKey {
  readonly algorithm: Algorithm;
  /** `input`: the JWS signing input, ASCII. */
  verify(input: string, signature: Uint8Array): boolean;
}

interface Scheme {
  /** undefined: EdDSA hashes by itself. */
  readonly hash: string | undefined;
  readonly keyTypes: readonly string[];
  readonly curve?: string;
  readonly options?: { dsaEncoding: 'ieee-p1363' } | { padding: number; saltLength: number };
}

const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
const ecdsa = { dsaEncoding: 'ieee-p1363' } as const;
const rsa = ['rsa'];
const rsaPss = ['rsa', 'rsa-pss'];
const ec = ['ec'];

const schemes: Readonly<Record<PublicKeyAlgorithm, Scheme>> = {
  RS256: { hash: 'sha256', keyTypes: rsa },
  RS384: { hash: 'sha384', keyTypes: rsa },
  RS512: { hash: 'sha512', keyTypes: rsa },
  ES256: { hash: 'sha256', keyTypes: ec, curve: 'prime256v1', options: ecdsa },
  ES384: { hash: 'sha384', keyTypes: ec, curve: 'secp384r1', options: ecdsa },
  ES512: { hash: 'sha512', keyTypes: ec, curve: 'secp521r1', options: ecdsa },
  PS256: { hash: 'sha256', keyTypes: rsaPss, options: pss },
  PS384: { hash: 'sha384', keyTypes: rsaPss, options: pss },
  PS512: { hash: 'sha512', keyTypes: rsaPss, options: pss },
  EdDSA: { hash: undefined, keyTypes: ['ed25519', 'ed448'] },
};

const hmacHashes: Readonly<Record<HmacAlgorithm, string>> = { HS256: 'sha256', HS384: 'sha384', HS512: 'sha512' };

export function isHmac(algorithm: Algorithm): algorithm is HmacAlgorithm {
  return algorithm in hmacHashes;
}

export function secretKey(algorithm: HmacAlgorithm, secret: Buffer): VerifyKey {
  return {
    algorithm,
    verify: (input, signature) => {
      const expected = createHmac(hmacHashes[algorithm], secret).update(input, 'latin1').digest();
      return expected.length === signature.length && timingSafeEqual(expected, signature);
    },
  };
}

/** Throws ConfigError where the key is not of the algorithm's kind or curve. */
export function publicKey(algorithm: PublicKeyAlgorithm, key: KeyObject): VerifyKey {
  const scheme = schemes[algorithm];
  if (!fits(algorithm, key)) throw new ConfigError(`the public key does not fit the algorithm ${algorithm}`);
  const verifyWith = { key, ...scheme.options };
  return {
    algorithm,
    verify: (input, signature) => verify(scheme.hash, Buffer.from(input, 'latin1'), verifyWith, signature),
  };
}

/** Whether a key is of the algorithm's kind and curve. */
export function fits(algorithm: PublicKeyAlgorithm, key: KeyObject): boolean {
  const { keyTypes, curve } = schemes[algorithm];
  if (!keyTypes.includes(key.asymmetricKeyType ?? '')) return false;
  return curve === undefined || key.asymmetricKeyDetails?.namedCurve === curve;
}

/** PEM of a public key or certificate. Throws ConfigError without a word of the text: it may be a private key by mistake. */
export function readPublicKey(pem: string): KeyObject {
  try {
    return createPublicKey(pem);
  } catch {
    throw new ConfigError('missing valid public key');
  }
}

/** A signature of `input`, base64url. */
export function signHmac(algorithm: HmacAlgorithm, secret: Buffer, input: string): string {
  return createHmac(hmacHashes[algorithm], secret).update(input, 'latin1').digest('base64url');
}

export function signWithKey(algorithm: PublicKeyAlgorithm, key: KeyObject, input: string): string {
  const { hash, options } = schemes[algorithm];
  return sign(hash, Buffer.from(input, 'latin1'), { key, ...options }).toString('base64url');
}
