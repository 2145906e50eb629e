/** Lines on stderr, which the gateway puts into its own log. */

export function line(level: 'info' | 'warn' | 'error', message: string): void {
  process.stderr.write(`gatewright-runner[${process.pid}] ${level}: ${message}\n`);
}

export function failure(what: string, error: unknown): void {
  line('error', `${what}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
}
