/**
 * The key of a verdict: SHA-256 over length-prefixed fields, so that no two lists of fields are the same text (GHSA-6765-c87h-8mrf:
 * fields that ran into each other handed out another user's verdict). Called once a request that may be cached.
 */
import { hash } from 'node:crypto';

/** `digest`: 8 words, valid until the next call. */
export interface KeyDigest {
  readonly words: Int32Array;
  of(text: string): Int32Array;
}

/** undefined and '' are different fields: the header is absent, or empty. */
export function field(value: string | undefined): string {
  return value === undefined ? '-' : `${String(value.length)}:${value}`;
}

/** Several values of one name, in order. */
export function fields(values: readonly string[]): string {
  let text = `${String(values.length)}[`;
  for (const value of values) text += field(value);
  return text;
}

export function createKeyDigest(): KeyDigest {
  const bytes = Buffer.alloc(32);
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, 8);
  return {
    words,
    of(text) {
      bytes.write(hash('sha256', text, 'latin1'), 0, 32, 'latin1');
      return words;
    },
  };
}
