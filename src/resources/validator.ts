/**
 * JSON Schema validation of resources and plugin configuration, when they are written; never on the request path.
 * Ajv does the checking; messages are worded as api7/jsonschema words them (schema-message.ts).
 */
import { isIPv4, isIPv6 } from 'node:net';
import { Ajv, type Options } from 'ajv';
import type { JsonSchema } from './resource.ts';
import { schemaMessage } from './schema-message.ts';
import { orderSchema } from './schema-order.ts';

/** Returns the first error, or undefined. Writes the schema's defaults into `value`. */
export type Validate = (value: unknown) => string | undefined;

const options: Options = {
  strict: false,
  useDefaults: true,
  verbose: true,
  validateSchema: false,
  addUsedSchema: false,
  // APISIX's patterns are PCRE: some escapes are not allowed by the `u` flag.
  unicodeRegExp: false,
  logger: false,
  formats: {
    ipv4: isIPv4,
    ipv6: isIPv6,
    email: /^[A-Za-z0-9_\-.]+@[A-Za-z0-9_\-.]+\.[A-Za-z]{2,}$/,
    hostname: /^[a-zA-Z0-9\-.]+$/,
  },
};

const compiled = new WeakMap<JsonSchema, Validate>();

/**
 * Compiles a schema, once for each schema object: it must not change afterwards. What was compiled goes with the schema.
 * A field is secret where its schema says `writeOnly: true`, or the root's `encrypt_fields` (APISIX's list of dotted
 * paths) names it: its value is then never part of a message.
 */
export function compileSchema(schema: JsonSchema): Validate {
  let validate = compiled.get(schema);
  if (validate === undefined) compiled.set(schema, (validate = compileGivenSchema(schema)));
  return validate;
}

/** The same for a schema that comes with configuration, which may be given again in another object. Throws where it is no schema. */
export function compileGivenSchema(schema: JsonSchema): Validate {
  // One that is used for several keeps all of them: plugin files and configurations bring schemas again and again.
  const compiler = new Ajv(options);
  const synthetic = new WeakSet();
  const ordered = orderSchema(withoutIdentifier(schema), synthetic);
  const secret = new Set(secretFields(schema));
  const check = compiler.compile(ordered as JsonSchema);
  return (value) => {
    if (check(value)) return undefined;
    // The error of an `anyOf` and the like comes after those of its branches: the last is the outermost.
    const error = check.errors?.at(-1);
    return error ? schemaMessage(error, ordered, synthetic, secret) : 'invalid value';
  };
}

/** Dotted paths of the root's `encrypt_fields`. */
export function secretFields(schema: JsonSchema): string[] {
  const fields = schema['encrypt_fields'];
  return Array.isArray(fields) ? fields.filter((field) => typeof field === 'string') : [];
}

/** `$id` and `$schema` would register the schema in Ajv or make it look for another. */
function withoutIdentifier(schema: JsonSchema): JsonSchema {
  const { $id: _id, $schema: _schema, ...rest } = schema;
  return rest;
}
