/** Timers that end with the configuration that started them, so that a version that was swapped out does nothing any more. */
import type { PluginLog } from './plugin.ts';

export interface PluginTimers {
  /** Runs once after `ms` milliseconds. Returns what calls it off. */
  setTimeout(run: () => void | Promise<void>, ms: number): () => void;
  /** Runs every `ms` milliseconds, but never twice at once. Returns what ends it. */
  setInterval(run: () => void | Promise<void>, ms: number): () => void;
  /** Ends them all, and those that are asked for later. */
  dispose(): void;
}

/** None keeps the process alive. What `run` throws or rejects with is logged. */
export function createTimers(log: PluginLog): PluginTimers {
  let running: Set<() => void> | undefined;
  let disposed = false;
  const guard = async (run: () => void | Promise<void>): Promise<void> => {
    try {
      await run();
    } catch (error) {
      log.error('plugin failed', {
        phase: 'timer',
        error: error instanceof Error ? (error.stack ?? error.message) : String(error),
      });
    }
  };
  const keep = (end: () => void): (() => void) => {
    const stop = (): void => {
      running?.delete(stop);
      end();
    };
    (running ??= new Set()).add(stop);
    return stop;
  };
  return {
    setTimeout(run, ms) {
      if (disposed) return () => undefined;
      const timer = setTimeout(() => {
        stop();
        void guard(run);
      }, ms).unref();
      const stop = keep(() => {
        clearTimeout(timer);
      });
      return stop;
    },
    setInterval(run, ms) {
      if (disposed) return () => undefined;
      let busy = false;
      const timer = setInterval(() => {
        if (busy) return;
        busy = true;
        void guard(run).then(() => {
          busy = false;
        });
      }, ms).unref();
      return keep(() => {
        clearInterval(timer);
      });
    },
    dispose() {
      disposed = true;
      for (const stop of running ?? []) stop();
    },
  };
}
