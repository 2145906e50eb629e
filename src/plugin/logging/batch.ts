/**
 * Lines collected and sent together, for plugins that log over a network. Runs after responses, off every request's path.
 * Invariant: what waits is bounded in number and bytes; what comes when that is full is dropped and counted, never waited for.
 *
 *   push → buffer ──full, quiet for a while, or old──→ queue → sending (some at once) → done
 *                                                                └─ failed: again after a pause, then dropped
 */
export interface BatchOptions {
  /** Lines that make a batch. */
  readonly maxSize: number;
  /** A batch that gets no line for this long is sent as it is. */
  readonly inactiveMs: number;
  /** A batch that is this old is sent as it is. */
  readonly durationMs: number;
  readonly maxRetries: number;
  readonly retryDelayMs: number;
  /** Lines and bytes (as characters) that may wait, being sent included. */
  readonly maxPending: number;
  readonly maxPendingBytes: number;
  /** Rejects where the lines were not taken. */
  readonly send: (lines: readonly string[]) => Promise<void>;
  readonly onError: (error: unknown, willRetry: boolean) => void;
  readonly onDrop: (lines: number) => void;
}

interface Work {
  readonly lines: readonly string[];
  readonly bytes: number;
}

/** A slow receiver gets no more than this at once. */
const maxSending = 4;

export class Batch {
  readonly #options: BatchOptions;
  #buffer: string[] = [];
  #bufferBytes = 0;
  #firstAt = 0;
  #lastAt = 0;
  #timer: NodeJS.Timeout | undefined;
  readonly #queue: Work[] = [];
  #sending = 0;
  #pending = 0;
  #pendingBytes = 0;
  #closing = false;
  /** Ends the pauses before retries. */
  readonly #pauses = new Set<() => void>();
  #idle: (() => void)[] = [];

  constructor(options: BatchOptions) {
    this.#options = options;
  }

  /** False: there was no room, and the line is lost. */
  push(line: string): boolean {
    const { maxSize, inactiveMs, maxPending, maxPendingBytes, onDrop } = this.#options;
    if (this.#pending >= maxPending || this.#pendingBytes + line.length > maxPendingBytes) {
      onDrop(1);
      return false;
    }
    this.#pending++;
    this.#pendingBytes += line.length;
    this.#buffer.push(line);
    this.#bufferBytes += line.length;
    this.#lastAt = performance.now();
    if (this.#buffer.length === 1) this.#firstAt = this.#lastAt;
    if (this.#buffer.length >= maxSize || this.#closing) this.#sendBuffer();
    else this.#timer ??= setTimeout(this.#onTimer, inactiveMs).unref();
    return true;
  }

  /** Sends what waits, now, without further pauses; resolves when all of it was taken or given up. */
  close(): Promise<void> {
    this.#closing = true;
    this.#sendBuffer();
    for (const end of this.#pauses) end();
    if (this.#pending === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#idle.push(resolve);
    });
  }

  readonly #onTimer = (): void => {
    this.#timer = undefined;
    const { inactiveMs, durationMs } = this.#options;
    const due = Math.min(this.#lastAt + inactiveMs, this.#firstAt + durationMs);
    const left = Math.ceil(due - performance.now());
    if (left <= 0) this.#sendBuffer();
    else this.#timer = setTimeout(this.#onTimer, left).unref();
  };

  #sendBuffer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#buffer.length === 0) return;
    this.#queue.push({ lines: this.#buffer, bytes: this.#bufferBytes });
    this.#buffer = [];
    this.#bufferBytes = 0;
    this.#pump();
  }

  #pump(): void {
    while (this.#sending < maxSending) {
      const work = this.#queue.shift();
      if (work === undefined) return;
      this.#sending++;
      void this.#process(work).then(() => {
        this.#sending--;
        this.#pending -= work.lines.length;
        this.#pendingBytes -= work.bytes;
        this.#pump();
        if (this.#pending === 0) for (const resolve of this.#idle.splice(0)) resolve();
      });
    }
  }

  /** Never rejects. */
  async #process({ lines }: Work): Promise<void> {
    const { send, maxRetries, onError, onDrop } = this.#options;
    for (let attempt = 0; ; attempt++) {
      try {
        await send(lines);
        return;
      } catch (error) {
        const again = attempt < maxRetries;
        onError(error, again);
        if (!again) {
          onDrop(lines.length);
          return;
        }
      }
      if (!this.#closing) await this.#pause();
    }
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        this.#pauses.delete(end);
        resolve();
      };
      const timer = setTimeout(end, this.#options.retryDelayMs).unref();
      this.#pauses.add(end);
    });
  }
}
