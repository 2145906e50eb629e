/** A JSON Schema → a maker of values that fit its types. Compiled once a change; what the schema says beside types is not kept to. */
import { randomInt } from 'node:crypto';
import { ConfigError } from '../../errors/gateway-error.ts';
import type { Json } from '../../resources/resource.ts';

type Sample = () => Json;

const letters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';
/** Of schemas within schemas. */
const maxDepth = 64;

const makers: Readonly<Record<string, Sample>> = {
  string: () => Array.from({ length: randomInt(1, 11) }, () => letters.charAt(randomInt(letters.length))).join(''),
  number: () => randomInt(1_000_000) / 100,
  integer: () => randomInt(10_000),
  boolean: () => randomInt(2) === 1,
};

/** Throws ConfigError, naming the field, for a type that is none. */
export function compileSample(schema: unknown, path: string, depth = 0): Sample {
  if (typeof schema !== 'object' || schema === null) throw new ConfigError(`${path} is not an object`);
  if (depth > maxDepth) throw new ConfigError(`${path} is too deep`);
  const { type = 'object', example, properties, items } = schema as Record<string, unknown>;
  if (example !== undefined) return () => example as Json;
  const make = typeof type === 'string' && Object.hasOwn(makers, type) ? makers[type] : undefined;
  if (make !== undefined) return make;
  if (type === 'array') {
    const item = compileSample(items ?? { type: 'string' }, `${path}.items`, depth + 1);
    return () => Array.from({ length: randomInt(1, 4) }, item);
  }
  if (type !== 'object')
    throw new ConfigError(`${path}.type is none of string, number, integer, boolean, object, array`);
  const fields = Object.entries(properties ?? {}).map(
    ([name, inner]) => [name, compileSample(inner, `${path}.properties.${name}`, depth + 1)] as const,
  );
  return () => Object.fromEntries(fields.map(([name, field]) => [name, field()]));
}
