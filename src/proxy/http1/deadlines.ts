/**
 * Coarse time-outs for many connections: each carries one `deadline`, and a sweep over all of them runs at a fixed interval.
 * Setting a time-out is then one store, and 10,000 idle connections cost one short loop a sweep. Accuracy: one interval.
 */

export interface Expiring {
  /** What `Deadlines.after` gave; 0: none. */
  deadline: number;
  onDeadline(): void;
}

export interface Deadlines {
  /** The deadline `ms` from now, never early, at most two intervals late; 0 for 0. Costs no system call. */
  after(ms: number): number;
  add(item: Expiring): void;
  delete(item: Expiring): void;
  readonly size: number;
  dispose(): void;
}

/** `intervalMs`: between sweeps. The timer does not keep the process alive. */
export function createDeadlines(intervalMs: number): Deadlines {
  const items = new Set<Expiring>();
  let now = performance.now();
  const timer = setInterval(() => {
    now = performance.now();
    for (const item of items) {
      if (item.deadline !== 0 && item.deadline <= now) {
        item.deadline = 0;
        item.onDeadline();
      }
    }
  }, intervalMs);
  timer.unref();
  return {
    after: (ms) => (ms === 0 ? 0 : now + ms + intervalMs),
    add: (item) => void items.add(item),
    delete: (item) => void items.delete(item),
    get size() {
      return items.size;
    },
    dispose: () => {
      clearInterval(timer);
      items.clear();
    },
  };
}
