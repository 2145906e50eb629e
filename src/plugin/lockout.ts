/**
 * Locks out who fails too often: `lockout: {failures, window, duration}` of an auth plugin. Counted for each name from each
 * address, exactly across workers, in the shared counters' bounded memory; names that do not exist count as others do.
 * A route without it pays nothing. Routes that have it count together, so that changing the route gains no attempts.
 */
import type { JsonSchema } from '../resources/resource.ts';
import type { Counters } from './counters/counters.ts';
import type { Exchange } from './exchange.ts';
import type { Reply } from './plugin.ts';

export interface LockoutConfig {
  readonly failures: number;
  /** Seconds. */
  readonly window: number;
  readonly duration: number;
}

export const lockoutSchema: JsonSchema = {
  type: 'object',
  description: 'Refuse every attempt for a name from an address after too many failures. Off where absent.',
  properties: {
    failures: { type: 'integer', minimum: 1, maximum: 1000, default: 5, description: 'Failures that lock.' },
    window: {
      type: 'integer',
      minimum: 1,
      maximum: 86_400,
      default: 300,
      description: 'Seconds, from the first failure, in which they count.',
    },
    duration: {
      type: 'integer',
      minimum: 1,
      maximum: 86_400,
      default: 900,
      description: 'Seconds that the lock lasts; right credentials are refused too.',
    },
  },
};

/** Who attempts, and whether the attempt is real. */
export type Attempting = Pick<Exchange, 'remoteAddress' | 'dryRun'>;

export interface Lockout {
  /** The refusal where the name is locked for the client's address. */
  refusal(name: string, exchange: Attempting): Reply | undefined;
  failed(name: string, exchange: Attempting): void;
  succeeded(name: string, exchange: Attempting): void;
}

/** Record: failures, and the time (ms since 1970) until which it is locked; it expires with its window or its lock. */
export function compileLockout(plugin: string, config: LockoutConfig, counters: Counters): Lockout {
  const { failures, window, duration } = config;
  const keyOf = (name: string, address: string): string => `${plugin} lockout\0${address}\0${name}`;
  /** Until when it is locked; else minus the failures so far. */
  const look = (numbers: Float64Array, at: number): number => {
    if (numbers[at] === 0) return 0;
    const until = numbers[at + 2] ?? 0;
    return until > 0 ? until : -(numbers[at + 1] ?? 0);
  };
  const fail = (numbers: Float64Array, at: number): number => {
    if (numbers[at] === 0) numbers[at] = counters.now() + window * 1000;
    const count = (numbers[at + 1] = (numbers[at + 1] ?? 0) + 1);
    if (count >= failures && numbers[at + 2] === 0) numbers[at] = numbers[at + 2] = counters.now() + duration * 1000;
    return count;
  };
  const forget = (numbers: Float64Array, at: number): number => (numbers[at] = 0);
  return {
    refusal(name, { remoteAddress }) {
      const until = counters.update(keyOf(name, remoteAddress), look);
      if (until <= 0) return undefined;
      const seconds = Math.max(1, Math.ceil((until - counters.now()) / 1000));
      return {
        status: 429,
        headers: { 'Retry-After': String(seconds) },
        body: { message: 'Too many failed attempts' },
        reason: `${plugin}.locked_out`,
      };
    },
    failed(name, { remoteAddress, dryRun }) {
      if (!dryRun) counters.update(keyOf(name, remoteAddress), fail);
    },
    succeeded(name, { remoteAddress, dryRun }) {
      if (dryRun) return;
      const key = keyOf(name, remoteAddress);
      // Reading first keeps a right caller from writing shared memory at each request.
      if (counters.update(key, look) < 0) counters.update(key, forget);
    },
  };
}
