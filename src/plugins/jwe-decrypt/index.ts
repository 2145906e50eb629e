/**
 * jwe-decrypt: a token encrypted for the gateway (RFC 7516, `dir` with `A256GCM`) is decrypted, and its plaintext goes
 * upstream in a header. Runs in `rewrite`. The key is a consumer's, found by `kid`; the consumer is not attached.
 * Invariant: the forwarded header holds what was decrypted here, or it is absent; a token that does not decrypt is 400.
 * APISIX: without a token and with `strict` off, a value that the client sent under `forward_header` is removed; it would
 * pass for a decrypted one.
 * APISIX: the encrypting API draws a random IV each time and takes none from the caller: GCM breaks when one is used twice.
 */
import { isUtf8 } from 'node:buffer';
import { createDecipheriv } from 'node:crypto';
import { ConfigError } from '../../errors/gateway-error.ts';
import { headerLiteral } from '../../plugin/header-operations.ts';
import { foldedNames, removeSpellings } from '../../plugin/identity-headers.ts';
import { definePlugin, type CredentialIndex, type Reply } from '../../plugin/plugin.ts';
import { isUnresolvedReference } from '../../plugin/secret-reference.ts';
import { encryptApi } from './encrypt.ts';

interface Config {
  header: string;
  forward_header: string;
  strict: boolean;
}

interface CredentialConfig {
  key: string;
  secret: string;
  is_base64_encoded?: boolean;
}

/** 32 bytes; undefined: the secret could not be resolved. */
export type CredentialState = Buffer | undefined;

interface State {
  readonly header: string;
  readonly forwardHeader: string;
  /** Folded. */
  readonly forwardNames: ReadonlySet<string>;
  readonly strict: boolean;
  readonly credentials: CredentialIndex<CredentialState>;
}

const keyBytes = 32;
const ivBytes = 12;
const tagBytes = 16;
/** `dir`: the encrypted key is empty (RFC 7516 §7.1). */
const compact = /^([A-Za-z0-9_-]+)\.\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]*)\.([A-Za-z0-9_-]+)$/;

export const jweDecrypt = definePlugin<Config, State, CredentialConfig, CredentialState>({
  name: 'jwe-decrypt',
  priority: 2509,
  version: '0.1',
  type: 'auth',
  schema: {
    type: 'object',
    properties: {
      header: {
        type: 'string',
        minLength: 1,
        default: 'Authorization',
        description: 'Header of the token, with or without `Bearer `.',
      },
      forward_header: {
        type: 'string',
        minLength: 1,
        default: 'Authorization',
        description: 'Header that carries the plaintext upstream.',
      },
      strict: {
        type: 'boolean',
        default: true,
        description: 'Refuse a request without a token; otherwise it passes without the forwarded header.',
      },
    },
  },
  consumerSchema: {
    type: 'object',
    properties: {
      key: { type: 'string', minLength: 1, description: 'What a token names as `kid`; unique among all consumers.' },
      secret: { type: 'string', minLength: 32, description: 'The key: 32 bytes.' },
      is_base64_encoded: { type: 'boolean', description: 'The secret is written in base64 or base64url.' },
    },
    required: ['key', 'secret'],
    encrypt_fields: ['secret'],
  },
  credential: {
    compile({ key, secret, is_base64_encoded: encoded }) {
      if (isUnresolvedReference(secret)) return { indexKey: key, state: undefined };
      const state = Buffer.from(secret, encoded === true ? 'base64' : 'utf8');
      if (state.length !== keyBytes) throw new ConfigError('the secret must be 32 bytes long');
      return { indexKey: key, state };
    },
  },
  apis: [encryptApi],

  compile(config, { credentials }) {
    headerLiteral('forward_header', config.forward_header, '');
    return {
      header: config.header.toLowerCase(),
      forwardHeader: config.forward_header,
      forwardNames: foldedNames([config.forward_header]),
      strict: config.strict,
      credentials,
    };
  },

  rewrite(state, exchange) {
    const fields = exchange.headers.getAll(state.header);
    const [field] = fields;
    if (field === undefined) {
      if (state.strict) return refuse(403, 'missing JWE token in request', 'missing');
      removeSpellings(exchange.headers, state.forwardNames);
      return undefined;
    }
    if (fields.length > 1) return refuse(400, 'JWE token invalid', 'ambiguous');
    const plaintext = open(state, /^Bearer /i.test(field) ? field.slice(7) : field);
    if (typeof plaintext !== 'string') return plaintext;
    removeSpellings(exchange.headers, state.forwardNames);
    exchange.headers.set(state.forwardHeader, plaintext);
    return undefined;
  },
});

