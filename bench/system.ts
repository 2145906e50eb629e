/** What all measured systems have in common: one URL to load, one process tree to account. */
import type { Asked } from './load.ts';

export interface System extends Asked {
  readonly name: string;
  /** What it does, for the table's legend. */
  readonly what: string;
  start(upstreamPort: number): Promise<RunningSystem>;
}

export interface RunningSystem {
  readonly pid: number;
  readonly port: number;
  stop(): Promise<void>;
}

/** Every system gets this request where it asks for no other: the path is in the middle of the 10,000 routes, the key is its consumer's. */
export const TARGET = 5_000;

export function routePath(index: number): string {
  return `/service-${index}/orders`;
}

export function apiKey(index: number): string {
  return `key-of-consumer-${index}`;
}

export const REQUEST_PATH = routePath(TARGET);
export const REQUEST_HEADERS: Readonly<Record<string, string>> = { apikey: apiKey(TARGET) };
