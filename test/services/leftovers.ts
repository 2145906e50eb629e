/**
 * Preloaded into the process of each test file. A file that has run its tests and still holds something open (a socket,
 * a timer, a child) would hang the run; here it fails and says what is open.
 */
import { after } from 'node:test';

/** Sockets that were told to close get this long. */
const GRACE_MS = 5_000;

after(() => {
  const timer = setTimeout(() => {
    const open = process.getActiveResourcesInfo().filter((name) => name !== 'PipeWrap' && name !== 'TTYWrap');
    process.stderr.write(`still open ${GRACE_MS / 1000} s after the last test: ${open.join(', ') || 'a pipe'}\n`);
    process.exit(1);
  }, GRACE_MS);
  timer.unref();
});
