/**
 * Secrets stored as hashes: `$hash://` and then the PHC string format, without its first `$`
 * (https://github.com/P-H-C/phc-string-format), salt and hash in base64 without padding.
 *
 *   $hash://argon2id$v=19,m=19456,t=2,p=1$SALT$HASH     RFC 9106; m in KiB. `v=19$m=…` is read, too
 *   $hash://scrypt$ln=15,r=8,p=3$SALT$HASH              RFC 7914; N = 2^ln
 *   $hash://sha256$HEX                                  only for keys that nobody can guess: it is fast
 *
 * `keyid=NAME` before the other parameters says by which prefix a key is found (key-auth). Beside the request path: forms
 * are read when a credential is compiled, and hashed off the event loop, on Node's thread pool.
 */
import * as crypto from 'node:crypto';
import { ConfigError } from '../errors/gateway-error.ts';

/** Parsed, within bounds. */
export interface SlowHash {
  readonly algorithm: 'argon2id' | 'scrypt';
  /** Prefix of the keys that it may belong to. */
  readonly keyId: string | undefined;
  readonly salt: Buffer;
  readonly hash: Buffer;
  /** argon2id: KiB, passes, lanes. scrypt: N, r, p. */
  readonly cost: readonly [number, number, number];
}

export interface FastHash {
  readonly algorithm: 'sha256';
  /** 64 hexadecimal digits, lower case. */
  readonly digest: string;
}

const prefix = '$hash://';
/** A hash that takes more memory than this is refused: a few at once must not end the process. */
const maxMemoryBytes = 256 * 1024 * 1024;
const maxPasses = 16;
const maxLanes = 16;
const keyIdPattern = /^[A-Za-z0-9_-]{1,64}$/;
const base64Pattern = /^[A-Za-z0-9+/]+$/;

export function isHashForm(text: string): boolean {
  return text.startsWith(prefix);
}

/** Throws ConfigError, which names neither salt nor hash. */
export function parseHashForm(text: string): SlowHash | FastHash {
  const [algorithm = '', ...parts] = text.slice(prefix.length).split('$');
  if (algorithm === 'sha256') {
    const [digest = '', ...more] = parts;
    if (more.length > 0 || !/^[0-9a-f]{64}$/i.test(digest)) throw malformed('sha256 takes 64 hexadecimal digits');
    return { algorithm, digest: digest.toLowerCase() };
  }
  if (algorithm !== 'argon2id' && algorithm !== 'scrypt') throw malformed('it is none of argon2id, scrypt and sha256');
  // The PHC format writes the version of argon2 as a part of its own.
  const joined = parts.length === 4 ? [`${parts[0] ?? ''},${parts[1] ?? ''}`, parts[2] ?? '', parts[3] ?? ''] : parts;
  const [parameters = '', salt = '', hash = '', ...more] = joined;
  if (more.length > 0) throw malformed('it has too many parts');
  const given = readParameters(parameters);
  const keyId = given.get('keyid');
  given.delete('keyid');
  if (keyId !== undefined && !keyIdPattern.test(keyId)) throw malformed('keyid takes 1 to 64 of A-Z a-z 0-9 _ -');
  const cost = algorithm === 'argon2id' ? argon2Cost(given) : scryptCost(given);
  return { algorithm, keyId, salt: bytes(salt, 'salt', 8), hash: bytes(hash, 'hash', 16), cost };
}

function readParameters(text: string): Map<string, string> {
  const given = new Map<string, string>();
  for (const parameter of text.split(',')) {
    const at = parameter.indexOf('=');
    if (at < 1) throw malformed('a parameter is written name=value');
    given.set(parameter.slice(0, at), parameter.slice(at + 1));
  }
  return given;
}

