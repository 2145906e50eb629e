/**
 * Verdicts that all threads of the process share: a fixed-size hash table and a ring of texts in one SharedArrayBuffer. On the
 * request path of what asks an outside authoriser. Invariant: of all who want one key at once, one is told to ask.
 *
 *   buffer = | head | bucket 0 | bucket 1 | … | ring |       bits of the key's digest pick its bucket
 *   bucket = | lock, … | 16 × first word of a digest | 16 × slot |        slot = 64 bytes, see the offsets below
 *
 *   empty ──claim──▶ pending ──settle──▶ done ──expiry──▶ empty          pending ──fail, abandon, owner dies──▶ failed, empty
 *
 * A digest is SHA-256, whole: keys are compared by it alone. A new key takes an empty or expired slot of its bucket, else that of
 * the verdict that expires first; a pending slot never gives way. Texts are written round and round: one that was overwritten is
 * as if it had expired. A lock is held for some hundred nanoseconds, never across anything that waits, and names its thread, so
 * that the lock of one that died can be opened (`forget`).
 */
export const slotState = { empty: 0, pending: 1, done: 2, failed: 3 } as const;

/** What a thread is told of a key. `hit`: `text` has the verdict; `pending`: another asks; `claimed`: ask, then say what came of it; `full`: ask, and keep it. */
export type Look = 'hit' | 'pending' | 'claimed' | 'full' | 'failed' | 'none';

const ways = 16;
const headBytes = 64 + 1024 * 4;
const bucketHeadBytes = 64;
const slotBytes = 64;
const bucketBytes = bucketHeadBytes + ways * 4 + ways * slotBytes;
/** Attempts before the thread sleeps: the holder may have lost its processor. */
const spins = 200;
/** Units of the ring. */
const unitBytes = 8;
/** Before a text stands its digest's beginning, so that a position that came round again is not taken for it. */
const checkBytes = 16;
export const maxTextBytes = 16_384;

// In the head, as 32-bit words.
const bucketsAt = 0;
const ringUnitsAt = 1;
const ringHeadAt = 2;
const evictionsAt = 3;
const allEpochAt = 4;
const scopeEpochsAt = 16;
export const scopeEpochs = 1024;

// In a slot, as 32-bit words; the first two are the expiry, ms since 1970, as a 64-bit number.
const digestAt = 2;
const stateAt = 9;
const ownerAt = 10;
const flightAt = 11;
const positionAt = 12;
const lengthAt = 13;
const signalAt = 14;

export interface TableSize {
  /** Verdicts; a power of two, 16 at least. */
  readonly places: number;
  /** Of all texts together. */
  readonly textBytes: number;
}

/** Pages that nobody touched take no memory. */
export function createVerdictTable({ places, textBytes }: TableSize): SharedArrayBuffer {
  const buckets = Math.max(1, places / ways);
  // A power of two, so that positions may go round at 2³².
  const units = 2 ** Math.floor(Math.log2(Math.max(4 * maxTextBytes, textBytes) / unitBytes));
  const buffer = new SharedArrayBuffer(headBytes + buckets * bucketBytes + units * unitBytes);
  const head = new Int32Array(buffer, 0, headBytes / 4);
  head[bucketsAt] = buckets;
  head[ringUnitsAt] = units;
  return buffer;
}

export class VerdictTable {
  readonly #words: Int32Array;
  readonly #numbers: Float64Array;
  readonly #bytes: Buffer;
  readonly #bucketMask: number;
  readonly #ringUnits: number;
  readonly #ringStart: number;
  readonly #owner: number;
  readonly #now: () => number;

  /** The verdict of the last `hit`. */
  text = '';
  /** Of the last `pending` or `claimed`: which attempt it is. */
  flight = 0;
  /** Of the last `pending`: where, and on what value, to wait. */
  signalIndex = 0;
  signal = 0;
  /** Of the last `hit` or `pending`: when it ends, ms since 1970. */
  expiry = 0;

  /** `owner`: number of this thread, above 0 and unique among those that use the table. */
  constructor(buffer: SharedArrayBuffer, owner: number, now: () => number = Date.now) {
    this.#words = new Int32Array(buffer);
    this.#numbers = new Float64Array(buffer);
    this.#bytes = Buffer.from(buffer);
    const buckets = this.#words[bucketsAt] ?? 1;
    this.#bucketMask = buckets - 1;
    this.#ringUnits = this.#words[ringUnitsAt] ?? 0;
    this.#ringStart = headBytes + buckets * bucketBytes;
    this.#owner = owner;
    this.#now = now;
  }

