/** Time, as name resolution, latency averages and health checks see it; tests put their own in its place. */
export interface Clock {
  /** Milliseconds, monotonic, above 0. */
  now(): number;
  /** Calls `run` once after `ms` milliseconds. Returns a function that prevents it. Keeps no process alive. */
  after(ms: number, run: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms).unref();
    return () => {
      clearTimeout(timer);
    };
  },
};
