/**
 * Counts the results of a run from the events of `node:test`, leaf tests only: a suite or a test that merely holds
 * others is not counted, unless it failed by itself (a hook, a syntax error in the file, a time limit).
 */
import path from 'node:path';
import type { EventData } from 'node:test';

export type Result = EventData.TestPass | EventData.TestFail;

export type Verdict = 'passed' | 'failed' | 'skipped' | 'todo' | 'container';

export class Tally {
  passed = 0;
  failed = 0;
  skipped = 0;
  todo = 0;
  /** For each file, results seen at each nesting since the last result one level above. */
  readonly #open = new Map<string, number[]>();

  /** Takes the results in the order of the runner's stream (children before their parent, file by file). */
  add(result: Result, failed: boolean): Verdict {
    const levels = this.#levelsOf(result.file ?? result.name);
    const children = levels[result.nesting + 1] ?? 0;
    levels[result.nesting + 1] = 0;
    levels[result.nesting] = (levels[result.nesting] ?? 0) + 1;
    const verdict = judge(result, failed, children > 0);
    if (verdict !== 'container') this[verdict]++;
    return verdict;
  }

  /** `12 passed, 0 failed`, and how many were skipped, if any. */
  line(): string {
    const parts = [`${this.passed} passed`, `${this.failed} failed`];
    if (this.skipped > 0) parts.push(`${this.skipped} skipped`);
    if (this.todo > 0) parts.push(`${this.todo} todo`);
    return parts.join(', ');
  }

  #levelsOf(file: string): number[] {
    let levels = this.#open.get(file);
    if (levels === undefined) this.#open.set(file, (levels = []));
    return levels;
  }
}

function judge(result: Result, failed: boolean, hasChildren: boolean): Verdict {
  if (failed && (result.todo === undefined || result.todo === false)) {
    const cause = result.details as { error?: { failureType?: string } };
    return hasChildren && cause.error?.failureType === 'subtestsFailed' ? 'container' : 'failed';
  }
  // A file without any test reports itself, by its path, as passed.
  if (hasChildren || (result.nesting === 0 && path.resolve(result.name) === result.file)) return 'container';
  if (result.skip !== undefined && result.skip !== false) return 'skipped';
  if (result.todo !== undefined && result.todo !== false) return 'todo';
  return result.details.type === 'suite' ? 'container' : 'passed';
}