/** The plaintext as Latin-1 text of a header, or why there is none. */
function open(state: State, token: string): string | Reply {
  const match = compact.exec(token);
  if (match === null) return refuse(400, 'JWE token invalid', 'malformed');
  const [, protectedHeader = '', iv = '', ciphertext = '', tag = ''] = match;
  const header = parseHeader(protectedHeader);
  if (header === undefined) return refuse(400, 'JWE token invalid', 'malformed');
  const { kid, alg, enc } = header;
  // RFC 7516 §5.2: what is not understood is not accepted.
  if (alg !== 'dir' || enc !== 'A256GCM' || 'zip' in header || 'crit' in header) {
    return refuse(400, 'JWE token invalid', 'algorithm_refused');
  }
  if (typeof kid !== 'string') return refuse(400, 'missing kid in JWE token', 'missing_kid');
  const found = state.credentials.find(kid);
  if (found === undefined) {
    return refuse(400, 'invalid kid in JWE token', state.credentials.expired(kid) ? 'expired' : 'unknown_kid');
  }
  if (found.state === undefined) return refuse(400, 'failed to decrypt JWE token', 'unresolved_secret');
  const plaintext = decrypt(found.state, protectedHeader, iv, ciphertext, tag);
  if (plaintext === undefined) return refuse(400, 'failed to decrypt JWE token', 'undecryptable');
  const text = plaintext.toString('latin1');
  // A line break would end the header that the upstream trusts.
  return /^[\t -~\u0080-\u00ff]*$/.test(text) ? text : refuse(400, 'JWE token invalid', 'unfit_plaintext');
}

function parseHeader(segment: string): Readonly<Record<string, unknown>> | undefined {
  const bytes = Buffer.from(segment, 'base64url');
  if (!isUtf8(bytes)) return undefined;
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Authenticates the protected header too (RFC 7516 §5.1, step 14). Tokens of APISIX leave it out of the authentication, so
 * that is tried second: the ciphertext is authenticated either way, and `kid` selected the only key that fits.
 */
function decrypt(key: Buffer, header: string, iv: string, ciphertext: string, tag: string): Buffer | undefined {
  const [ivBuffer, data, tagBuffer] = [iv, ciphertext, tag].map((segment) => {
    const bytes = Buffer.from(segment, 'base64url');
    return bytes.toString('base64url') === segment ? bytes : undefined;
  });
  if (ivBuffer?.length !== ivBytes || tagBuffer?.length !== tagBytes || data === undefined) return undefined;
  for (const additional of [Buffer.from(header, 'latin1'), undefined]) {
    try {
      const decipher = createDecipheriv('aes-256-gcm', key, ivBuffer, { authTagLength: tagBytes }).setAuthTag(
        tagBuffer,
      );
      if (additional !== undefined) decipher.setAAD(additional);
      return Buffer.concat([decipher.update(data), decipher.final()]);
    } catch {
      // Not authentic in this form.
    }
  }
  return undefined;
}

function refuse(status: number, message: string, reason: string): Reply {
  return { status, body: { message }, reason: `jwe-decrypt.${reason}` };
}
