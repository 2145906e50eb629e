/** The CPU accounting that every figure stands on, against what processes say of themselves. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { cpuMicroseconds, residentBytes } from './process-tree.ts';

/** Burns 200 ms of CPU in the main thread, a worker thread and a child process each, then tells what it used. */
const BURNER = `
const { spawn } = require('node:child_process');
const { Worker } = require('node:worker_threads');
const burn = 'const from = process.cpuUsage(); while (true) { const used = process.cpuUsage(from); if (used.user + used.system > 200_000) break; }';
const worker = new Worker(burn, { eval: true });
worker.once('exit', () => {
  eval(burn);
  const told = 'const u = process.cpuUsage(); console.log(u.user + u.system); process.stdin.resume();';
  const child = spawn(process.execPath, ['-e', burn + told], { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdout.once('data', (line) => {
    const own = process.cpuUsage();
    console.log(own.user + own.system + Number(line));
  });
});
process.stdin.resume();
process.stdin.on('end', () => process.exit());
`;

test('CPU of threads and children counts, to within 10 % of what the processes say', async () => {
  const child = spawn(process.execPath, ['-e', BURNER], { stdio: ['pipe', 'pipe', 'inherit'] });
  assert.ok(child.pid !== undefined);
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const measured = cpuMicroseconds(child.pid);
  const told = Number(String(line));
  assert.ok(told > 600_000, `${told} µs`);
  assert.ok(Math.abs(measured - told) < told * 0.1, `measured ${measured} µs, told ${told} µs`);
  assert.ok(residentBytes(child.pid) > 40e6);
  child.stdin.end();
  await once(child, 'close');
});
