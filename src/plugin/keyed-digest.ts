/**
 * HMAC-SHA-256 (RFC 2104) for many short texts under one key. `createHmac` sets an object up for each call, which costs several
 * times what the hashing does; here the padded key is made once and each digest is two one-shot hashes.
 */
import { hash } from 'node:crypto';

const blockBytes = 64;
const digestBytes = 32;
/** Texts up to this are copied into a buffer that is kept. */
const keptBytes = 4096;

/** `key`: at most 64 bytes. The digest is a new buffer each time. */
export function createKeyedDigest(key: Uint8Array): (text: string) => Buffer {
  if (key.length > blockBytes) throw new TypeError('the key is longer than a block');
  const inner = Buffer.alloc(blockBytes + keptBytes);
  const outer = Buffer.alloc(blockBytes + digestBytes);
  inner.fill(0x36, 0, blockBytes);
  outer.fill(0x5c, 0, blockBytes);
  for (const [i, byte] of key.entries()) {
    inner[i] = byte ^ 0x36;
    outer[i] = byte ^ 0x5c;
  }
  return (text) => {
    let message: Buffer;
    // A character takes three bytes at most.
    if (text.length * 3 > keptBytes) message = Buffer.concat([inner.subarray(0, blockBytes), Buffer.from(text)]);
    else message = inner.subarray(0, blockBytes + inner.write(text, blockBytes));
    outer.write(hash('sha256', message, 'latin1'), blockBytes, 'latin1');
    return Buffer.from(hash('sha256', outer, 'latin1'), 'latin1');
  };
}
