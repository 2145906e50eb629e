/** Lines on stderr, which the gateway puts into its own log. */

// Where nobody reads any more, they are lost: no reason to end.
process.stderr.on('error', () => undefined);

export function line(level: 'info' | 'warn' | 'error', message: string): void {
  process.stderr.write(`gatewright-runner[${process.pid}] ${level}: ${message}\n`);
}

export function failure(what: string, error: unknown): void {
  line('error', `${what}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
}
