/**
 * Fills the defaults of a schema into a stored value. What the Admin API wrote has them already; a value from elsewhere (an
 * APISIX store, a file, an older version) may not, and a plugin's compile counts on them. Checks nothing.
 */
import type { JsonSchema } from './resource.ts';

export type FillDefaults = (value: unknown) => void;

const compiled = new WeakMap<JsonSchema, FillDefaults>();
const nothing: FillDefaults = () => undefined;

/** Follows `properties` and `items`; compiled once a schema. The returned function writes into the value it is given. */
export function defaultsOf(schema: JsonSchema): FillDefaults {
  let fill = compiled.get(schema);
  if (fill === undefined) compiled.set(schema, (fill = compileDefaults(schema)));
  return fill;
}

function compileDefaults(schema: JsonSchema): FillDefaults {
  const fillObject = compileProperties(schema['properties']);
  const { items } = schema;
  const fillItem = isObject(items) ? defaultsOf(items) : nothing;
  if (fillObject === nothing && fillItem === nothing) return nothing;
  return (value) => {
    if (Array.isArray(value)) value.forEach(fillItem);
    else fillObject(value);
  };
}

function compileProperties(properties: unknown): FillDefaults {
  if (!isObject(properties)) return nothing;
  const steps: { name: string; fallback: unknown; fill: FillDefaults }[] = [];
  for (const [name, schema] of Object.entries(properties)) {
    if (!isObject(schema)) continue;
    const fill = defaultsOf(schema);
    if (schema['default'] !== undefined || fill !== nothing) steps.push({ name, fallback: schema['default'], fill });
  }
  if (steps.length === 0) return nothing;
  return (value) => {
    if (!isObject(value)) return;
    for (const { name, fallback, fill } of steps) {
      if (value[name] === undefined && fallback !== undefined) value[name] = structuredClone(fallback);
      if (value[name] !== undefined) fill(value[name]);
    }
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
