/**
 * What `npm test` prints: a line for each file as it ends, then each failure in full, with what its file wrote.
 * Output of files that pass is dropped: a gateway under test logs a lot.
 */
import path from 'node:path';
import type { EventData } from 'node:test';
import { inspect } from 'node:util';
import type { Result, Verdict } from './tally.ts';

/** Of a failing file's output, the end, which is where the reason is. */
const MAX_OUTPUT_CHARACTERS = 20_000;

interface FileState {
  passed: number;
  failed: number;
  skipped: number;
  output: string;
  failures: { title: string; error: unknown; at: string }[];
}

export class FileReport {
  readonly #root: string;
  readonly #out: { write(text: string): unknown };
  readonly #files = new Map<string, FileState>();

  constructor(root: string, out: { write(text: string): unknown }) {
    this.#root = root;
    this.#out = out;
  }

  result(result: Result, verdict: Verdict): void {
    const state = this.#state(result.file ?? result.name);
    if (verdict === 'passed' || verdict === 'skipped') state[verdict]++;
    if (verdict !== 'failed') return;
    state.failed++;
    if (result.file !== undefined && path.resolve(this.#root, result.name) === path.resolve(this.#root, result.file)) {
      this.#out.write(`✖ ${this.#relative(result.file)} (its process failed)\n`);
    }
    const details = result.details as { error?: Error };
    const at = result.line === undefined ? '' : `:${result.line}`;
    state.failures.push({ title: this.#relative(result.name), error: details.error?.cause ?? details.error, at });
  }

  output(output: EventData.TestStdout | EventData.TestStderr): void {
    const state = this.#state(output.file);
    state.output = (state.output + output.message).slice(-MAX_OUTPUT_CHARACTERS);
  }

  endOfFile(summary: EventData.TestSummary): void {
    const state = this.#state(summary.file ?? '');
    const mark = state.failed > 0 ? '✖' : '✔';
    const counts = [`${state.passed} passed`];
    if (state.failed > 0) counts.push(`${state.failed} failed`);
    if (state.skipped > 0) counts.push(`${state.skipped} skipped`);
    const seconds = (summary.duration_ms / 1000).toFixed(1);
    this.#out.write(`${mark} ${this.#relative(summary.file ?? '')} (${counts.join(', ')}, ${seconds} s)\n`);
  }

  /** Every failure, with the end of what its file wrote. */
  failures(): void {
    for (const [file, state] of this.#files) {
      if (state.failures.length === 0) continue;
      this.#out.write(`\n✖ ${this.#relative(file)}\n`);
      for (const failure of state.failures) {
        const error = typeof failure.error === 'string' ? failure.error : inspect(failure.error);
        this.#out.write(`\n  ${failure.title} (${this.#relative(file)}${failure.at})\n${indent(error)}\n`);
      }
      if (state.output.trim() !== '') this.#out.write(`\n  it wrote:\n${indent(state.output.trimEnd())}\n`);
    }
  }

  #relative(file: string): string {
    return path.isAbsolute(file) ? path.relative(this.#root, file) : file;
  }

  #state(name: string): FileState {
    const file = path.resolve(this.#root, name);
    let state = this.#files.get(file);
    if (state === undefined) this.#files.set(file, (state = emptyState()));
    return state;
  }
}

function emptyState(): FileState {
  return { passed: 0, failed: 0, skipped: 0, output: '', failures: [] };
}

function indent(text: string): string {
  return text
    .split('\n')
    .map((line) => `    ${line}`)
    .join('\n');
}
