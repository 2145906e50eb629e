/**
 * CPU time and resident memory of a process with all its threads and descendants, from /proc (Linux).
 * CPU is user + system time; on kernels with precise accounting it is exact but for the tick it is reported in (10 ms).
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

const TICKS_PER_SECOND = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

/** Microseconds of CPU that the tree used so far. A descendant that ended and was reaped still counts, through its parent. */
export function cpuMicroseconds(pid: number): number {
  let ticks = 0;
  for (const member of processTree(pid)) {
    const text = readFileSync(`/proc/${member}/stat`, 'utf8');
    // The name, in parentheses, may hold spaces. After it: state is field 3, utime, stime, cutime, cstime are 14 to 17.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    for (let field = 14; field <= 17; field++) ticks += Number(fields[field - 3]);
  }
  return (ticks / TICKS_PER_SECOND) * 1e6;
}

/** Bytes resident in memory, summed over the tree: pages that a parent and a child share count twice. */
export function residentBytes(pid: number): number {
  let kilobytes = 0;
  for (const member of processTree(pid)) {
    kilobytes += Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${member}/status`, 'utf8'))?.[1] ?? 0);
  }
  return kilobytes * 1024;
}

/** '' for a thread that ended since it was listed. */
function childrenOf(pid: number, thread: string): string {
  try {
    return readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || (error as NodeJS.ErrnoException).code === 'ESRCH')
      return '';
    throw error;
  }
}

function processTree(pid: number): number[] {
  const tree = [pid];
  for (const member of tree) {
    for (const thread of readdirSync(`/proc/${member}/task`)) {
      const children = childrenOf(member, thread);
      if (children !== '') tree.push(...children.split(' ').map(Number));
    }
  }
  return tree;
}
