/**
 * ESLint rule: imports inside `src/` point one way, from the wiring down to `errors`.
 * It reads only the import's text and the file's place, so it needs no type information.
 * Invariant: a folder that LAYERS does not name is an error, so that a new room is placed before it is used.
 */
import path from 'node:path';
import type { Rule } from 'eslint';

/** Rooms that anything above `errors` may use; they know nothing of the gateway. */
const LEAVES = ['address', 'expression'];

/** What a plugin's author may import, with what that stands on. */
const PLUGIN_CONTRACT = ['plugin', 'resources', ...LEAVES, 'errors'];

/**
 * A room (path below `src/`, the longest match wins) → the rooms that it may import from.
 * A room always may import from itself; a room's name covers the rooms inside it.
 */
export const LAYERS: Readonly<Record<string, readonly string[]>> = {
  errors: [],
  address: ['errors'],
  expression: ['address', 'errors'],
  resources: [...LEAVES, 'errors'],
  plugin: ['resources', ...LEAVES, 'errors'],
  plugins: PLUGIN_CONTRACT,
  'plugin-files': ['plugins', ...PLUGIN_CONTRACT, 'observability', 'settings'],
  'plugin-kit': ['snapshot', 'proxy', 'plugins', 'plugin-files', ...PLUGIN_CONTRACT],
  'plugin-commands': ['plugins', ...PLUGIN_CONTRACT, 'settings'],
  settings: ['resources', ...LEAVES, 'errors'],
  store: ['resources', ...LEAVES, 'errors'],
  secrets: PLUGIN_CONTRACT,
  observability: [...PLUGIN_CONTRACT, 'settings'],
  functions: PLUGIN_CONTRACT,
  'proxy/http1': PLUGIN_CONTRACT,
  'proxy/http2': ['proxy/http1', ...PLUGIN_CONTRACT],
  'proxy/router': PLUGIN_CONTRACT,
  proxy: ['plugins', ...PLUGIN_CONTRACT, 'secrets', 'observability', 'settings'],
  snapshot: ['proxy', 'plugins', ...PLUGIN_CONTRACT, 'store', 'secrets', 'observability', 'settings'],
  admin: ['plugins', ...PLUGIN_CONTRACT, 'store', 'snapshot', 'secrets', 'observability', 'settings'],
  history: ['admin', ...PLUGIN_CONTRACT, 'store', 'settings'],
  explain: ['snapshot', 'proxy', 'plugins', ...PLUGIN_CONTRACT, 'observability', 'settings'],
  control: ['explain', 'proxy', 'plugins', ...PLUGIN_CONTRACT, 'store', 'observability', 'settings'],
  runners: [...PLUGIN_CONTRACT, 'observability', 'settings'],
  kubernetes: [...PLUGIN_CONTRACT, 'store', 'observability', 'settings'],
};

const ROOMS = Object.keys(LAYERS).sort((a, b) => b.length - a.length);

/** The room of a path below `src/`; undefined for a file directly in `src/` (the wiring), null for an unknown folder. */
function roomOf(below: string): string | null | undefined {
  if (!below.includes('/')) return undefined;
  return ROOMS.find((room) => below.startsWith(`${room}/`)) ?? null;
}

/**
 * Judges one import. Both paths are relative to `src/`, with `/` (`proxy/http1/parse-head.ts`).
 * Returns why the import is forbidden, or undefined. Tests beside the code are held to the same rule;
 * what crosses rooms belongs under `test/`, which is not.
 */
export function judgeImport(from: string, to: string): string | undefined {
  const source = roomOf(from);
  if (source === undefined) return undefined;
  if (source === null) return `src/${from} is in a folder that LAYERS in tools/import-boundaries.ts does not name`;
  const target = roomOf(to);
  // What the tests of every room share stands on nothing.
  if (to === 'random.fixture.ts') return undefined;
  if (target === undefined) return `src/${source} must not import the wiring (src/${to})`;
  if (target === null) return `src/${to} is in a folder that LAYERS in tools/import-boundaries.ts does not name`;
  if (source === 'plugins' && target === 'plugins') return judgePluginImport(from, to);
  if (source === target) return undefined;
  const allowed = LAYERS[source] ?? [];
  if (allowed.some((room) => target === room || target.startsWith(`${room}/`))) return undefined;
  // A room may use the rooms inside it: proxy → proxy/router.
  if (target.startsWith(`${source}/`)) return undefined;
  return `src/${source} must not import src/${target}: it may import ${allowed.join(', ') || 'nothing of the gateway'}`;
}

/** One plugin's folder must not reach into another's; the list in `src/plugins/` reaches into all. */
function judgePluginImport(from: string, to: string): string | undefined {
  const [, fromPlugin, ...fromRest] = from.split('/');
  const [, toPlugin, ...toRest] = to.split('/');
  const fromIsFolder = fromRest.length > 0;
  if (!fromIsFolder || (fromPlugin === toPlugin && toRest.length > 0)) return undefined;
  return `a plugin must not import src/${to}: share code through src/plugin or a leaf`;
}

export const importBoundaries: Rule.RuleModule = {
  meta: { type: 'problem', docs: { description: 'imports inside src/ point one way' }, schema: [] },
  create(context) {
    const root = path.join(context.cwd, 'src');
    const from = path.relative(root, context.filename).split(path.sep).join('/');
    const check = (node: Rule.Node, specifier: unknown): void => {
      if (typeof specifier !== 'string' || !specifier.startsWith('.')) return;
      const to = path.relative(root, path.resolve(path.dirname(context.filename), specifier));
      const below = to.split(path.sep).join('/');
      if (below.startsWith('../')) {
        context.report({ node, message: `src/ must not import from outside src/ (${specifier})` });
        return;
      }
      const message = judgeImport(from, below);
      if (message !== undefined) context.report({ node, message });
    };
    return {
      ImportDeclaration: (node) => {
        check(node, node.source.value);
      },
      ExportNamedDeclaration: (node) => {
        check(node, node.source?.value);
      },
      ExportAllDeclaration: (node) => {
        check(node, node.source.value);
      },
      ImportExpression: (node) => {
        check(node, node.source.type === 'Literal' ? node.source.value : undefined);
      },
    };
  },
};
