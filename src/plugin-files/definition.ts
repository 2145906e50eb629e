/**
 * What a plugin's file exports by default → a plugin as the gateway's own are; everything wrong with it is said at once, in words
 * that help its author. Checked in one thread, once a version; read in every thread that runs it.
 */
import { Ajv } from 'ajv';
import type { AnyPlugin } from '../plugin/plugin.ts';
import type { JsonSchema } from '../resources/resource.ts';
import { compileSchema } from '../resources/validator.ts';
import { nearestWord } from '../settings/suggest.ts';
import { PluginFileError } from './bundle.ts';
import { isStandardSchema, withStandardSchemas } from './standard-schema.ts';

/** Of a plugin that does not say: how long a phase may take. */
export const defaultTimeoutMs = 10_000;

/** Every member that a plugin may have: functions, schemas, and the rest. */
const members: Readonly<Record<keyof AnyPlugin, 'function' | 'schema' | 'other'>> = {
  name: 'other',
  priority: 'other',
  version: 'other',
  type: 'other',
  decides: 'other',
  timeoutMs: 'other',
  replacesBuiltIn: 'other',
  credential: 'other',
  apis: 'other',
  schema: 'schema',
  consumerSchema: 'schema',
  metadataSchema: 'schema',
  nested: 'function',
  compile: 'function',
  dispose: 'function',
  rewrite: 'function',
  access: 'function',
  beforeProxy: 'function',
  upstreamResponse: 'function',
  headerFilter: 'function',
  bodyFilter: 'function',
  filtersBody: 'function',
  log: 'function',
};
const known = Object.keys(members);
const functions = known.filter((name) => members[name as keyof AnyPlugin] === 'function');
const schemas = known.filter((name) => members[name as keyof AnyPlugin] === 'schema');

/** What people from APISIX, Kong, Express and Fastify write. */
const otherNames: Readonly<Record<string, string>> = {
  onrequest: 'rewrite (authentication, rewriting) or access (restriction)',
  request: 'rewrite or access',
  handle: 'rewrite or access',
  handler: 'rewrite or access',
  filter: 'rewrite or access',
  prehandler: 'access',
  onresponse: 'headerFilter (the head) or log (after the response)',
  response: 'headerFilter or bodyFilter',
  onsend: 'bodyFilter',
  bodyreplace: 'bodyFilter',
  init: 'compile',
  setup: 'compile',
  checkschema: 'schema, and compile for what a schema cannot say',
  configschema: 'schema',
  confschema: 'schema',
  config: 'schema',
  destroy: 'dispose',
  close: 'dispose',
  timeout: 'timeoutMs',
};

/** Throws PluginFileError with all that is wrong. */
export function checkDefinition(value: unknown): void {
  if (value === undefined) throw new PluginFileError('it has no default export: export default definePlugin({ … })');
  if (typeof value !== 'object' || value === null)
    throw new PluginFileError(
      `its default export is no plugin but a ${typeof value}: export default definePlugin({ … })`,
    );
  const definition = value as Readonly<Record<string, unknown>>;
  const problems = [
    ...checkKeys(definition),
    ...checkFields(definition),
    ...checkFunctions(definition),
    ...schemas.flatMap((name) => checkSchema(name, definition[name])),
    ...checkKinds(definition),
  ];
  if (problems.length > 0) throw new PluginFileError(problems.join('; '));
}

/** What `checkDefinition` found good, as the gateway uses it. */
export function readDefinition(value: unknown): AnyPlugin {
  const plugin = value as AnyPlugin;
  return withStandardSchemas({
    ...plugin,
    timeoutMs: plugin.timeoutMs ?? defaultTimeoutMs,
    // Without compile, the configuration is the state.
    ...('compile' in plugin ? {} : { compile: (config: unknown) => config }),
  });
}

function checkKeys(definition: Readonly<Record<string, unknown>>): string[] {
  return Object.keys(definition)
    .filter((key) => !known.includes(key))
    .map((key) => {
      const plain = key.replaceAll(/[_-]/g, '').toLowerCase();
      const meant =
        known.find((name) => name.toLowerCase() === plain) ?? otherNames[plain] ?? nearestWord(key, new Set(known));
      return `${key} is no part of a plugin${meant === undefined ? '' : `: did you mean ${meant}?`}`;
    });
}

function* checkFields({
  name,
  priority,
  version,
  type,
  timeoutMs,
}: Readonly<Record<string, unknown>>): Iterable<string> {
  if (typeof name !== 'string' || !/^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$/.test(name))
    yield 'name: expected letters, digits, - _ and . (my-plugin)';
  if (typeof priority !== 'number' || !Number.isFinite(priority))
    yield 'priority: expected a number; higher runs earlier (key-auth has 2500, proxy-rewrite 1008)';
  if (version !== undefined && typeof version !== 'string') yield 'version: expected a string';
  if (type !== undefined && type !== 'auth') yield 'type: expected "auth", or nothing';
  if (timeoutMs !== undefined && (typeof timeoutMs !== 'number' || !(timeoutMs > 0) || timeoutMs > 2 ** 31 - 1))
    yield 'timeoutMs: expected milliseconds, more than 0';
}

function checkFunctions(definition: Readonly<Record<string, unknown>>): string[] {
  const wrong = functions.filter((key) => definition[key] !== undefined && typeof definition[key] !== 'function');
  return wrong.map((key) => `${key}: expected a function`);
}

/** Knows what a JSON Schema is; keeps nothing of those that it judged. */
let judge: Ajv | undefined;

function checkSchema(name: string, schema: unknown): string[] {
  if (schema === undefined) {
    return name === 'schema'
      ? ['schema is missing: a JSON Schema of the configuration ({ type: "object" } takes anything)']
      : [];
  }
  if (isStandardSchema(schema)) return [];
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema))
    return [`${name}: expected a JSON Schema or a Standard Schema (zod, valibot, arktype …)`];
  try {
    judge ??= new Ajv({ strict: false, unicodeRegExp: false, logger: false });
    const { $id: _id, $schema: _schema, ...rest } = schema as JsonSchema;
    if (judge.validateSchema(rest) !== true) {
      const [error] = judge.errors ?? [];
      return [`${name}${(error?.instancePath ?? '').replaceAll('/', '.')}: ${error?.message ?? 'no JSON Schema'}`];
    }
    compileSchema(schema as JsonSchema);
    return [];
  } catch (error) {
    return [`${name}: ${error instanceof Error ? error.message : String(error)}`];
  }
}

function* checkKinds({ type, credential, consumerSchema, apis }: Readonly<Record<string, unknown>>): Iterable<string> {
  if (type === 'auth' && consumerSchema === undefined)
    yield 'consumerSchema is missing: what a consumer of an auth plugin carries';
  if (type === 'auth' && typeof (credential as { compile?: unknown } | undefined)?.compile !== 'function')
    yield 'credential.compile is missing: how a consumer of an auth plugin is found';
  if (type !== 'auth' && credential !== undefined) yield 'credential belongs to a plugin of type "auth"';
  if (apis === undefined) return;
  if (!Array.isArray(apis)) {
    yield 'apis: expected a list';
    return;
  }
  for (const [index, api] of (apis as readonly Partial<Record<string, unknown>>[]).entries()) {
    const { methods, uri, handler } = api;
    if (!Array.isArray(methods) || typeof uri !== 'string' || !uri.startsWith('/') || typeof handler !== 'function')
      yield `apis[${index}]: expected { methods: ["GET"], uri: "/apisix/plugin/…", handler }`;
  }
}
