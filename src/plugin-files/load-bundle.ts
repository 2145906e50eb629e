/**
 * Runs the modules of a bundle, each once, what it imports before it. In the thread that checks, in the control plane and in every
 * worker; never on the request path.
 * Invariant: nothing but the caller holds what was loaded; packages are Node.js' own and stay.
 */
import { setFlagsFromString } from 'node:v8';
import { compileFunction } from 'node:vm';
import { PluginFileError, type BundledModule, type PluginBundle } from './bundle.ts';
import { importPackage } from './package-import.ts';
import { declareExports, dynamicImport, exportsObject, importMeta } from './module-text.ts';
import { rememberModule } from './source-position.ts';
import { runWithin } from './run-within.ts';

type Namespace = Record<string, unknown>;

interface Instance {
  readonly exports: Namespace;
  readonly loaded: Promise<void>;
}

/** Top-level code of one module, until its first await. */
const evaluationLimitMs = 2000;
/** The whole of it, with what it awaits. */
const loadLimitMs = 8000;

/** The entry's namespace. Rejects with what a module throws, or PluginFileError. */
export async function loadBundle(bundle: PluginBundle): Promise<Readonly<Namespace>> {
  const instances = new Map<number, Instance>();
  const load = (index: number, path: readonly number[]): Instance => {
    const known = instances.get(index);
    if (path.includes(index)) {
      const names = [...path.slice(path.indexOf(index)), index].map((i) => bundle.modules[i]?.url ?? '');
      throw new PluginFileError(`these files import each other in a circle: ${names.join(' → ')}`);
    }
    if (known !== undefined) return known;
    const module = bundle.modules[index];
    if (module === undefined) throw new PluginFileError(`module ${index} of ${bundle.file} is missing`);
    const exports = Object.create(null) as Namespace;
    const instance = { exports, loaded: run(module, exports, (target) => load(target, [...path, index])) };
    instances.set(index, instance);
    return instance;
  };
  const entry = load(0, []);
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new PluginFileError(`its top-level await did not end within ${loadLimitMs / 1000} seconds`));
    }, loadLimitMs);
  });
  try {
    await Promise.race([entry.loaded, limit]);
  } finally {
    clearTimeout(timer);
  }
  return entry.exports;
}

async function run(module: BundledModule, exports: Namespace, load: (target: number) => Instance): Promise<void> {
  const { text, url } = module;
  if (text === undefined) {
    exports['default'] = JSON.parse(module.json ?? 'null') as unknown;
    return;
  }
  rememberModule(url);
  const namespaceOf = async (request: number): Promise<Namespace> => {
    const target = module.targets[request];
    if (target === undefined) return importPackage(text.requests[request]?.specifier ?? '', url);
    const instance = load(target);
    await instance.loaded;
    return instance.exports;
  };
  const namespaces: (Namespace | undefined)[] = [];
  for (const [request, { dynamic }] of text.requests.entries())
    namespaces.push(dynamic ? undefined : await namespaceOf(request));
  const of = (request: number): Namespace => namespaces[request] ?? {};

  for (const request of text.starExports) declare(exports, of(request), Object.keys(of(request)));
  for (const { request, imported, exported } of text.reexports)
    define(exports, exported, imported === '*' ? () => of(request) : () => of(request)[imported]);
  const values = text.imports.map(({ request, imported, line }) =>
    imported === '*' ? of(request) : binding(of(request), imported, text.requests[request]?.specifier ?? '', url, line),
  );
  const evaluate = compileForgetfully(
    text.body,
    [exportsObject, declareExports, dynamicImport, importMeta, ...text.imports.map(({ local }) => local)],
    url,
  );
  const importLater = async (specifier: unknown): Promise<Namespace> => {
    const request = text.requests.findIndex((one) => one.dynamic && one.specifier === specifier);
    return request < 0 ? importPackage(String(specifier), url) : namespaceOf(request);
  };
  const addExports = (getters: Readonly<Record<string, () => unknown>>): void => {
    for (const [name, get] of Object.entries(getters)) define(exports, name, get);
  };
  await runWithin(evaluationLimitMs, () =>
    evaluate(exports, addExports, importLater, Object.freeze({ url }), ...values),
  );
}

function declare(exports: Namespace, from: Namespace, names: readonly string[]): void {
  for (const name of names) if (name !== 'default') define(exports, name, () => from[name]);
}

function define(exports: Namespace, name: string, get: () => unknown): void {
  Object.defineProperty(exports, name, { enumerable: true, configurable: true, get });
}

function binding(from: Namespace, name: string, specifier: string, url: string, line: number): unknown {
  if (name in from) return from[name];
  throw new PluginFileError(
    `${specifier} exports no ${name}; a type is imported with "import type" or "import { type ${name} }"`,
    { file: url, line, column: undefined, source: undefined },
  );
}

/**
 * V8 keeps the text and the code of what it compiled, to find it again; nobody asks for an old version of a plugin again, and
 * each would stay. The flag is the whole process's, and is read when something is compiled.
 */
function compileForgetfully(
  body: string,
  parameters: readonly string[],
  url: string,
): (...values: unknown[]) => Promise<void> {
  setFlagsFromString('--no-compilation-cache');
  try {
    // The body's first line is not the file's.
    return compileFunction(body, parameters, { filename: url, lineOffset: -1 }) as (
      ...values: unknown[]
    ) => Promise<void>;
  } finally {
    setFlagsFromString('--compilation-cache');
  }
}
