/**
 * Apache's Go plugin runner with the plugins of `test/runners/go`, built once and kept under node_modules/.cache. Its modules come
 * from the Go module proxy, at the versions and checksums that go.sum holds.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import path from 'node:path';
import { findCommand } from '../services/requirements.ts';

const source = path.join(import.meta.dirname, 'go');
const buildLimitMs = 240_000;

/** The program's path. Throws where it cannot be built. */
export function goRunner(): string {
  const digest = createHash('sha256');
  for (const file of readdirSync(source).sort())
    if (/\.(go|mod|sum)$/.test(file)) digest.update(readFileSync(path.join(source, file)));
  const directory = path.resolve('node_modules/.cache/runners');
  const program = path.join(directory, `go-${digest.digest('hex').slice(0, 16)}`);
  if (existsSync(program)) return program;
  mkdirSync(directory, { recursive: true });
  // Two test files may build at once: each to a name of its own.
  const fresh = `${program}.${String(process.pid)}`;
  const built = spawnSync(findCommand('go') ?? 'go', ['build', '-trimpath', '-o', fresh, '.'], {
    cwd: source,
    encoding: 'utf8',
    timeout: buildLimitMs,
  });
  if (built.status !== 0) throw new Error(`the Go runner cannot be built: ${built.stderr || String(built.error)}`);
  renameSync(fresh, program);
  return program;
}
