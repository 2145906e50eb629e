/**
 * Writes docs/plugins/: one page a built-in plugin, from its schema and the header of its file, and a list of all.
 * `node tools/plugin-pages.ts` after a change; a test holds the pages to the code.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { AnyPlugin } from '../src/plugin/plugin.ts';
import { builtInPlugins } from '../src/plugins/registry.ts';
import type { JsonSchema } from '../src/resources/resource.ts';

const root = path.dirname(import.meta.dirname);
export const pagesFolder = path.join(root, 'docs', 'plugins');

/** Name of a plugin's handler → what APISIX calls the phase. */
const phases = [
  ['rewrite', 'rewrite'],
  ['access', 'access'],
  ['beforeProxy', 'before_proxy'],
  ['upstreamResponse', 'upstream_response'],
  ['headerFilter', 'header_filter'],
  ['bodyFilter', 'body_filter'],
  ['log', 'log'],
] as const;

/** File name → text. */
export function renderPages(): Map<string, string> {
  const pages = new Map(builtInPlugins.map((plugin) => [`${plugin.name}.md`, renderPage(plugin)]));
  return pages.set('README.md', renderList());
}

function renderList(): string {
  const rows = builtInPlugins.map((plugin) => {
    const [summary = ''] = headerOf(plugin).about.split(/(?<=\.)\s/);
    return [`[${plugin.name}](${plugin.name}.md)`, String(plugin.priority), phasesOf(plugin), summary];
  });
  return `# Plugins\n\nIn the order they run.\n\n${table(['Plugin', 'Priority', 'Phases', 'What it does'], rows)}`;
}

function renderPage(plugin: AnyPlugin): string {
  const { about, differences } = headerOf(plugin);
  const parts = [`# ${plugin.name}`, about];
  if (differences.length > 0) parts.push('## Unlike APISIX', differences.map((line) => `- ${line}`).join('\n'));
  parts.push(
    `Priority ${String(plugin.priority)}; phases: ${phasesOf(plugin)}.`,
    '## Configuration',
    attributes(plugin.schema),
  );
  if (plugin.consumerSchema !== undefined) {
    parts.push('## On a consumer or credential', attributes(plugin.consumerSchema), expiry);
  }
  return `${parts.map((part) => part.trimEnd()).join('\n\n')}\n`;
}

const expiry =
  'A credential may have `expires_at` beside `plugins`, in seconds since 1970: from then on it lets nobody in, and the log says ' +
  'that it has expired. Clients are told no more than of an unknown one.';

function phasesOf(plugin: AnyPlugin): string {
  return phases
    .filter(([handler]) => plugin[handler] !== undefined)
    .map(([, phase]) => `\`${phase}\``)
    .join(', ');
}

/** The comment at the top of the plugin's file, without its name; each `APISIX:` sentence is a difference. */
function headerOf(plugin: AnyPlugin): { about: string; differences: string[] } {
  const source = readFileSync(path.join(root, 'src', 'plugins', plugin.name, 'index.ts'), 'utf8');
  const comment = /^\/\*\*\n([\s\S]*?)\n \*\//.exec(source)?.[1] ?? '';
  const text = comment.replaceAll(/^ \* ?/gm, '').replaceAll('\n', ' ');
  const [about = '', ...differences] = text.split(/\s*APISIX: /);
  const own = about.replace(new RegExp(`^${plugin.name}: `), '');
  return { about: own.charAt(0).toUpperCase() + own.slice(1), differences: differences.map((line) => capital(line)) };
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function attributes(schema: JsonSchema): string {
  const rows = fields(schema, '');
  return rows.length === 0 ? 'None.' : table(['Name', 'Type', 'Default', 'Values', 'Description'], rows);
}

/** One row a field; nested ones under a dotted name, members of a list under `name[]`. */
function fields(schema: JsonSchema, prefix: string): string[][] {
  const required = new Set(listOf(schema['required']));
  return Object.entries(asSchema(schema['properties']) ?? {}).flatMap(([name, value]) => {
    const field = asSchema(value) ?? {};
    const row = [
      `\`${prefix}${name}\`${required.has(name) ? ' (required)' : ''}`,
      typeOf(field),
      'default' in field && typeof field['default'] !== 'object' ? `\`${JSON.stringify(field['default'])}\`` : '',
      valuesOf(field),
      typeof field['description'] === 'string' ? field['description'] : '',
    ];
    const inner = [field, ...branchesOf(field)].flatMap((branch) => fields(branch, `${prefix}${name}.`));
    return [row, ...inner, ...fields(asSchema(field['items']) ?? {}, `${prefix}${name}[].`)];
  });
}

function typeOf(field: JsonSchema): string {
  const items = asSchema(field['items']);
  if (items !== undefined) return `list of ${typeOf(items)}`;
  if (typeof field['type'] === 'string') return field['type'];
  return [...new Set(branchesOf(field).map(typeOf))].join(' or ');
}

function valuesOf(field: JsonSchema): string {
  const choices = listOf(field['enum'] ?? asSchema(field['items'])?.['enum']);
  if (choices.length > 0) return choices.map((choice) => `\`${String(choice)}\``).join(', ');
  const limits = ['minimum', 'maximum', 'minLength', 'maxLength', 'minItems', 'maxItems', 'pattern']
    .filter((limit) => field[limit] !== undefined)
    .map((limit) => `${limit} ${limit === 'pattern' ? `\`${String(field[limit])}\`` : String(field[limit])}`);
  return limits.join(', ');
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, head.map(() => '---'), ...rows].map(
    (cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`,
  );
  return `${lines.join('\n')}\n`;
}

function branchesOf(field: JsonSchema): JsonSchema[] {
  return listOf(field['anyOf'])
    .map(asSchema)
    .filter((branch) => branch !== undefined);
}

function asSchema(value: unknown): JsonSchema | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonSchema) : undefined;
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : [];
}

if (import.meta.main) {
  mkdirSync(pagesFolder, { recursive: true });
  for (const [name, text] of renderPages()) writeFileSync(path.join(pagesFolder, name), text);
}
