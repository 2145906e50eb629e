/** A consumer's jwt-auth credential: its key compiled for the one algorithm it names, and what the signing API needs. */
import { createPrivateKey, randomBytes, type KeyObject } from 'node:crypto';
import { ConfigError } from '../../errors/gateway-error.ts';
import type { CredentialDefinition, JsonSchema } from '../../plugin/index.ts';
import { isUnresolvedReference } from '../../plugin/secret-reference.ts';
import {
  fits,
  hmacAlgorithms,
  isHmac,
  publicKey,
  publicKeyAlgorithms,
  readPublicKey,
  secretKey,
  type Algorithm,
  type VerifyKey,
} from './algorithms.ts';

export interface CredentialConfig {
  key: string;
  secret?: string;
  public_key?: string;
  private_key?: string;
  algorithm: Algorithm;
  exp: number;
  base64_secret: boolean;
  lifetime_grace_period: number;
}

export interface CredentialState {
  readonly algorithm: Algorithm;
  /** undefined: its secret could not be resolved, so that it verifies nothing. */
  readonly key: VerifyKey | undefined;
  readonly graceSeconds: number;
  /** What the signing API signs with; undefined: it cannot. */
  readonly signer: Buffer | KeyObject | undefined;
  /** Lifetime of what the signing API signs. */
  readonly lifetimeSeconds: number;
}

export const consumerSchema: JsonSchema = {
  type: 'object',
  properties: {
    key: { type: 'string', minLength: 1, description: 'Names the credential in a token; unique among all consumers.' },
    secret: {
      type: 'string',
      minLength: 1,
      description: 'Secret of the HS algorithms. Where it is absent, a random one is made and stored.',
    },
    public_key: {
      type: 'string',
      description: 'Public key or certificate in PEM, for every algorithm but the HS ones.',
    },
    private_key: {
      type: 'string',
      description: 'Private key in PEM; only the signing API needs it.',
    },
    algorithm: {
      type: 'string',
      enum: [...hmacAlgorithms, ...publicKeyAlgorithms],
      default: 'HS256',
      description: 'The one algorithm that this credential accepts.',
    },
    exp: {
      type: 'integer',
      minimum: 1,
      default: 86400,
      description: 'Seconds that a token of the signing API lives.',
    },
    base64_secret: { type: 'boolean', default: false, description: 'The secret is written in base64.' },
    lifetime_grace_period: {
      type: 'integer',
      minimum: 0,
      default: 0,
      description: 'Seconds of leeway on `exp` and `nbf`, for clocks that differ.',
    },
  },
  required: ['key'],
  encrypt_fields: ['secret', 'private_key'],
};

export const credential: CredentialDefinition<CredentialConfig, CredentialState> = {
  complete(config) {
    if (isHmac(config.algorithm)) config.secret ??= randomBytes(32).toString('base64');
  },

  compile(config) {
    return {
      indexKey: config.key,
      state: {
        algorithm: config.algorithm,
        ...keys(config),
        graceSeconds: config.lifetime_grace_period,
        lifetimeSeconds: config.exp,
      },
    };
  },
};

function keys(config: CredentialConfig): Pick<CredentialState, 'key' | 'signer'> {
  const { algorithm } = config;
  if (isHmac(algorithm)) {
    if (config.secret === undefined)
      throw new ConfigError(`property "secret" is required when "algorithm" is "${algorithm}"`);
    if (isUnresolvedReference(config.secret)) return { key: undefined, signer: undefined };
    const secret = config.base64_secret ? decodeBase64(config.secret) : Buffer.from(config.secret, 'utf8');
    return { key: secretKey(algorithm, secret), signer: secret };
  }
  if (config.public_key === undefined) throw new ConfigError('missing valid public key');
  if (isUnresolvedReference(config.public_key)) return { key: undefined, signer: undefined };
  const key = publicKey(algorithm, readPublicKey(config.public_key));
  const { private_key: pem } = config;
  if (pem === undefined || isUnresolvedReference(pem)) return { key, signer: undefined };
  const signer = readPrivateKey(pem);
  if (!fits(algorithm, signer)) throw new ConfigError(`the private key does not fit the algorithm ${algorithm}`);
  return { key, signer };
}

function decodeBase64(text: string): Buffer {
  const bytes = Buffer.from(text, 'base64');
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text) || bytes.length === 0) {
    throw new ConfigError('base64_secret required but the secret is not in base64 format');
  }
  return bytes;
}

function readPrivateKey(pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    // The cause may quote the key.
    throw new ConfigError('private_key is not a private key in PEM');
  }
}
