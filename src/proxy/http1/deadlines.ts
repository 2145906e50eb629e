/**
 * Coarse time-outs for many connections: each carries one `deadline`, and a sweep over all of them runs at a fixed interval.
 * Setting a time-out is then one store, and 10,000 idle connections cost one short loop a sweep. Accuracy: one interval.
 */

export interface Expiring {
  /** `performance.now()` milliseconds after which `onDeadline` is due; 0: none. */
  deadline: number;
  onDeadline(): void;
}

export interface Deadlines {
  add(item: Expiring): void;
  delete(item: Expiring): void;
  readonly size: number;
  dispose(): void;
}

/** `intervalMs`: between sweeps. The timer does not keep the process alive. */
export function createDeadlines(intervalMs: number): Deadlines {
  const items = new Set<Expiring>();
  const timer = setInterval(() => {
    if (items.size === 0) return;
    const now = performance.now();
    for (const item of items) {
      if (item.deadline !== 0 && item.deadline <= now) {
        item.deadline = 0;
        item.onDeadline();
      }
    }
  }, intervalMs);
  timer.unref();
  return {
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