function argon2Cost(given: Map<string, string>): SlowHash['cost'] {
  // Missing before Node 24.7; @types/node takes it for granted.
  if (!('argon2' in crypto)) throw new ConfigError('argon2id needs Node.js 24.7 or later; scrypt works everywhere');
  if ((given.get('v') ?? '19') !== '19') throw malformed('of argon2, only version 19 is known');
  given.delete('v');
  const lanes = whole(given, 'p', 1, maxLanes);
  const cost = [whole(given, 'm', 8 * lanes, maxMemoryBytes / 1024), whole(given, 't', 1, maxPasses), lanes] as const;
  requireNoMore(given);
  return cost;
}

function scryptCost(given: Map<string, string>): SlowHash['cost'] {
  const n = 2 ** whole(given, 'ln', 1, 24);
  const r = whole(given, 'r', 1, 32);
  const cost = [n, r, whole(given, 'p', 1, maxLanes)] as const;
  if (128 * n * r > maxMemoryBytes) throw malformed('it takes more than 256 MiB of memory');
  requireNoMore(given);
  return cost;
}

function whole(given: Map<string, string>, name: string, least: number, most: number): number {
  const text = given.get(name) ?? '';
  given.delete(name);
  const value = /^[1-9]\d{0,9}$/.test(text) ? Number(text) : NaN;
  if (value >= least && value <= most) return value;
  throw malformed(`${name} takes a number from ${String(least)} to ${String(most)}`);
}

function requireNoMore(given: Map<string, string>): void {
  for (const name of given.keys()) throw malformed(`parameter ${name} is not known`);
}

function bytes(text: string, what: string, least: number): Buffer {
  const value = base64Pattern.test(text) ? Buffer.from(text, 'base64') : Buffer.alloc(0);
  if (value.length < least || value.length > 64)
    throw malformed(`its ${what} takes ${String(least)} to 64 bytes, in base64`);
  return value;
}

function malformed(reason: string): ConfigError {
  return new ConfigError(`malformed $hash:// form: ${reason}`);
}

/** Hashes `secret` the way of `form`, on a thread of the pool. Rejects where the system has no memory for it. */
export function hashSecret({ algorithm, salt, hash, cost }: SlowHash, secret: string): Promise<Buffer> {
  const [first, second, third] = cost;
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, result: Buffer): void => {
      if (error === null) resolve(result);
      else reject(error);
    };
    if (algorithm === 'scrypt') {
      // Node refuses what needs more than maxmem; the form was checked against the bound already.
      const options = { N: first, r: second, p: third, maxmem: maxMemoryBytes * 2 };
      crypto.scrypt(secret, salt, hash.length, options, done);
    } else {
      const parameters = {
        message: secret,
        nonce: salt,
        tagLength: hash.length,
        memory: first,
        passes: second,
        parallelism: third,
      };
      crypto.argon2('argon2id', parameters, done);
    }
  });
}

/** OWASP's Password Storage Cheat Sheet: 19 MiB and two passes; 32 MiB and three lanes. */
const defaults = {
  argon2id: { parameters: 'v=19,m=19456,t=2,p=1', saltBytes: 16, hashBytes: 32 },
  scrypt: { parameters: 'ln=15,r=8,p=3', saltBytes: 16, hashBytes: 32 },
};

/** The form to store for `secret`, with a salt of its own. `keyId`: see above. */
export async function createHashForm(
  algorithm: 'argon2id' | 'scrypt' | 'sha256',
  secret: string,
  keyId?: string,
): Promise<string> {
  if (algorithm === 'sha256') return `${prefix}sha256$${crypto.hash('sha256', secret, 'hex')}`;
  const { parameters, saltBytes, hashBytes } = defaults[algorithm];
  const salt = base64(crypto.randomBytes(saltBytes));
  const head = `${prefix}${algorithm}$${keyId === undefined ? '' : `keyid=${keyId},`}${parameters}$${salt}$`;
  const form = parseHashForm(head + base64(Buffer.alloc(hashBytes)));
  if (form.algorithm === 'sha256') throw new TypeError('sha256 has no salt');
  return head + base64(await hashSecret(form, secret));
}

function base64(value: Buffer): string {
  return value.toString('base64').replace(/=+$/, '');
}
