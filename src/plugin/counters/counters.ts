/**
 * Counting across all workers of the process, exactly: `deps.counters`. Two shared tables, made by the control plane and handed
 * to every worker: records that expire by the clock (windows, buckets), and requests under way.
 * Invariant: what a worker had under way is given back when it ends, however it ends.
 */
import { createTable, SharedTable, type RecordChange } from './shared-table.ts';

/** What a plugin counts with. Keys are the plugin's own: begin them with its name and the place of its configuration. */
export interface Counters {
  /** The clock that records expire by: ms since 1970. */
  now(): number;
  /**
   * Changes the record of `key` (three numbers, kept until the expiry that the change sets) as one step among all workers.
   * Compile `change` once: this is called per request and allocates nothing.
   */
  update(key: string, change: RecordChange): number;
  /** One more is under way. Returns how many there are with it, or 0 where `most` are already; then nothing was counted. */
  enter(key: string, most: number): number;
  /** One that was entered by this worker is over. */
  leave(key: string): void;
  /** Live records that had to give way because their place in the table was full, since the start. */
  readonly evictions: number;
}

/** Handed to workers as it is. */
export interface CounterMemory {
  readonly records: SharedArrayBuffer;
  readonly underWay: SharedArrayBuffer;
}

/** Numbers of a record beside its expiry. */
const recordNumbers = 3;
/** Pages that nobody touched take no memory: about 50 bytes a key that is in use. */
const recordPlaces = 262_144;
const underWayPlaces = 65_536;
/** What is under way longer than this without another of its key coming or going is taken for lost. */
const underWayMs = 24 * 3_600_000;

export function createCounterMemory(
  workers: number,
  places: { readonly records?: number; readonly underWay?: number } = {},
): CounterMemory {
  return {
    records: createTable({ places: places.records ?? recordPlaces, words: recordNumbers }),
    // One 32-bit count a worker, two to a word.
    underWay: createTable({ places: places.underWay ?? underWayPlaces, words: Math.ceil(workers / 2) }),
  };
}

/** `worker`: its number, from 1. */
export function openCounters(memory: CounterMemory, worker: number, now?: () => number): Counters {
  const records = new SharedTable(memory.records, worker, now);
  const underWay = new SharedTable(memory.underWay, worker, now);
  const counts = new Int32Array(memory.underWay);
  const slots = slotsOf(memory);
  const own = worker - 1;
  let most = 0;

  const enter: RecordChange = (numbers, at) => {
    const first = (at + 1) * 2;
    let sum = 1;
    for (let slot = 0; slot < slots; slot++) sum += counts[first + slot] ?? 0;
    if (sum > most) return 0;
    counts[first + own] = (counts[first + own] ?? 0) + 1;
    numbers[at] = underWay.now() + underWayMs;
    return sum;
  };
  const leave: RecordChange = (numbers, at) => {
    const first = (at + 1) * 2;
    // 0 where the record had to give way meanwhile.
    const left = Math.max(0, (counts[first + own] ?? 0) - 1);
    counts[first + own] = left;
    let sum = 0;
    for (let slot = 0; slot < slots; slot++) sum += counts[first + slot] ?? 0;
    numbers[at] = sum === 0 ? 0 : underWay.now() + underWayMs;
    return sum;
  };

  return {
    now: () => records.now(),
    update: (key, change) => records.update(key, change),
    enter(key, limit) {
      most = limit;
      return underWay.update(key, enter);
    },
    leave(key) {
      underWay.update(key, leave);
    },
    get evictions() {
      return records.evictions + underWay.evictions;
    },
  };
}

/** In the control plane, when a worker has ended: gives back what it had under way and opens what it had locked. */
export function releaseWorker(memory: CounterMemory, worker: number): void {
  const nobody = 0x7fff_ffff;
  new SharedTable(memory.records, nobody).forget(worker);
  const table = new SharedTable(memory.underWay, nobody);
  table.forget(worker);
  const counts = new Int32Array(memory.underWay);
  const slots = slotsOf(memory);
  table.forEach((numbers, at) => {
    const first = (at + 1) * 2;
    if (counts[first + worker - 1] === 0) return;
    counts[first + worker - 1] = 0;
    let sum = 0;
    for (let slot = 0; slot < slots; slot++) sum += counts[first + slot] ?? 0;
    if (sum === 0) numbers[at] = 0;
  });
}

function slotsOf({ underWay }: CounterMemory): number {
  return (new Int32Array(underWay, 0, 2)[1] ?? 0) * 2;
}

/** Counters of one thread alone, for where there are no workers: tests, and checking configuration. */
export function createLocalCounters(now?: () => number): Counters {
  return openCounters(createCounterMemory(1, { records: 1024, underWay: 1024 }), 1, now);
}
