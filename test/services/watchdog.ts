/**
 * Kills the process of a test file that takes too long: a file stuck in a synchronous loop hears no time limit of its own and would
 * hold up the run to its end. The run then goes on; the file has failed.
 */
import { readdirSync, readFileSync } from 'node:fs';

export class Watchdog {
  readonly #limitMs: number;
  readonly #report: (file: string, seconds: number) => void;
  readonly #timers = new Map<string, NodeJS.Timeout>();

  constructor(limitMs: number, report: (file: string, seconds: number) => void) {
    this.#limitMs = limitMs;
    this.#report = report;
  }

  started(file: string): void {
    this.#timers.set(
      file,
      setTimeout(() => {
        this.#report(file, this.#limitMs / 1000);
        for (const pid of childrenRunning(file)) process.kill(pid, 'SIGKILL');
      }, this.#limitMs),
    );
  }

  ended(file: string): void {
    clearTimeout(this.#timers.get(file));
    this.#timers.delete(file);
  }

  stop(): void {
    for (const file of this.#timers.keys()) this.ended(file);
  }
}

/** Children of this process that were started with the file as an argument, from /proc (Linux; elsewhere none). */
function childrenRunning(file: string): number[] {
  const found: number[] = [];
  for (const entry of listing('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      // The name, in parentheses, may hold spaces; after it stand the state and the parent.
      const [, parent] = (/\) (.*)$/s.exec(readFileSync(`/proc/${entry}/stat`, 'utf8'))?.[1] ?? '').split(' ');
      const args = readFileSync(`/proc/${entry}/cmdline`, 'utf8').split('\0');
      if (Number(parent) === process.pid && args.includes(file)) found.push(Number(entry));
    } catch {
      // It has ended meanwhile.
    }
  }
  return found;
}

function listing(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
