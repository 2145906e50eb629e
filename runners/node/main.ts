/**
 * Runs TypeScript plugins beside the gateway: `node runners/node/main.ts --plugins DIR`. The address comes from
 * APISIX_LISTEN_ADDRESS, as the gateway sets it. Exit code 0 after SIGTERM, 1 where it cannot serve or an option is wrong.
 */
import { statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import * as log from './log.ts';
import { supervise, type RunnerOptions } from './supervisor.ts';
import { serveConnections } from './worker.ts';

const usage = `usage: node runners/node/main.ts --plugins DIR [options]
  --plugins DIR        folder of the plugins' files (.ts, .mts, .js, .mjs, or folders with an index)
  --listen unix:PATH   the socket; default: APISIX_LISTEN_ADDRESS
  --socket-mode MODE   octal; default: 600
  --processes N        default: half the cores
  --timeout-ms N       for one call; default: 5000
`;
/** sun_path of Linux less the zero, less what is added while binding. */
const maxPathBytes = 107 - 8;

function readOptions(): RunnerOptions | undefined {
  const { values } = parseArgs({
    options: {
      plugins: { type: 'string' },
      listen: { type: 'string', default: process.env['APISIX_LISTEN_ADDRESS'] ?? '' },
      'socket-mode': { type: 'string', default: '600' },
      processes: { type: 'string', default: String(Math.max(1, Math.floor(availableParallelism() / 2))) },
      'timeout-ms': { type: 'string', default: '5000' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  if (values.plugins === undefined) throw new Error('--plugins is missing: the folder of the plugins');
  const folder = resolve(values.plugins);
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) throw new Error(`${folder} is not a folder`);
  return {
    folder,
    path: socketPath(values.listen),
    socketMode: whole('--socket-mode', values['socket-mode'], 0o200, 0o777, 8),
    processes: whole('--processes', values.processes, 1, 1024),
    timeoutMs: whole('--timeout-ms', values['timeout-ms'], 10, 3_600_000),
    expireMs: 1000 * whole('APISIX_CONF_EXPIRE_TIME', process.env['APISIX_CONF_EXPIRE_TIME'] ?? '3600', 1, 1e9),
  };
}

function whole(name: string, text: string, least: number, most: number, base = 10): number {
  const value = Number.parseInt(text, base);
  if (value.toString(base) !== text.replace(/^0+(?=.)/, '') || value < least || value > most)
    throw new Error(
      `${name}: ${JSON.stringify(text)} is no number from ${least.toString(base)} to ${most.toString(base)}`,
    );
  return value;
}

function socketPath(address: string): string {
  if (!/^unix:./.test(address))
    throw new Error(
      `an address is unix:/path/of/socket (APISIX_LISTEN_ADDRESS or --listen), not ${JSON.stringify(address)}`,
    );
  const path = resolve(address.slice('unix:'.length));
  if (Buffer.byteLength(path) > maxPathBytes)
    throw new Error(`the path of a socket has ${maxPathBytes} bytes at most: ${path}`);
  return path;
}

try {
  const options = readOptions();
  if (options === undefined) process.stdout.write(usage);
  else if (process.env['GATEWRIGHT_RUNNER_PROCESS'] === '1') serveConnections(options.timeoutMs);
  else {
    await supervise(options, fileURLToPath(import.meta.url));
    process.exit(0);
  }
} catch (error) {
  log.line('error', error instanceof Error ? error.message : String(error));
  process.exit(1);
}
