/**
 * The text of a standalone resource file (`apisix.yaml` or `apisix.json`) → keys and values as a store holds them.
 * Checks the file's shape only: sections, lists, ids. What a route or a plugin may say is checked by the layers above.
 */
import { resourceKinds, type Json } from '../resources/resource.ts';
import { parseJsonText, parseYamlText, type ResourceDocument } from './resource-document.ts';
import { StoreError } from './store.ts';

/** Replaces the references to environment variables in one text; throws, naming the variable, where one is not set. */
export type Substitute = (text: string) => string | number | boolean;

export interface ResourceFile {
  /** Key → JSON text. */
  readonly values: ReadonlyMap<string, string>;
  /** What is in the file and has no effect, a sentence each. */
  readonly warnings: readonly string[];
}

type Item = { [key: string]: Json };

/** Credentials are items of `consumers`, with `NAME/credentials/ID` as their id. */
const SECTIONS = new Set<string>(resourceKinds.filter((kind) => kind !== 'credentials'));

/** Sections that APISIX serves and this gateway does not, and why. */
const NOT_SERVED = new Map([
  ['plugins', 'the list of plugins is read from the settings (config.yaml) only'],
  ['stream_routes', 'only HTTP is served'],
  ['stream_plugins', 'only HTTP is served'],
]);

/** `file` is named in messages; `.json` is read as JSON, everything else as YAML. Throws StoreError. */
export function parseResourceFile(file: string, text: string, substitute: Substitute): ResourceFile {
  const document = file.endsWith('.json') ? parseJsonText(file, text) : parseYamlText(file, text);
  const root = text.includes('${{') ? substituteAll(document.root, substitute, file) : document.root;
  if (!isItem(root)) {
    throw new StoreError(`${file}: expected a mapping of resource lists (routes, upstreams, …) at the top`);
  }
  const values = new Map<string, string>();
  const warnings: string[] = [];
  for (const [section, items] of Object.entries(root)) {
    if (SECTIONS.has(section)) readSection(section, items, document, values, file);
    else
      warnings.push(`${file}: \`${section}\` has no effect: ${NOT_SERVED.get(section) ?? 'there is no such section'}`);
  }
  return { values, warnings };
}

function readSection(
  section: string,
  items: Json | undefined,
  document: ResourceDocument,
  values: Map<string, string>,
  file: string,
): void {
  if (items === null || items === undefined) return;
  if (!Array.isArray(items)) throw new StoreError(`${file}: \`${section}\` is not a list`);
  const seenAt = new Map<string, number>();
  const place = (index: number): string => {
    const line = document.lineOf(section, index);
    return `${section}[${index}]${line === undefined ? '' : ` (line ${line})`}`;
  };
  for (const [index, item] of items.entries()) {
    if (!isItem(item)) throw new StoreError(`${file}: ${place(index)} is not a mapping`);
    const id = idOf(section, item, index);
    if (id === undefined) throw new StoreError(`${file}: ${place(index)}: the id is neither a text nor a whole number`);
    const first = seenAt.get(id);
    if (first !== undefined) {
      // APISIX: takes the later one, and the former is lost without a word.
      throw new StoreError(`${file}: ${place(index)} has the id "${id}", and so has ${place(first)}`);
    }
    seenAt.set(id, index);
    values.set(`${section}/${id}`, JSON.stringify(withId(section, item, id)));
  }
}

/** The id as APISIX finds it: `id`, a consumer's `username`, else the place in the list (`arr_1` is the first). */
function idOf(section: string, item: Item, index: number): string | undefined {
  const { id, username } = item;
  const isCredential = typeof id === 'string' && id.includes('/credentials/');
  const given = section === 'consumers' && !isCredential ? (username ?? id) : id;
  if (given === undefined || given === null) return `arr_${index + 1}`;
  if (typeof given === 'string') return given === '' ? undefined : given;
  return typeof given === 'number' && Number.isSafeInteger(given) ? String(given) : undefined;
}

/** The value as the Admin API would have stored it. */
function withId(section: string, item: Item, id: string): Item {
  // A plugin's metadata is validated by the plugin's schema, and a consumer is known by its username.
  if (section === 'plugin_metadata') {
    const { id: _name, ...metadata } = item;
    return metadata;
  }
  if (section === 'consumers' && !id.includes('/')) return item;
  // `jack/credentials/c1`, `vault/1`: what stands before the last segment is the key's.
  return { ...item, id: id.slice(id.lastIndexOf('/') + 1) };
}

/** A copy with every text and every key substituted. */
function substituteAll(value: Json, substitute: Substitute, path: string): Json {
  const apply = (text: string): string | number | boolean => {
    try {
      return substitute(text);
    } catch (error) {
      throw new StoreError(`${path}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  };
  if (typeof value === 'string') return apply(value);
  if (Array.isArray(value)) return value.map((item, index) => substituteAll(item, substitute, `${path}[${index}]`));
  if (!isItem(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      String(apply(key)),
      substituteAll(item, substitute, `${path}: ${key}`),
    ]),
  );
}

function isItem(value: Json | undefined): value is Item {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
