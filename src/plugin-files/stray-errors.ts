/**
 * What a plugin's file throws outside of every phase (a timer of its own, a promise that nobody waits for) would end the whole thread,
 * and with it everybody's requests. It is logged with the file's line instead. Errors of the gateway itself still end the thread.
 */
import type { Logger } from '../observability/error-log.ts';
import { pluginFrame } from './source-position.ts';

let installed = false;

/** In this thread, once. */
export function outliveStrayErrors(log: Logger): void {
  if (installed) return;
  installed = true;
  const handle = (error: unknown): void => {
    const at = pluginFrame(error);
    if (at === undefined) {
      log.error('unexpected error', { error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
      process.exit(1);
    }
    log.error('plugin failed', {
      phase: 'background',
      at,
      error: error instanceof Error ? error.stack : String(error),
    });
  };
  process.on('uncaughtException', handle);
  process.on('unhandledRejection', handle);
}
