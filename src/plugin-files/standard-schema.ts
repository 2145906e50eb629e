/**
 * Schemas of other libraries (standardschema.dev): `~standard.validate` judges, and the library's JSON Schema, where it offers one,
 * is what the Admin API shows and checks first. Never on the request path: a configuration is validated when it is compiled.
 */
import { ConfigError } from '../errors/gateway-error.ts';
import type { AnyPlugin } from '../plugin/plugin.ts';
import type { StandardSchema } from '../plugin/schema-types.ts';
import type { JsonSchema } from '../resources/resource.ts';

const anything: JsonSchema = { type: 'object' };

export function isStandardSchema(value: unknown): value is StandardSchema {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false;
  const standard = (value as Partial<StandardSchema>)['~standard'];
  return typeof standard?.validate === 'function';
}

/** The plugin with JSON Schemas alone; what the library says of a configuration is said by compile. */
export function withStandardSchemas(plugin: AnyPlugin): AnyPlugin {
  const { schema, consumerSchema, metadataSchema, credential } = plugin;
  const changed: { -readonly [K in keyof AnyPlugin]?: AnyPlugin[K] } = {};
  if (isStandardSchema(schema)) {
    changed.schema = jsonSchemaOf(schema);
    changed.compile = (config: object, deps) => plugin.compile(validate(schema, config), deps) as unknown;
    if (plugin.nested !== undefined)
      changed.nested = (config: object) => plugin.nested?.(validate(schema, config)) ?? [];
  }
  if (isStandardSchema(consumerSchema)) {
    changed.consumerSchema = jsonSchemaOf(consumerSchema);
    if (credential !== undefined)
      changed.credential = {
        ...credential,
        compile: (config: object) => credential.compile(validate(consumerSchema, config)),
      };
  }
  if (isStandardSchema(metadataSchema)) changed.metadataSchema = jsonSchemaOf(metadataSchema);
  return { ...plugin, ...changed };
}

function jsonSchemaOf(schema: StandardSchema): JsonSchema {
  const { jsonSchema } = schema['~standard'];
  try {
    const shown = jsonSchema?.input({ target: 'draft-07' });
    return typeof shown === 'object' ? shown : anything;
  } catch {
    // Some types of the library have no JSON Schema; `validate` still judges them.
    return anything;
  }
}

/** Throws ConfigError that names the field. */
function validate(schema: StandardSchema, config: object): never {
  // `_meta` is the gateway's.
  const { _meta, ...own } = config as Record<string, unknown>;
  const result = schema['~standard'].validate(own);
  if (result instanceof Promise)
    throw new ConfigError('the schema validates asynchronously: configuration cannot wait');
  if (result.issues === undefined) return result.value as never;
  const [issue] = result.issues;
  const path = (issue?.path ?? [])
    .map((step) => `property "${String(typeof step === 'object' ? step.key : step)}" validation failed: `)
    .join('');
  throw new ConfigError(`${path}${issue?.message ?? 'invalid value'}`);
}
