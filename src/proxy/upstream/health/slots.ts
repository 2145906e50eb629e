/** A bound on what runs at once: the active checks of all upstreams together. First come, first served. */
export interface Slots {
  /** Runs `work` when a slot is free; settles as it does. */
  run<T>(work: () => Promise<T>): Promise<T>;
}

export function createSlots(count: number): Slots {
  let free = count;
  const waiting: (() => void)[] = [];
  return {
    async run(work) {
      if (free > 0) free--;
      else
        await new Promise<void>((resolve) => {
          waiting.push(resolve);
        });
      try {
        return await work();
      } finally {
        // A waiter takes the slot over.
        const next = waiting.shift();
        if (next === undefined) free++;
        else next();
      }
    },
  };
}
