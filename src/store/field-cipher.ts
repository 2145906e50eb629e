/**
 * Secrets of stored resources, encrypted as APISIX does it, so that both can read one etcd (apisix/ssl.lua,
 * `data_encryption.keyring`): AES-128-CBC with PKCS #7 padding, the key of 16 bytes also as initialisation vector, base64.
 * It hides a value from who reads the store without the keyring. It does not hide that two values are equal, nor notice that
 * one was exchanged: CBC without a tag cannot.
 */
import { isUtf8 } from 'node:buffer';
import { createCipheriv, createDecipheriv, createHash } from 'node:crypto';

export interface FieldCipher {
  encrypt(text: string): string;
  /** The text itself where no key opens it: it was stored before there was a keyring. */
  decrypt(text: string): string;
  /** Has it the form of what `encrypt` gives, by whatever key? A plain text can have it too. */
  looksEncrypted(text: string): boolean;
  /** Of the first key; tells it from others, and nothing of it to who has not guessed it. 48 bits. */
  readonly fingerprint: number;
}

const algorithm = 'aes-128-cbc';
const blockBytes = 16;
const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** `keyring`: at least one key of 16 bytes; the first encrypts, all are tried to decrypt. */
export function createFieldCipher(keyring: readonly string[]): FieldCipher {
  const keys = keyring.map((key) => Buffer.from(key));
  const [first] = keys;
  if (first === undefined) throw new TypeError('a keyring needs a key');
  const looksEncrypted = (text: string): boolean =>
    text !== '' && base64.test(text) && Buffer.byteLength(text, 'base64') % blockBytes === 0;
  return {
    looksEncrypted,
    fingerprint: createHash('sha256').update('gatewright keyring\0').update(first).digest().readUIntBE(0, 6),
    encrypt(text) {
      const cipher = createCipheriv(algorithm, first, first);
      return Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]).toString('base64');
    },
    decrypt(text) {
      if (!looksEncrypted(text)) return text;
      const bytes = Buffer.from(text, 'base64');
      for (const key of keys) {
        const opened = open(bytes, key);
        if (opened !== undefined) return opened;
      }
      return text;
    },
  };
}

/** A wrong key fails at the padding 255 times of 256; text that is no UTF-8 was not ours either. */
function open(bytes: Buffer, key: Buffer): string | undefined {
  const decipher = createDecipheriv(algorithm, key, key);
  try {
    const text = Buffer.concat([decipher.update(bytes), decipher.final()]);
    return isUtf8(text) ? text.toString('utf8') : undefined;
  } catch {
    return undefined;
  }
}
