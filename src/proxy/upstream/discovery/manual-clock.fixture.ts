/** A clock that stands still until a test moves it. */
import type { Clock } from './clock.ts';

export interface ManualClock extends Clock {
  /** Moves on by `ms`, running what falls due, in order of time. */
  advance(ms: number): void;
  /** Timers not yet run or cancelled. */
  readonly waiting: number;
  /** Of these, the ones that were set for exactly `ms`. */
  waitingFor(ms: number): number;
}

export function createManualClock(): ManualClock {
  let now = 1000;
  const timers = new Set<{ at: number; ms: number; run: () => void }>();
  return {
    now: () => now,
    after(ms, run) {
      const timer = { at: now + ms, ms, run };
      timers.add(timer);
      return () => {
        timers.delete(timer);
      };
    },
    advance(ms) {
      const until = now + ms;
      for (;;) {
        const due = [...timers].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];
        if (due === undefined) break;
        timers.delete(due);
        now = Math.max(now, due.at);
        due.run();
      }
      now = until;
    },
    get waiting() {
      return timers.size;
    },
    waitingFor: (ms) => [...timers].filter((timer) => timer.ms === ms).length,
  };
}
