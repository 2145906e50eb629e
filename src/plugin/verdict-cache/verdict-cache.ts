/**
 * `deps.verdicts`: what an outside authoriser decided, kept for a while and shared by all workers. On the request path of the plugins
 * that ask one. Invariants: requests for one key that come at once make one call between them, in whatever worker they are; an
 * authoriser that failed leaves nothing behind; what was purged, or decided under another configuration, is not found.
 */
import { createKeyDigest } from './verdict-key.ts';
import { createVerdictTable, scopeEpochs, VerdictTable, type TableSize } from './verdict-table.ts';

/** What asking brought. `ttlMs` 0: for this request alone. */
export interface Answer {
  readonly text: string;
  readonly ttlMs: number;
}

export interface Fetched {
  readonly text: string;
  /** This request made the call; else it waited for another's. */
  readonly asked: boolean;
}

/** The call of another worker, for the same key, failed. */
export class SharedFailure extends Error {
  override readonly name = 'SharedFailure';
}

interface Flight extends Fetched {
  /** Others may have it too. */
  readonly shared: boolean;
}

/** Beyond its patience an attempt is taken for lost: its worker may be busy. */
const graceMs = 1000;

/** Made by the control plane, handed to workers as it is. `bytes`: of all of it, about. */
export function createVerdictMemory(bytes: number): SharedArrayBuffer {
  return createVerdictTable(tableSize(bytes));
}

/** Half for texts; of the other half, 72 bytes a verdict. */
export function tableSize(bytes: number): TableSize {
  return { textBytes: bytes / 2, places: 2 ** Math.max(4, Math.floor(Math.log2(bytes / 2 / 72))) };
}

export class VerdictCache {
  readonly #table: VerdictTable;
  readonly #digest = createKeyDigest();
  /** Under way, in this worker: key → the one call. */
  readonly #flights = new Map<string, Promise<Flight>>();

  /** `worker`: its number, from 1. */
  constructor(memory: SharedArrayBuffer, worker: number, now?: () => number) {
    this.#table = new VerdictTable(memory, worker, now);
  }

  /** Begins every key of `scope` (`route#1`): verdicts that were purged have another beginning. */
  epoch(scope: string): string {
    return this.#table.epoch(partOf(scope));
  }

  /** The verdict, if it is there now. Asks nobody and counts nothing. */
  peek(key: string): { readonly text: string; readonly expiry: number } | undefined {
    return this.#table.peek(this.#digest.of(key)) === 'hit'
      ? { text: this.#table.text, expiry: this.#table.expiry }
      : undefined;
  }

  /**
   * The verdict for `key`, or what `ask` brings. `patienceMs`: `ask` must have settled by then. Rejects as `ask` does; where another
   * worker's failed, with SharedFailure.
   */
  fetch(key: string, patienceMs: number, ask: () => Promise<Answer>): string | Promise<Fetched> {
    const joined = this.#flights.get(key);
    if (joined !== undefined) return this.#join(joined, ask);
    const digest = this.#digest.of(key);
    const look = this.#table.claim(digest, this.#table.now() + patienceMs + graceMs);
    if (look === 'hit') return this.#table.text;
    const own = Int32Array.from(digest);
    const flight =
      look === 'claimed'
        ? this.#lead(own, this.#table.flight, ask)
        : look === 'pending'
          ? this.#follow(own, patienceMs, ask)
          : this.#alone(ask);
    this.#flights.set(key, flight);
    const forget = (): void => void this.#flights.delete(key);
    flight.then(forget, forget);
    return flight;
  }

  async #join(flight: Promise<Flight>, ask: () => Promise<Answer>): Promise<Fetched> {
    const { text, shared } = await flight;
    return shared ? { text, asked: false } : this.#alone(ask);
  }

  async #alone(ask: () => Promise<Answer>): Promise<Flight> {
    const { text, ttlMs } = await ask();
    return { text, asked: true, shared: ttlMs > 0 };
  }

  async #lead(digest: Int32Array, flight: number, ask: () => Promise<Answer>): Promise<Flight> {
    let answer;
    try {
      answer = await ask();
    } catch (error) {
      this.#table.end(digest, flight, true);
      throw error;
    }
    const shared = answer.ttlMs > 0;
    if (shared) this.#table.settle(digest, flight, this.#table.now() + answer.ttlMs, answer.text);
    else this.#table.end(digest, flight, false);
    return { text: answer.text, asked: true, shared };
  }

  /** Waits for the call of another worker; where it is lost, makes it. The table's fields are those of a `pending`. */
  async #follow(digest: Int32Array, patienceMs: number, ask: () => Promise<Answer>): Promise<Flight> {
    const table = this.#table;
    for (;;) {
      const { flight, signalIndex, signal, expiry } = table;
      const waiting = Atomics.waitAsync(table.words, signalIndex, signal, Math.max(1, expiry - table.now()));
      if (waiting.async) await waiting.value;
      let look = table.outcome(digest, flight);
      if (look === 'failed') throw new SharedFailure('the call of another worker failed');
      if (look !== 'hit' && look !== 'pending') look = table.claim(digest, table.now() + patienceMs + graceMs);
      if (look === 'hit') return { text: table.text, asked: false, shared: true };
      if (look === 'claimed') return this.#lead(digest, table.flight, ask);
      if (look === 'full') return this.#alone(ask);
    }
  }
}

/** In the control plane: what the stored verdicts are purged with, and what is done when a worker has ended. */
export class VerdictControl {
  readonly #table: VerdictTable;

  constructor(memory: SharedArrayBuffer) {
    this.#table = new VerdictTable(memory, 0x7fff_ffff);
  }

  /** Verdicts that had to give way before their time, in all workers. */
  get evictions(): number {
    return this.#table.evictions;
  }

  /** `scope`: `route#1`, `global_rule#2`; undefined: all. Others may lose theirs too, never the other way round. */
  purge(scope: string | undefined): void {
    this.#table.purge(scope === undefined ? undefined : partOf(scope));
  }

  releaseWorker(worker: number): void {
    this.#table.forget(worker);
  }
}

function partOf(scope: string): number {
  let sum = 0;
  for (let i = 0; i < scope.length; i++) sum = (Math.imul(sum, 31) + scope.charCodeAt(i)) | 0;
  return sum & (scopeEpochs - 1);
}

/** For where there are no workers: tests. */
export function createLocalVerdicts(now?: () => number): VerdictCache {
  return new VerdictCache(createVerdictTable({ places: 256, textBytes: 262_144 }), 1, now);
}
