/** wrk on the load's core: a closed loop of keep-alive connections, each with one request at a time. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { LOAD_CORE } from './child.ts';
import { REQUEST_HEADERS, REQUEST_PATH } from './system.ts';

export const CONNECTIONS = 32;

export interface LoadResult {
  readonly requests: number;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** What is asked for; by default what all systems of the first scenarios serve. */
export interface Asked {
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Loads 127.0.0.1:port for some seconds. Fails if any answer was not 2xx or any connection broke. */
export async function load(port: number, seconds: number, asked: Asked = {}): Promise<LoadResult> {
  const { path = REQUEST_PATH } = asked;
  const headers = Object.entries(asked.headers ?? REQUEST_HEADERS).flatMap(([name, value]) => [
    '-H',
    `${name}: ${value}`,
  ]);
  return wrk(['-c', String(CONNECTIONS), '-d', `${seconds}s`, ...headers, `http://127.0.0.1:${port}${path}`]);
}

/** One connection that asks as `script` (Lua) says. Fails as `load` does. */
export function loadScripted(port: number, seconds: number, script: string): Promise<LoadResult> {
  return wrk(['-c', '1', '-d', `${seconds}s`, '-s', script, `http://127.0.0.1:${port}`]);
}

async function wrk(options: readonly string[]): Promise<LoadResult> {
  const command = ['-c', String(LOAD_CORE), 'wrk', '-t', '1', '--latency', ...options];
  const { stdout } = await promisify(execFile)('taskset', command);
  return parseWrk(stdout);
}

export function parseWrk(text: string): LoadResult {
  const wrong = /^\s*(Socket errors|Non-2xx or 3xx responses).*$/m.exec(text);
  if (wrong !== null) throw new Error(`the load was not answered: ${wrong[0].trim()}`);
  return {
    requests: Number(find(text, /(\d+) requests in /)),
    requestsPerSecond: Number(find(text, /Requests\/sec:\s+([\d.]+)/)),
    p50Ms: milliseconds(find(text, /^\s+50%\s+(\S+)$/m)),
    p99Ms: milliseconds(find(text, /^\s+99%\s+(\S+)$/m)),
  };
}

function find(text: string, pattern: RegExp): string {
  const found = pattern.exec(text)?.[1];
  if (found === undefined) throw new Error(`wrk wrote something else:\n${text}`);
  return found;
}

/** `812.00us`, `1.23ms`, `2.00s` */
function milliseconds(text: string): number {
  const value = Number.parseFloat(text);
  if (text.endsWith('us')) return value / 1000;
  return text.endsWith('ms') ? value : value * 1000;
}
