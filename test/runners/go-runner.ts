/**
 * Apache's Go plugin runner with the plugins of `test/runners/go`, built once and kept. Its modules come
 * from the Go module proxy, at the versions and checksums that go.sum holds.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { builtOnce } from '../services/built-once.ts';
import { findCommand } from '../services/requirements.ts';

const source = path.join(import.meta.dirname, 'go');
const programName = 'runner';
const buildLimitMs = 240_000;

/** The program's path. Throws where it cannot be built. */
export function goRunner(): string {
  const digest = createHash('sha256');
  for (const file of readdirSync(source).sort())
    if (/\.(go|mod|sum)$/.test(file)) digest.update(readFileSync(path.join(source, file)));
  const directory = builtOnce(`go-runner-${digest.digest('hex').slice(0, 16)}`, (folder) => {
    const program = path.join(folder, programName);
    const built = spawnSync(findCommand('go') ?? 'go', ['build', '-trimpath', '-o', program, '.'], {
      cwd: source,
      encoding: 'utf8',
      timeout: buildLimitMs,
    });
    if (built.status !== 0) throw new Error(`the Go runner cannot be built: ${built.stderr || String(built.error)}`);
  });
  return path.join(directory, programName);
}
