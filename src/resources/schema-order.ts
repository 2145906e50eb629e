/**
 * Rewrites a JSON Schema so that Ajv checks keywords in the order of api7/jsonschema, which decides the error a user
 * sees first: type and own properties, further properties, enum, then allOf, anyOf, oneOf, not, if.
 * Invariant: the rewritten schema accepts the same values and sets the same defaults.
 */
import type { JsonSchema } from './resource.ts';

/** Keywords that come after the plain ones, one step each. */
const steps: readonly (readonly string[])[] = [
  ['enum'],
  ['const'],
  ['allOf'],
  ['anyOf'],
  ['oneOf'],
  ['not'],
  ['if', 'then', 'else'],
];
const annotations = ['default', 'title', 'description', 'writeOnly', '$comment'];
/** Keyword → how its value holds further schemas. */
const schemaMaps = ['properties', 'patternProperties', 'definitions'];
const schemaLists = ['allOf', 'anyOf', 'oneOf'];
const schemaKeywords = [
  'additionalProperties',
  'additionalItems',
  'contains',
  'not',
  'if',
  'then',
  'else',
  'propertyNames',
];

export function isSchema(value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `synthetic` receives each `allOf` that stands for an order and not for the author's own. */
export function orderSchema(schema: unknown, synthetic: WeakSet<object>): unknown {
  if (!isSchema(schema)) return schema;
  const rest: JsonSchema = { ...schema };
  for (const key of schemaMaps) {
    const map = rest[key];
    if (isSchema(map)) {
      rest[key] = Object.fromEntries(Object.entries(map).map(([name, sub]) => [name, orderSchema(sub, synthetic)]));
    }
  }
  for (const key of schemaLists) {
    const list = rest[key];
    if (Array.isArray(list)) rest[key] = list.map((sub) => orderSchema(sub, synthetic));
  }
  for (const key of schemaKeywords) rest[key] = orderSchema(rest[key], synthetic);
  if (Array.isArray(rest['items'])) rest['items'] = rest['items'].map((sub) => orderSchema(sub, synthetic));
  else rest['items'] = orderSchema(rest['items'], synthetic);
  if (isSchema(rest['dependencies'])) {
    rest['dependencies'] = Object.fromEntries(
      Object.entries(rest['dependencies']).map(([name, sub]) => [name, orderSchema(sub, synthetic)]),
    );
  }
  for (const [key, value] of Object.entries(rest)) if (value === undefined) Reflect.deleteProperty(rest, key);
  return inSteps(rest, synthetic);
}

function inSteps(schema: JsonSchema, synthetic: WeakSet<object>): JsonSchema {
  const rest = { ...schema };
  const outer: JsonSchema = {};
  const later: JsonSchema[] = [];
  for (const key of annotations) move(rest, outer, [key]);
  if (
    rest['additionalProperties'] !== undefined &&
    (isSchema(rest['properties']) || isSchema(rest['patternProperties']))
  ) {
    // The names stay beside it, without their schemas: it depends on them.
    const step: JsonSchema = {};
    move(rest, step, ['additionalProperties']);
    for (const key of ['properties', 'patternProperties']) {
      const map = rest[key];
      if (isSchema(map)) step[key] = Object.fromEntries(Object.keys(map).map((name) => [name, true]));
    }
    later.push(step);
  }
  for (const keys of steps) {
    const step: JsonSchema = {};
    move(rest, step, keys);
    if (Object.keys(step).length > 0) later.push(step);
  }
  if (later.length === 0 || (later.length === 1 && Object.keys(rest).length === 0)) return { ...schema };
  outer['allOf'] = [rest, ...later];
  synthetic.add(outer);
  return outer;
}

function move(from: JsonSchema, to: JsonSchema, keys: readonly string[]): void {
  for (const key of keys) {
    if (!(key in from)) continue;
    to[key] = from[key];
    Reflect.deleteProperty(from, key);
  }
}
