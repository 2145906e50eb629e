/** The published and hand-written data of this folder, as bytes. */
import { readFileSync } from 'node:fs';

export interface RefusedStream {
  readonly name: string;
  readonly source: string;
  readonly bytes: Buffer;
  readonly inBody: boolean;
  readonly accepted: number;
}

export interface ValidStream {
  readonly name: string;
  readonly bytes: Buffer;
  /** Requests in the stream. */
  readonly count: number;
}

interface Row {
  readonly name: string;
  readonly source: string;
  readonly bytes: string;
  readonly inBody?: boolean;
  readonly accepted?: number;
  readonly count: number;
}

export function loadRefused(): RefusedStream[] {
  return rows('smuggling/requests.json').map(({ name, source, bytes, inBody = false, accepted = 0 }) => ({
    name,
    source,
    bytes: Buffer.from(bytes, 'latin1'),
    inBody,
    accepted,
  }));
}

export function loadValid(): ValidStream[] {
  return rows('requests/valid.json').map(({ name, bytes, count }) => ({
    name,
    bytes: Buffer.from(bytes, 'latin1'),
    count,
  }));
}

function rows(file: string): Row[] {
  return JSON.parse(readFileSync(new URL(file, import.meta.url), 'utf8')) as Row[];
}
