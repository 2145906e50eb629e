/**
 * The Python runner's own tests (`runners/python/tests`, unittest), each counted here as one. They run in Python against real
 * processes and sockets; a failure is shown as Python tells it.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { skipUnless } from '../services/requirements.ts';

interface Outcome {
  readonly title: string;
  readonly failure: string | null;
}

const folder = path.resolve(import.meta.dirname, '../../runners/python');
const skip = skipUnless('python3');
const { outcomes, ran, output } = skip === false ? await runPython() : { outcomes: [], ran: 0, output: '' };

describe('the Python runner', { skip }, () => {
  for (const { title, failure } of outcomes) {
    test(title, () => {
      assert.equal(failure, null, failure ?? '');
    });
  }

  test('all of its tests ran', () => {
    assert.ok(ran > 0, output);
    assert.ok(outcomes.length >= ran, `${outcomes.length} of ${ran} told how they ended\n${output}`);
  });
});

async function runPython(): Promise<{ outcomes: Outcome[]; ran: number; output: string }> {
  const temporary = await mkdtemp(path.join(tmpdir(), 'gatewright-python-tests-'));
  try {
    const file = path.join(temporary, 'report.jsonl');
    const child = spawn('python3', ['-m', 'tests.report', file], {
      cwd: folder,
      env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (output = (output + text).slice(-10_000)));
    }
    await once(child, 'close');
    const lines = (await readFile(file, 'utf8').catch(() => '')).split('\n').filter((line) => line !== '');
    const said = lines.map((line) => JSON.parse(line) as Outcome | { ran: number });
    return {
      outcomes: said.filter((each) => 'title' in each),
      ran: said.find((each) => 'ran' in each)?.ran ?? 0,
      output,
    };
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}