  /** Verdicts that had to give way before their time, since the start: to others' places, and (once it is noticed) to others' texts. */
  get evictions(): number {
    return Atomics.load(this.#words, evictionsAt) >>> 0;
  }

  now(): number {
    return this.#now();
  }

  get words(): Int32Array {
    return this.#words;
  }

  /** Changes whenever verdicts of this part of the scopes, or all, are purged. Belongs into every key. */
  epoch(part: number): string {
    return `${String(Atomics.load(this.#words, allEpochAt))}.${String(Atomics.load(this.#words, scopeEpochsAt + part))}`;
  }

  /** `part` undefined: all. What was stored before can no longer be found. */
  purge(part: number | undefined): void {
    Atomics.add(this.#words, part === undefined ? allEpochAt : scopeEpochsAt + part, 1);
  }

  /** Changes nothing: `hit`, `pending` or `none`. `digest`: 8 words. */
  peek(digest: Int32Array): Look {
    const lock = this.#lockOf(digest);
    this.#acquire(lock);
    const slot = this.#find(lock, digest);
    const look = slot < 0 ? 'none' : this.#read(slot, digest);
    this.#release(lock);
    return look === 'failed' ? 'none' : look;
  }

  /** `untilMs`: when the attempt that this may begin is taken for lost. */
  claim(digest: Int32Array, untilMs: number): Look {
    const lock = this.#lockOf(digest);
    this.#acquire(lock);
    const look = this.#claim(lock, digest, untilMs);
    this.#release(lock);
    return look;
  }

  /** What became of an attempt that was waited for: `hit`, `failed`, `pending` still, or `none`. */
  outcome(digest: Int32Array, flight: number): Look {
    const lock = this.#lockOf(digest);
    this.#acquire(lock);
    const slot = this.#find(lock, digest);
    let look: Look = slot < 0 ? 'none' : this.#read(slot, digest);
    if (look === 'failed' && this.#words[slot + flightAt] !== flight) look = 'none';
    this.#release(lock);
    return look;
  }

  /** The verdict of an attempt. False: nobody may have it any more (it is too long, or its place was lost). */
  settle(digest: Int32Array, flight: number, expiry: number, text: string): boolean {
    const length = Buffer.byteLength(text);
    if (length > maxTextBytes) {
      this.end(digest, flight, false);
      return false;
    }
    const position = this.#write(digest, text, length);
    return this.#finish(digest, flight, (slot) => {
      this.#numbers[slot >>> 1] = expiry;
      this.#words[slot + stateAt] = slotState.done;
      this.#words[slot + positionAt] = position;
      this.#words[slot + lengthAt] = length;
    });
  }

  /** The attempt came to nothing that may be kept. `failed`: those who wait for it share its failure; else they ask themselves. */
  end(digest: Int32Array, flight: number, failed: boolean): void {
    this.#finish(digest, flight, (slot) => {
      this.#numbers[slot >>> 1] = 0;
      this.#words[slot + stateAt] = failed ? slotState.failed : slotState.empty;
    });
  }

  /** For the control plane, when a thread has ended: opens what it had locked, ends what it had under way. */
  forget(owner: number): void {
    for (let bucket = 0; bucket <= this.#bucketMask; bucket++) {
      const lock = (headBytes + bucket * bucketBytes) >>> 2;
      Atomics.compareExchange(this.#words, lock, owner, 0);
      if (this.#words[lock + 1] === 0) continue;
      this.#acquire(lock);
      for (let way = 0; way < ways; way++) {
        const slot = this.#slotAt(lock, way);
        if (this.#words[slot + stateAt] !== slotState.pending || this.#words[slot + ownerAt] !== owner) continue;
        this.#numbers[slot >>> 1] = 0;
        this.#words[slot + stateAt] = slotState.empty;
        this.#tell(slot);
      }
      this.#release(lock);
    }
  }

  #claim(lock: number, digest: Int32Array, untilMs: number): Look {
    const words = this.#words;
    let slot = this.#find(lock, digest);
    if (slot >= 0) {
      const look = this.#read(slot, digest);
      if (look === 'hit' || look === 'pending') return look;
      // Whoever still waits for an attempt that was lost learns of it.
      if (words[slot + stateAt] === slotState.pending) this.#tell(slot);
      else if ((this.#numbers[slot >>> 1] ?? 0) > this.#now()) Atomics.add(words, evictionsAt, 1);
    } else {
      slot = this.#place(lock);
      if (slot < 0) return 'full';
      words[lock + 1] = 1;
      words[lock + (bucketHeadBytes >>> 2) + this.#wayOf(lock, slot)] = digest[0] ?? 0;
      for (let i = 1; i < 8; i++) words[slot + digestAt + i - 1] = digest[i] ?? 0;
    }
    this.#numbers[slot >>> 1] = untilMs;
    words[slot + stateAt] = slotState.pending;
    words[slot + ownerAt] = this.#owner;
    this.flight = words[slot + flightAt] = ((words[slot + flightAt] ?? 0) + 1) | 0;
    return 'claimed';
  }

  /** What a slot of the key says; leaves the details in the fields. */
  #read(slot: number, digest: Int32Array): Look {
    const words = this.#words;
    const state = words[slot + stateAt];
    const expiry = this.#numbers[slot >>> 1] ?? 0;
    if (state === slotState.failed) return 'failed';
    if (expiry <= this.#now()) return 'none';
    this.expiry = expiry;
    if (state === slotState.pending) {
      this.flight = words[slot + flightAt] ?? 0;
      this.signalIndex = slot + signalAt;
      this.signal = words[slot + signalAt] ?? 0;
      return 'pending';
    }
    if (state !== slotState.done) return 'none';
    const text = this.#text(words[slot + positionAt] ?? 0, words[slot + lengthAt] ?? 0, digest);
    if (text === undefined) return 'none';
    this.text = text;
    return 'hit';
  }

  #finish(digest: Int32Array, flight: number, change: (slot: number) => void): boolean {
    const lock = this.#lockOf(digest);
    this.#acquire(lock);
    const slot = this.#find(lock, digest);
    const own =
      slot >= 0 &&
      this.#words[slot + stateAt] === slotState.pending &&
      this.#words[slot + flightAt] === flight &&
      this.#words[slot + ownerAt] === this.#owner;
    if (own) {
      change(slot);
      this.#tell(slot);
    }
    this.#release(lock);
    return own;
  }

  #tell(slot: number): void {
    Atomics.add(this.#words, slot + signalAt, 1);
    Atomics.notify(this.#words, slot + signalAt);
  }

  /** Writers take their part of the ring before they write: a reader who finds that it was not taken read what was written. */
  #write(digest: Int32Array, text: string, length: number): number {
    const units = Math.ceil((checkBytes + length) / unitBytes);
    let position: number;
    let start: number;
    do {
      position = Atomics.add(this.#words, ringHeadAt, units) >>> 0;
      start = position % this.#ringUnits;
      // A text is never split: what does not fit at the end goes to the beginning.
    } while (start + units > this.#ringUnits);
    const at = this.#ringStart + start * unitBytes;
    for (let i = 0; i < 4; i++) this.#words[(at >>> 2) + i] = digest[i] ?? 0;
    this.#bytes.write(text, at + checkBytes, length, 'utf8');
    return position | 0;
  }

  #text(position: number, length: number, digest: Int32Array): string | undefined {
    const units = Math.ceil((checkBytes + length) / unitBytes);
    const at = this.#ringStart + ((position >>> 0) % this.#ringUnits) * unitBytes;
    for (let i = 0; i < 4; i++) if (this.#words[(at >>> 2) + i] !== digest[i]) return undefined;
    const text = this.#bytes.toString('utf8', at + checkBytes, at + checkBytes + length);
    // A read-modify-write, which no earlier read may pass on any processor.
    const written = (Atomics.or(this.#words, ringHeadAt, 0) - position) >>> 0;
    return units <= written && written <= this.#ringUnits ? text : undefined;
  }

  /** The key's slot, or -1. */
  #find(lock: number, digest: Int32Array): number {
    const words = this.#words;
    const tags = lock + (bucketHeadBytes >>> 2);
    const first = digest[0] ?? 0;
    for (let way = 0; way < ways; way++) {
      if (words[tags + way] !== first) continue;
      const slot = this.#slotAt(lock, way);
      let same = true;
      for (let i = 1; i < 8 && same; i++) same = words[slot + digestAt + i - 1] === digest[i];
      if (same) return slot;
    }
    return -1;
  }

  /** A slot for a new key: one that is free, else the one that expires first; -1 where all are pending. */
  #place(lock: number): number {
    const now = this.#now();
    let best = -1;
    let bestExpiry = Infinity;
    for (let way = 0; way < ways; way++) {
      const slot = this.#slotAt(lock, way);
      const expiry = this.#numbers[slot >>> 1] ?? 0;
      if (expiry <= now) {
        if (this.#words[slot + stateAt] === slotState.pending) this.#tell(slot);
        return slot;
      }
      if (this.#words[slot + stateAt] === slotState.pending || expiry >= bestExpiry) continue;
      best = slot;
      bestExpiry = expiry;
    }
    if (best >= 0) Atomics.add(this.#words, evictionsAt, 1);
    return best;
  }

  #slotAt(lock: number, way: number): number {
    return lock + ((bucketHeadBytes + ways * 4 + way * slotBytes) >>> 2);
  }

  #wayOf(lock: number, slot: number): number {
    return (slot - this.#slotAt(lock, 0)) / (slotBytes >>> 2);
  }

  #lockOf(digest: Int32Array): number {
    return (headBytes + ((digest[1] ?? 0) & this.#bucketMask) * bucketBytes) >>> 2;
  }

  #acquire(lock: number): void {
    for (let attempt = 0; ; attempt++) {
      const holder = Atomics.compareExchange(this.#words, lock, 0, this.#owner);
      if (holder === 0) return;
      // Nobody wakes us: the holder is done long before the time is over.
      if (attempt >= spins) Atomics.wait(this.#words, lock, holder, 1);
    }
  }

  #release(lock: number): void {
    Atomics.store(this.#words, lock, 0);
  }
}
