/**
 * Translates an Ajv error into the wording of api7/jsonschema, which is what users of APISIX's Admin API know.
 * A value is repeated only where that library repeats it, and never one that the schema marks as secret.
 */
import type { ErrorObject } from 'ajv';
import type { Json, JsonSchema } from './resource.ts';
import { isSchema } from './schema-order.ts';

/** How Lua names the type of a JSON value. */
export function luaType(value: unknown): string {
  if (value === null) return 'userdata';
  if (typeof value === 'object') return 'table';
  return typeof value;
}

/** Lua's %q: in double quotes, with backslash, quote and newline escaped. */
function quote(text: string): string {
  return `"${text.replace(/["\\\n]/g, '\\$&')}"`;
}

/** `root`: the ordered schema that failed; `synthetic`: its `allOf`s that only order. `secret`: dotted paths that are never repeated. */
export function schemaMessage(
  error: ErrorObject,
  root: unknown,
  synthetic: WeakSet<object>,
  secret: ReadonlySet<string>,
): string {
  const { prefix, hidden } = where(error, root, synthetic, secret);
  return prefix + reason(error, hidden);
}

/** Walks the schema along the error's path: each step that descends into the value adds the words for it. */
function where(
  error: ErrorObject,
  root: unknown,
  synthetic: WeakSet<object>,
  secret: ReadonlySet<string>,
): { prefix: string; hidden: boolean } {
  const schemaPath = segments(error.schemaPath.slice(1)).map(decodeURIComponent);
  const valuePath = segments(error.instancePath);
  const names: string[] = [];
  let depth = 0;
  let prefix = '';
  let hidden = false;
  let schema: unknown = root;
  // The last segment is the keyword that failed.
  for (let i = 0; i < schemaPath.length - 1; i++) {
    const keyword = schemaPath[i] ?? '';
    const holder = schema;
    schema = child(schema, keyword);
    if (keyword === 'properties') {
      const name = schemaPath[++i] ?? '';
      schema = child(schema, name);
      depth++;
      names.push(name);
      prefix += `property "${name}" validation failed: `;
    } else if (keyword === 'patternProperties') {
      const pattern = schemaPath[++i] ?? '';
      schema = child(schema, pattern);
      const name = valuePath[depth++] ?? '';
      names.push(name);
      prefix += `failed to validate ${name} (matching "${pattern}"): `;
    } else if (keyword === 'additionalProperties') {
      const name = valuePath[depth++] ?? '';
      names.push(name);
      prefix += `failed to validate additional property ${name}: `;
    } else if (keyword === 'items' || keyword === 'additionalItems') {
      const index = valuePath[depth++] ?? '0';
      if (Array.isArray(schema)) schema = child(schema, schemaPath[++i] ?? '');
      const what = keyword === 'items' ? 'item' : 'additional item';
      prefix += `failed to validate ${what} ${String(Number(index) + 1)}: `;
    } else if (keyword === 'allOf') {
      const index = schemaPath[++i] ?? '0';
      schema = child(schema, index);
      if (!isSchema(holder) || !synthetic.has(holder)) prefix += `allOf ${String(Number(index) + 1)} failed: `;
    } else if (keyword === 'dependencies') {
      const name = schemaPath[++i] ?? '';
      schema = child(schema, name);
      prefix += `failed to validate dependent schema for "${name}": `;
    }
    hidden ||= secret.has(names.join('.')) || isSecret(schema) || isSecret(holder);
  }
  return { prefix, hidden };
}

function segments(pointer: string): string[] {
  if (pointer === '') return [];
  return pointer
    .slice(1)
    .split('/')
    .map((segment) => segment.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function child(holder: unknown, key: string): unknown {
  return typeof holder === 'object' && holder !== null ? (holder as Record<string, unknown>)[key] : undefined;
}

function isSecret(schema: unknown): boolean {
  return isSchema(schema) && schema['writeOnly'] === true;
}

function reason(error: ErrorObject, hidden: boolean): string {
  const schema: JsonSchema = isSchema(error.parentSchema) ? error.parentSchema : {};
  const data = error.data as Json;
  const params = error.params as Record<string, unknown>;
  const shown = hidden ? '***' : text(data);
  const limit = text(schema[error.keyword]);
  switch (error.keyword) {
    case 'type': {
      const expected = schema['type'];
      const names = Array.isArray(expected) ? `one of ${expected.join(', ')}` : text(expected);
      return `wrong type: expected ${names}, got ${luaType(data)}`;
    }
    case 'required':
      return `property "${text(params['missingProperty'])}" is required`;
    case 'dependencies':
      return `property "${text(params['missingProperty'])}" is required when "${text(params['property'])}" is set`;
    case 'additionalProperties':
      return `additional properties forbidden, found ${text(params['additionalProperty'])}`;
    case 'minProperties':
      return `expect object to have at least ${limit} properties`;
    case 'maxProperties':
      return `expect object to have at most ${limit} properties`;
    case 'minItems':
      return `expect array to have at least ${limit} items`;
    case 'maxItems':
      return `expect array to have at most ${limit} items`;
    case 'additionalItems':
      return 'found unexpected extra items in array';
    case 'uniqueItems': {
      const pair = [Number(params['i']) + 1, Number(params['j']) + 1].sort((a, b) => a - b);
      return `expected unique items but items ${pair.join(' and ')} are equal`;
    }
    case 'contains':
      return 'failed to check contains';
    case 'minLength':
      return `string too short, expected at least ${limit}, got ${length(data)}`;
    case 'maxLength':
      return `string too long, expected at most ${limit}, got ${length(data)}`;
    case 'pattern':
      return `failed to match pattern ${quote(limit)} with ${quote(shown)}`;
    case 'minimum':
      return `expected ${shown} to be greater than ${limit}`;
    case 'exclusiveMinimum':
      return `expected ${shown} to be strictly greater than ${limit}`;
    case 'maximum':
      return `expected ${shown} to be smaller than ${limit}`;
    case 'exclusiveMaximum':
      return `expected ${shown} to be strictly smaller than ${limit}`;
    case 'multipleOf':
      return `expected ${shown} to be a multiple of ${limit}`;
    case 'enum':
      return 'matches none of the enum values';
    case 'const':
      return 'failed to check const value';
    case 'anyOf':
      return `object matches none of the required${requiredSets(schema['anyOf'])}`;
    case 'oneOf': {
      const passing = params['passingSchemas'];
      if (!Array.isArray(passing)) return 'value should match only one schema, but matches none';
      const which = passing.map((index) => String(Number(index) + 1)).join(' and ');
      return `value should match only one schema, but matches both schemas ${which}`;
    }
    case 'not':
      return "value wasn't supposed to match schema";
    case 'format':
      return `expect valid ${limit} address but got: ${shown}`;
    case 'false schema':
      return 'expect false always';
    default:
      return error.message ?? `failed to check ${error.keyword}`;
  }
}

function text(value: unknown): string {
  if (value === undefined) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** In characters, as the limits count. */
function length(value: Json): string {
  return String(Array.from(typeof value === 'string' ? value : '').length);
}

function requiredSets(branches: unknown): string {
  if (!Array.isArray(branches)) return '';
  const sets = branches.flatMap((branch: unknown) => {
    const required = isSchema(branch) ? branch['required'] : undefined;
    return Array.isArray(required) ? [JSON.stringify(required)] : [];
  });
  return sets.length > 0 ? `: ${sets.join(' or ')}` : '';
}
