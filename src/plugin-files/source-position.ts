/** Where in an author's file an error happened, read from its stack. */
import { fileURLToPath } from 'node:url';
import type { SourcePosition } from './bundle.ts';

/** `line` from 1. */
export function sourceLine(source: string | undefined, line: number): string | undefined {
  return source?.split(/\r\n|\n/)[line - 1];
}

/** The innermost frame in one of `sources` (URL → text); undefined: none is. */
export function positionOf(error: unknown, sources: ReadonlyMap<string, string>): SourcePosition | undefined {
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  for (const [, url = '', line = '', column = ''] of stack.matchAll(/(file:\/\/[^\s()]+?):(\d+):(\d+)/g)) {
    const source = sources.get(url);
    if (source === undefined) continue;
    return {
      file: fileURLToPath(url),
      line: Number(line),
      column: Number(column),
      source: sourceLine(source, Number(line)),
    };
  }
  return undefined;
}

/** URLs of the plugin files that were loaded in this thread. */
const loaded = new Set<string>();

export function rememberModule(url: string): void {
  loaded.add(url);
}

/** `file:line` of the innermost frame in a plugin's file; undefined where the error came from elsewhere. */
export function pluginFrame(error: unknown): string | undefined {
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  for (const [, url = '', line = ''] of stack.matchAll(/(file:\/\/[^\s()]+?):(\d+):\d+/g))
    if (loaded.has(url)) return `${fileURLToPath(url)}:${line}`;
  return undefined;
}
