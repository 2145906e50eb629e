/**
 * Small records by key that all threads of the process share: a fixed-size hash table in one SharedArrayBuffer. On the request
 * path of whatever is counted. Invariant: `update` runs alone for its key, so a read and the write that follows are one step.
 *
 *   buffer = | head | bucket 0 | bucket 1 | …          a key's hash picks its bucket
 *   bucket = | lock, … | 16 × low | 16 × high | 16 × record |
 *              64 B      the hash of each record's key          record = | expiry | words … |
 *
 * A record whose expiry (ms since 1970) has passed is empty. A new key takes an empty place of its bucket; where all 16 are
 * alive, the one that expires first gives way and `evictions` counts it: memory is bounded, and what is lost is the oldest.
 * A lock is held for some ten nanoseconds and never across anything that waits. It holds its thread's number, so that the
 * lock of a thread that died can be opened (`forget`).
 */
import { randomBytes } from 'node:crypto';
import { hashKey, type KeyHash } from './key-hash.ts';

export interface TableShape {
  /** Places in all; a power of two, 16 at least. */
  readonly places: number;
  /** 8-byte words of a record beside its expiry. */
  readonly words: number;
}

/**
 * Changes one record: `numbers[at]` is its expiry, the words follow; all are 0 for a new one. Runs under a lock: no calls out,
 * nothing that throws. Its result is `update`'s.
 */
export type RecordChange = (numbers: Float64Array, at: number) => number;

const ways = 16;
const headBytes = 64;
const bucketHeadBytes = 64;
const hashBytes = 2 * ways * 4;
/** Attempts before the thread sleeps: the holder may have lost its processor. */
const spins = 200;
// In the head, as 32-bit words.
const placesAt = 0;
const wordsAt = 1;
const seedAt = 2;
const evictionsAt = 4;

export function createTable({ places, words }: TableShape): SharedArrayBuffer {
  const buckets = Math.max(1, places / ways);
  const buffer = new SharedArrayBuffer(headBytes + buckets * bucketBytes(words));
  const head = new Int32Array(buffer, 0, headBytes / 4);
  head[placesAt] = buckets * ways;
  head[wordsAt] = words;
  const secret = randomBytes(8);
  head[seedAt] = secret.readInt32LE(0);
  head[seedAt + 1] = secret.readInt32LE(4);
  return buffer;
}

export class SharedTable {
  readonly #integers: Int32Array;
  readonly #numbers: Float64Array;
  readonly #bucketMask: number;
  readonly #bucketBytes: number;
  readonly #recordNumbers: number;
  readonly #owner: number;
  readonly #now: () => number;
  readonly #hash: KeyHash;

  /** `owner`: number of this thread, above 0 and unique among those that use the table. */
  constructor(buffer: SharedArrayBuffer, owner: number, now: () => number = Date.now) {
    this.#integers = new Int32Array(buffer);
    this.#numbers = new Float64Array(buffer);
    const integer = (at: number): number => this.#integers[at] ?? 0;
    this.#bucketMask = integer(placesAt) / ways - 1;
    this.#recordNumbers = integer(wordsAt) + 1;
    this.#bucketBytes = bucketBytes(integer(wordsAt));
    this.#hash = { k0: integer(seedAt), k1: integer(seedAt + 1), low: 0, high: 0 };
    this.#owner = owner;
    this.#now = now;
  }

  /** Records that had to give way before their time, since the start. */
  get evictions(): number {
    return Atomics.load(this.#integers, evictionsAt);
  }

  /** The clock of expiries, in ms. */
  now(): number {
    return this.#now();
  }

  /** Runs `change` on the record of `key`, which is made where there is none. */
  update(key: string, change: RecordChange): number {
    const hash = this.#hash;
    hashKey(key, hash);
    const { low, high } = hash;
    const lock = (headBytes + (low & this.#bucketMask) * this.#bucketBytes) >>> 2;
    this.#acquire(lock);
    const result = change(this.#numbers, this.#find(lock, low, high));
    Atomics.store(this.#integers, lock, 0);
    return result;
  }

  /** For the control plane: visits every record that was ever written, each under its lock. */
  forEach(change: (numbers: Float64Array, at: number) => void): void {
    for (let bucket = 0; bucket <= this.#bucketMask; bucket++) {
      const lock = (headBytes + bucket * this.#bucketBytes) >>> 2;
      if (this.#integers[lock + 1] === 0) continue;
      this.#acquire(lock);
      for (let way = 0; way < ways; way++) change(this.#numbers, this.#recordAt(lock, way));
      Atomics.store(this.#integers, lock, 0);
    }
  }

  /** Opens what a thread that is gone had locked. */
  forget(owner: number): void {
    for (let bucket = 0; bucket <= this.#bucketMask; bucket++) {
      Atomics.compareExchange(this.#integers, (headBytes + bucket * this.#bucketBytes) >>> 2, owner, 0);
    }
  }

  #recordAt(lock: number, way: number): number {
    return ((lock * 4 + bucketHeadBytes + hashBytes) >>> 3) + way * this.#recordNumbers;
  }

  /** Index of the key's record in `#numbers`, emptied if it is new or expired. */
  #find(lock: number, low: number, high: number): number {
    const integers = this.#integers;
    const numbers = this.#numbers;
    const lows = lock + (bucketHeadBytes >>> 2);
    const highs = lows + ways;
    const first = this.#recordAt(lock, 0);
    const size = this.#recordNumbers;
    const now = this.#now();
    let oldest = 0;
    let oldestExpiry = Infinity;
    for (let way = 0; way < ways; way++) {
      const at = first + way * size;
      const expiry = numbers[at] ?? 0;
      if (integers[lows + way] === low && integers[highs + way] === high) {
        if (expiry <= now) numbers.fill(0, at, at + size);
        return at;
      }
      if (expiry < oldestExpiry) {
        oldestExpiry = expiry;
        oldest = way;
      }
    }
    if (oldestExpiry > now) Atomics.add(integers, evictionsAt, 1);
    integers[lock + 1] = 1;
    integers[lows + oldest] = low;
    integers[highs + oldest] = high;
    const at = first + oldest * size;
    numbers.fill(0, at, at + size);
    return at;
  }

  #acquire(lock: number): void {
    for (let attempt = 0; ; attempt++) {
      const holder = Atomics.compareExchange(this.#integers, lock, 0, this.#owner);
      if (holder === 0) return;
      // Nobody wakes us: the holder is done long before the time is over.
      if (attempt >= spins) Atomics.wait(this.#integers, lock, holder, 1);
    }
  }
}

function bucketBytes(words: number): number {
  return bucketHeadBytes + hashBytes + ways * (words + 1) * 8;
}
