/** Reloads of a runner beside each other, and beside its death, with real processes. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { createLogger } from '../../src/observability/error-log.ts';
import { RunnerSupervisor } from '../../src/runners/supervisor.ts';
import { openSocketDirectory } from '../../src/runners/socket-directory.ts';
import { until } from '../until.ts';

const script = path.resolve('test/runners/script-runner.ts');
const longMs = 30_000;

describe('a runner that is reloaded', { timeout: 60_000 }, () => {
  let directory: string;
  let supervisor: RunnerSupervisor;
  /** Processes in the order of their start. */
  let pids: number[];
  /** What the workers were told, and what they wait for before they are done with the former process. */
  let moves: (string | undefined)[];
  let drained: Promise<void>;
  let log: string;
  beforeEach(() => {
    directory = mkdtempSync(path.join(tmpdir(), 'supervisor-'));
    [pids, moves, log, drained] = [[], [], '', Promise.resolve()];
  });
  afterEach(async () => {
    await supervisor.stop();
    rmSync(directory, { recursive: true, force: true });
    assert.deepEqual(pids.filter(isAlive), []);
  });

  async function start(...modes: string[]): Promise<void> {
    const sockets = openSocketDirectory(directory);
    const command = [process.execPath, script, ...modes];
    supervisor = new RunnerSupervisor({
      settings: {
        runners: [{ name: 'default', command, socket: undefined, plugins: undefined }],
        connectTimeoutMs: longMs,
        timeoutMs: longMs,
        // Who waits for it is timed out.
        startTimeoutMs: 600_000,
        stopTimeoutMs: longMs,
        confExpireMs: longMs,
        maxConnections: 1,
        maxBodyBytes: 1,
      },
      sockets: {
        ...sockets,
        note(socket, pid) {
          pids.push(pid);
          sockets.note(socket, pid);
        },
      },
      environment: { PATH: process.env['PATH'] ?? '' },
      log: createLogger({ level: 'info', write: (line) => (log += line) }),
      onLine: () => undefined,
      onMove: (_, socket) => {
        moves.push(socket);
        return drained;
      },
    });
    await supervisor.start();
  }

  /** A reload that waits for its new process, which listens once `file` is there. */
  async function reloadIntoSilence(): Promise<{ file: string; reload: Promise<void> }> {
    const file = path.join(directory, 'listen');
    writeFileSync(file, '');
    await start('listen-when', file);
    rmSync(file);
    const reload = supervisor.reload();
    await until(() => pids.length === 2);
    return { file, reload };
  }

  it('while a reload is under way is reloaded once more after it, however often it was asked', async () => {
    await start();
    let endCalls = (): void => undefined;
    drained = new Promise((resolve) => (endCalls = resolve));
    const first = supervisor.reload();
    await until(() => moves.length === 2);
    const [second, third] = [supervisor.reload(), supervisor.reload()];
    assert.equal(pids.length, 2);
    endCalls();
    await first;
    await Promise.all([second, third]);
    assert.equal(pids.length, 3);
    assert.equal(moves.length, 3);
    assert.deepEqual(pids.map(isAlive), [false, false, true]);
  });

  it('and dies meanwhile goes on in the process that the reload brought, in no other beside it', async () => {
    const { file, reload } = await reloadIntoSilence();
    process.kill(pids[0] ?? 0, 'SIGKILL');
    await until(() => log.includes('the runner ended'));
    writeFileSync(file, '');
    await reload;
    await supervisor.reload();
    assert.equal(pids.length, 3);
    assert.deepEqual(pids.map(isAlive), [false, false, true]);
  });

  it('and stopped while the new process does not listen yet is not waited for', async () => {
    const { reload } = await reloadIntoSilence();
    await supervisor.stop();
    await reload;
    assert.deepEqual(pids.map(isAlive), [false, false]);
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
