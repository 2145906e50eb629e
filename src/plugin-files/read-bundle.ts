/**
 * A plugin's file and the files that it imports → a bundle. Runs in the thread that checks: the only place that reads them.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { extname } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { PluginFileError, type BundledModule, type PluginBundle } from './bundle.ts';
import { transformModule, type ModuleRequest, type ModuleText, type SourceSyntaxError } from './module-text.ts';
import { sourceLine } from './source-position.ts';

/** Largest source that is read, in bytes. */
const maxSourceBytes = 5 * 1024 * 1024;

/** Path → hash of what was read; undefined: there was no such file. Filled also where reading fails. */
export type FilesRead = Map<string, string | undefined>;

/** Throws PluginFileError. */
export function readBundle(file: string, read: FilesRead, sources: Map<string, string>): PluginBundle {
  const modules: BundledModule[] = [];
  const indexes = new Map<string, number>();
  const add = (path: string): number => {
    const known = indexes.get(path);
    if (known !== undefined) return known;
    const index = indexes.size;
    indexes.set(path, index);
    const url = pathToFileURL(path).href;
    const source = readSource(path, read);
    sources.set(url, source);
    if (extname(path) === '.json') {
      modules[index] = { url, text: undefined, json: checkJson(source, url), targets: [] };
      return index;
    }
    const text = readModule(source, url);
    modules[index] = { url, text, json: undefined, targets: [] };
    const targets = text.requests.map((request) => {
      const target = targetOf(request, path, source, read);
      return target === undefined ? undefined : add(target);
    });
    modules[index] = { url, text, json: undefined, targets };
    refuseChanging(text, targets, modules, url, source);
    return index;
  };
  add(file);
  const hash = createHash('sha256');
  for (const [path, digest] of [...read].sort(([a], [b]) => (a < b ? -1 : 1)))
    hash.update(`${path}\0${digest ?? ''}\n`);
  return { file, hash: hash.digest('hex'), modules };
}

function readSource(path: string, read: FilesRead): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    read.set(path, undefined);
    throw new PluginFileError(`${path} cannot be read: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
  read.set(path, digestOf(bytes));
  if (bytes.length > maxSourceBytes) throw new PluginFileError(`${path} is larger than ${maxSourceBytes} bytes`);
  return bytes.toString('utf8').replace(/^\uFEFF/, '');
}

/** As the watcher compares. */
export function digestOf(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

function readModule(source: string, url: string): ModuleText {
  const typed = url.endsWith('.ts') || url.endsWith('.mts');
  try {
    return transformModule(typed ? stripTypeScriptTypes(source, { mode: 'strip' }) : source);
  } catch (error) {
    const { loc } = error as Partial<SourceSyntaxError>;
    // Node.js tells the place in the stack alone: `:LINE`, some lines of the file, and carets below the place.
    const stack = (error as Error).stack ?? '';
    const line = loc?.line ?? Number(/^:(\d+)\n/.exec(stack)?.[1] ?? 1);
    const carets = loc === undefined ? /^( *)\^+$/m.exec(stack)?.[1]?.length : loc.column;
    const message = (error as Error).message.replace(/ \(\d+:\d+\)$/, '');
    throw new PluginFileError(
      message,
      {
        file: fileURLToPath(url),
        line,
        column: carets === undefined ? undefined : carets + 1,
        source: sourceLine(source, line),
      },
      { cause: error },
    );
  }
}

function checkJson(source: string, url: string): string {
  try {
    JSON.parse(source);
    return source;
  } catch (error) {
    throw new PluginFileError(`${fileURLToPath(url)}: ${(error as Error).message}`);
  }
}

/** Path of the file that a request means; undefined: a package, or a module of Node.js. */
function targetOf(request: ModuleRequest, from: string, source: string, read: FilesRead): string | undefined {
  const { specifier, line, column } = request;
  if (!/^(?:\.{0,2}\/|file:)/.test(specifier)) return undefined;
  const path = fileURLToPath(new URL(specifier, pathToFileURL(from)));
  if (existsSync(path) && extname(path) !== '') return path;
  read.set(path, undefined);
  const stem = path.replace(/\.[cm]?[jt]s$/, '');
  const near = [`${stem}.ts`, `${stem}.js`, `${stem}.mts`, `${stem}.mjs`, `${path}/index.ts`, `${path}/index.js`].find(
    (candidate) => existsSync(candidate),
  );
  const advice =
    near === undefined
      ? ''
      : `; imports name the whole file: did you mean ${specifier.replace(/\.[cm]?[jt]s$/, '')}${near.slice(near.startsWith(`${path}/`) ? path.length : stem.length)}?`;
  throw new PluginFileError(`there is no file ${specifier}${advice}`, {
    file: from,
    line,
    column: column + 1,
    source: sourceLine(source, line),
  });
}

/** A name is bound when the module is loaded; one that changes later would be read stale. */
function refuseChanging(
  text: ModuleText,
  targets: readonly (number | undefined)[],
  modules: readonly BundledModule[],
  url: string,
  source: string,
): void {
  for (const { request, imported, line } of text.imports) {
    const target = targets[request];
    if (target === undefined || modules[target]?.text?.changing.includes(imported) !== true) continue;
    const { specifier = '' } = text.requests[request] ?? {};
    throw new PluginFileError(
      `${imported} of ${specifier} is assigned again after it was exported; use "import * as all" and all.${imported}`,
      { file: fileURLToPath(url), line, column: undefined, source: sourceLine(source, line) },
    );
  }
}
