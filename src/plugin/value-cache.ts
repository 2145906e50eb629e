/**
 * A bounded cache for what a plugin found out elsewhere: least recently used goes first, each value has its time, and whoever asks for
 * one that is being made waits for that one. Of one worker, and of one configuration unless it is shared (`deps.shared`).
 */
export interface CacheOptions {
  /** Most values kept; default 1,000. */
  readonly max?: number;
  /** How long a value counts, in milliseconds; default 60,000. */
  readonly ttlMs?: number;
  /** How long `load` waits for a value to be made before it gives up; default 10,000. */
  readonly loadTimeoutMs?: number;
}

export interface ValueCache<V> {
  get(key: string): V | undefined;
  /** `ttlMs`: of this value. */
  set(key: string, value: V, ttlMs?: number): void;
  delete(key: string): void;
  clear(): void;
  /** What is kept, or what `make` makes, once for all who ask meanwhile. A failure is everybody's, and is not kept. */
  load(key: string, make: (key: string) => V | Promise<V>, ttlMs?: number): Promise<V>;
  readonly size: number;
}

export function createValueCache<V>(options: CacheOptions = {}): ValueCache<V> {
  const { max = 1000, ttlMs: defaultTtlMs = 60_000, loadTimeoutMs = 10_000 } = options;
  const kept = new Map<string, { readonly value: V; readonly until: number }>();
  const loading = new Map<string, Promise<V>>();
  const cache: ValueCache<V> = {
    get(key) {
      const found = kept.get(key);
      if (found === undefined) return undefined;
      kept.delete(key);
      if (found.until <= performance.now()) return undefined;
      // The order of the map is the order of use.
      kept.set(key, found);
      return found.value;
    },
    set(key, value, ttlMs = defaultTtlMs) {
      kept.delete(key);
      if (max <= 0 || ttlMs <= 0) return;
      if (kept.size >= max) for (const oldest of kept.keys()) if (kept.delete(oldest)) break;
      kept.set(key, { value, until: performance.now() + ttlMs });
    },
    delete: (key) => void kept.delete(key),
    clear() {
      kept.clear();
    },
    async load(key, make, ttlMs) {
      const found = cache.get(key);
      if (found !== undefined) return found;
      const under = loading.get(key);
      if (under !== undefined) return under;
      const made = within(loadTimeoutMs, key, async () => make(key)).finally(() => loading.delete(key));
      loading.set(key, made);
      const value = await made;
      cache.set(key, value, ttlMs);
      return value;
    },
    get size() {
      return kept.size;
    },
  };
  return cache;
}

function within<V>(limitMs: number, key: string, task: () => Promise<V>): Promise<V> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new Error(`the value of ${key.slice(0, 100)} was not there within ${limitMs} ms`));
    }, limitMs);
    task()
      .then(resolve, reject)
      .finally(() => {
        clearTimeout(timer);
      });
  });
}
