/** What the figures were measured on. */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpus, loadavg, release, totalmem } from 'node:os';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGb: number;
  readonly kernel: string;
  readonly node: string;
  readonly nginx: string;
  readonly wrk: string;
  readonly commit: string;
  /** The load average of the minute before: what else ran. */
  readonly loadBefore: number;
}

export function machine(): Machine {
  const all = cpus();
  return {
    cpu: all[0]?.model ?? 'unknown',
    cores: all.length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    nginx: says('nginx', ['-v'], /nginx\/(\S+)/),
    wrk: says('wrk', ['-v'], /wrk (?:debian\/)?(\S+)/),
    commit: execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim(),
    loadBefore: loadavg()[0] ?? Number.NaN,
  };
}

/** The version that a program writes, to stdout or stderr, whatever its exit code. */
function says(command: string, args: readonly string[], pattern: RegExp): string {
  const { stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  return pattern.exec(stdout + stderr)?.[1] ?? 'unknown';
}
