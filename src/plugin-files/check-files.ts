/** The control plane's side of check-thread.ts: files in, an outcome for each out, whatever they do to their thread. */
import { Worker } from 'node:worker_threads';
import type { CheckMessage, CheckOutcome } from './check-thread.ts';
import type { FilesRead } from './read-bundle.ts';

export interface CheckedFile {
  readonly file: string;
  /** What was read for it; undefined where its thread did not live to tell. */
  readonly read: FilesRead | undefined;
  readonly outcome: CheckOutcome;
}

/** Of one file, with what it imports; longer than every limit inside the thread. */
const fileLimitMs = 15_000;
const entry = new URL(import.meta.url.endsWith('.ts') ? './check-thread.ts' : './check-thread.js', import.meta.url);

/** In the order of `files`. Never rejects. */
export async function checkFiles(files: readonly string[], limitMs = fileLimitMs): Promise<CheckedFile[]> {
  const checked: CheckedFile[] = [];
  while (checked.length < files.length) checked.push(...(await checkUntilStuck(files.slice(checked.length), limitMs)));
  return checked;
}

/** All files, or those up to the first that hangs or ends its thread. */
function checkUntilStuck(files: readonly string[], limitMs: number): Promise<CheckedFile[]> {
  const thread = new Worker(entry, {
    workerData: files,
    execArgv: ['--disable-warning=ExperimentalWarning'],
    resourceLimits: { maxOldGenerationSizeMb: 512 },
    stdout: true,
  });
  const checked: CheckedFile[] = [];
  return new Promise((resolve) => {
    let timer: NodeJS.Timeout | undefined;
    let failure: string | undefined;
    const watch = (): void => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        failure = `it did not load within ${limitMs / 1000} seconds (an endless loop at the top level?)`;
        void thread.terminate();
      }, limitMs);
    };
    watch();
    thread.on('message', (message: CheckMessage) => {
      watch();
      if (message.type !== 'checked') return;
      const { type: _type, file, read, ...outcome } = message;
      checked.push({ file, read, outcome });
    });
    thread.on('error', (error) => {
      failure ??= String(error);
    });
    thread.once('exit', (code) => {
      clearTimeout(timer);
      const stuck = files[checked.length];
      if (stuck !== undefined) {
        const message = failure ?? `it ended its thread (code ${code})`;
        checked.push({ file: stuck, read: undefined, outcome: { problem: { message, position: undefined } } });
      }
      resolve(checked);
    });
  });
}
