#!/usr/bin/env -S node --max-semi-space-size=2
// Checks the Node version before anything is loaded that needs a newer one; everything else is src/command-line.ts.
import { dirname } from 'node:path';

const major = Number(process.versions.node.split('.', 1)[0]);
if (major < 24) {
  process.stderr.write(`gatewright needs Node.js 24 or newer; this is ${process.version} (${process.execPath})\n`);
  process.exit(1);
}
// Stripped and compiled modules are kept between starts: workers inherit the variable, this thread is told.
if (process.env['NODE_COMPILE_CACHE'] === undefined) {
  const { enableCompileCache } = await import('node:module');
  const { directory } = enableCompileCache();
  if (directory !== undefined) process.env['NODE_COMPILE_CACHE'] = dirname(directory);
}
const { run } = await import('../src/command-line.ts');
process.exitCode = await run(process.argv.slice(2));
