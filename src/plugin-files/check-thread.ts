/**
 * The throw-away thread in which a plugin's file is read and run for the first time: what it does to itself (an endless loop, an exit,
 * a crash) it does here. Takes the files from `workerData`, answers one by one, ends.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { PluginFileError, type PluginBundle, type PluginProblem, type SourcePosition } from './bundle.ts';
import { checkDefinition, readDefinition } from './definition.ts';
import { loadBundle } from './load-bundle.ts';
import { readBundle, type FilesRead } from './read-bundle.ts';
import { positionOf, sourceLine } from './source-position.ts';

export type CheckMessage =
  | { readonly type: 'begun'; readonly file: string }
  | ({ readonly type: 'checked'; readonly file: string; readonly read: FilesRead } & CheckOutcome);

export type CheckOutcome =
  | { readonly bundle: PluginBundle; readonly name: string; readonly replacesBuiltIn: boolean }
  | { readonly problem: PluginProblem };

const post = (message: CheckMessage): void => parentPort?.postMessage(message);

async function check(file: string): Promise<void> {
  post({ type: 'begun', file });
  const read: FilesRead = new Map();
  const sources = new Map<string, string>();
  try {
    const bundle = readBundle(file, read, sources);
    const { default: exported } = await loadBundle(bundle);
    try {
      checkDefinition(exported);
    } catch (error) {
      throw located(error, file, bundle, sources);
    }
    const { name, replacesBuiltIn = false } = readDefinition(exported);
    post({ type: 'checked', file, read, bundle, name, replacesBuiltIn });
  } catch (error) {
    post({ type: 'checked', file, read, problem: problemOf(error, sources) });
  }
}

function problemOf(error: unknown, sources: ReadonlyMap<string, string>): PluginProblem {
  const own = error instanceof PluginFileError;
  const { code } = error as { code?: unknown };
  const message =
    code === 'ERR_SCRIPT_EXECUTION_TIMEOUT'
      ? 'its top-level code does not end (an endless loop?)'
      : own
        ? error.message
        : String(error);
  return { message, position: (own ? error.position : undefined) ?? positionOf(error, sources) };
}

/** The line of the member that a message begins with; else that of the default export. */
function located(error: unknown, file: string, bundle: PluginBundle, sources: ReadonlyMap<string, string>): unknown {
  if (!(error instanceof PluginFileError)) return error;
  const lines = sources.get(bundle.modules[0]?.url ?? '')?.split(/\r\n|\n/) ?? [];
  const member = /^\w+/.exec(error.message)?.[0] ?? '';
  let index = lines.findIndex((line) => new RegExp(`^\\s*(?:async\\s+)?['"]?${member}['"]?\\s*[(:,]`).test(line));
  if (index < 0) index = lines.findIndex((line) => line.includes('export default'));
  if (index < 0) return error;
  const position: SourcePosition = {
    file,
    line: index + 1,
    column: undefined,
    source: sourceLine(lines.join('\n'), index + 1),
  };
  return new PluginFileError(error.message, position, { cause: error });
}

for (const file of workerData as readonly string[]) await check(file);
// Timers and sockets that a plugin opened at its top level end here.
process.exit(0);
