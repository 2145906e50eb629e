/**
 * What several configurations of one worker use together: a connection, a file, a buffer. Opened by the first that asks, closed
 * when the last has given it back; a change of configuration that takes the new one before it drops the old one keeps it open.
 */
export interface SharedResources {
  /** `key` names the thing wholly: plugin, address, credentials. `open` runs where nobody has it yet; if it throws, nothing is kept. Asked for in `compile`, it must neither do I/O nor start timers. */
  acquire<T>(key: string, open: () => Opened<T>): Shared<T>;
}

export interface Opened<T> {
  readonly value: T;
  close(): void;
}

export interface Shared<T> {
  readonly value: T;
  /** Gives it back; further calls do nothing. */
  release(): void;
}

/** What plugins of one worker want to hear of the process. */
export interface WorkerEvents {
  /** Log files were rotated away: open them anew. Returns what ends the subscription. */
  onReopen(run: () => void): () => void;
  /** The last request is over, the worker ends when this has settled (or its time is up): send what was kept back. */
  onStop(run: () => Promise<void>): () => void;
}

export class ResourcePool implements SharedResources {
  readonly #open = new Map<string, { readonly opened: Opened<unknown>; users: number }>();

  acquire<T>(key: string, open: () => Opened<T>): Shared<T> {
    let entry = this.#open.get(key);
    if (entry === undefined) {
      entry = { opened: open(), users: 0 };
      this.#open.set(key, entry);
    }
    const held = entry;
    held.users++;
    let released = false;
    return {
      // The key names one kind of thing, by the contract of `acquire`.
      value: held.opened.value as T,
      release: () => {
        if (released) return;
        released = true;
        if (--held.users > 0) return;
        this.#open.delete(key);
        held.opened.close();
      },
    };
  }

  get size(): number {
    return this.#open.size;
  }
}

export class WorkerSignals implements WorkerEvents {
  readonly #reopen = new Set<() => void>();
  readonly #stop = new Set<() => Promise<void>>();

  onReopen(run: () => void): () => void {
    this.#reopen.add(run);
    return () => void this.#reopen.delete(run);
  }
  onStop(run: () => Promise<void>): () => void {
    this.#stop.add(run);
    return () => void this.#stop.delete(run);
  }
  /** `onError`: one that failed does not keep the others from being told. */
  reopen(onError: (error: unknown) => void): void {
    for (const run of this.#reopen) {
      try {
        run();
      } catch (error) {
        onError(error);
      }
    }
  }
  /** Never rejects. */
  async stop(): Promise<void> {
    await Promise.allSettled([...this.#stop].map((run) => run()));
  }
}
