/**
 * A keyed 64-bit hash of text: HalfSipHash-1-3 over its UTF-16 units, two a word. Keyed with a secret of the process, because
 * clients choose parts of the text: whoever could make two keys collide could spend another's quota.
 * Called once a counted request; allocates nothing.
 */

/** Secret, and the last result. */
export interface KeyHash {
  readonly k0: number;
  readonly k1: number;
  low: number;
  high: number;
}

/** Leaves the hash in `into`. */
export function hashKey(text: string, into: KeyHash): void {
  let v0 = into.k0;
  let v1 = into.k1;
  let v2 = 0x6c796765 ^ into.k0;
  let v3 = 0x74656462 ^ into.k1 ^ 0xee;
  const { length } = text;
  const whole = length & ~1;
  for (let i = 0; ; i += 2) {
    // The last word ends the text and holds its length, so that no text is the beginning of another.
    const last = i >= whole;
    const unit = i < length ? text.charCodeAt(i) : 0;
    const word = last ? unit | (length << 16) : unit | (text.charCodeAt(i + 1) << 16);
    v3 ^= word;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    v0 ^= word;
    if (last) break;
  }
  v2 ^= 0xee;
  for (let round = 0; round < 6; round++) {
    if (round === 3) {
      into.low = v1 ^ v3;
      v1 ^= 0xdd;
    }
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
  }
  into.high = v1 ^ v3;
}
