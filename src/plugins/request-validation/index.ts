/**
 * request-validation: headers and body must conform to JSON Schemas before a request goes on. Runs in `rewrite`. A body is read as
 * a form where its media type says so, however that is spelt, and as JSON in every other case (CVE-2025-32442, CVE-2026-25223).
 * APISIX: a body with one key twice in one object is refused: backends differ in which one counts (CVE-2022-25757).
 * APISIX: the body goes upstream byte for byte; APISIX writes it anew, with the schema's defaults and its own numbers.
 * APISIX: `max_req_body_size` bounds what is read; a longer body is 413.
 */
import { isUtf8 } from 'node:buffer';
import { ConfigError, GatewayError } from '../../errors/gateway-error.ts';
import type { Exchange } from '../../plugin/exchange.ts';
import { definePlugin, type Reply } from '../../plugin/plugin.ts';
import { parseStrictJson } from '../../plugin/strict-json.ts';
import type { JsonSchema } from '../../resources/resource.ts';
import { compileGivenSchema, type Validate } from '../../resources/validator.ts';
import { parseForm } from './form.ts';

interface Config {
  header_schema?: JsonSchema;
  body_schema?: JsonSchema;
  rejected_code: number;
  rejected_msg?: string;
  max_req_body_size: number;
}

interface State {
  readonly headers: Validate | undefined;
  /** Names as the schema spells them: a request's may have other case. */
  readonly headerNames: readonly string[];
  readonly body: Validate | undefined;
  readonly status: number;
  readonly message: string | undefined;
  readonly maxBodyBytes: number;
}

export const requestValidation = definePlugin<Config, State>({
  name: 'request-validation',
  priority: 2800,
  version: '0.1',
  schema: {
    type: 'object',
    properties: {
      header_schema: { type: 'object', description: 'JSON Schema of the headers, an object of texts.' },
      body_schema: { type: 'object', description: 'JSON Schema of the body: JSON, or a form as an object of texts.' },
      rejected_code: { type: 'integer', minimum: 200, maximum: 599, default: 400, description: 'Status of a refusal.' },
      rejected_msg: {
        type: 'string',
        minLength: 1,
        maxLength: 256,
        description: 'Body of a refusal; what does not conform if not given.',
      },
      max_req_body_size: {
        type: 'integer',
        minimum: 1,
        default: 67_108_864,
        description: 'Bytes of a body that is validated; a longer one is 413.',
      },
    },
    anyOf: [{ required: ['header_schema'] }, { required: ['body_schema'] }],
  },

  compile(config) {
    return {
      headers: compileField(config.header_schema, 'header_schema'),
      headerNames: namesIn(config.header_schema),
      body: compileField(config.body_schema, 'body_schema'),
      status: config.rejected_code,
      message: config.rejected_msg,
      maxBodyBytes: config.max_req_body_size,
    };
  },

  rewrite(state, exchange) {
    const problem = state.headers?.(headersOf(state, exchange));
    if (problem !== undefined) return refuse(state, 'headers', problem);
    // Explain has no body to show.
    return state.body === undefined || exchange.dryRun ? undefined : checkBody(state, state.body, exchange);
  },
});

async function checkBody(state: State, validate: Validate, exchange: Exchange): Promise<Reply | undefined> {
  let bytes;
  try {
    bytes = await exchange.body(state.maxBodyBytes);
  } catch (error) {
    if (!(error instanceof GatewayError) || error.status !== 413) throw error;
    return { status: 413, body: { error_msg: error.publicMessage }, reason: 'request-validation.body_too_large' };
  }
  if (bytes.length === 0) return refuse(state, 'body', 'the request has no body');
  if (!isUtf8(bytes)) return refuse(state, 'body', 'the body is not UTF-8');
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  const parsed = isForm(exchange.headers.getAll('content-type')) ? { value: parseForm(text) } : parseStrictJson(text);
  const problem = 'problem' in parsed ? `the body ${parsed.problem}` : validate(parsed.value);
  return problem === undefined ? undefined : refuse(state, 'body', problem);
}

/** RFC 9110 §8.3.1: type and subtype have no case, parameters do not matter. */
function isForm(fields: readonly string[]): boolean {
  const [field = ''] = fields;
  return fields.length === 1 && /^\s*application\/x-www-form-urlencoded\s*(?:;|$)/i.test(field);
}

/** By the schema's spelling where it names them, in lower case otherwise; several of one name are a list. */
function headersOf({ headerNames }: State, exchange: Exchange): Record<string, string | string[]> {
  // `__proto__` is a name as any other.
  const headers = Object.create(null) as Record<string, string | string[]>;
  for (const [name] of exchange.headers.entries()) {
    const lower = name.toLowerCase();
    const values = exchange.headers.getAll(lower);
    const [value = ''] = values;
    const spelt = headerNames.filter((known) => known.toLowerCase() === lower);
    for (const key of spelt.length === 0 ? [lower] : spelt) headers[key] = values.length > 1 ? values : value;
  }
  return headers;
}

function namesIn(schema: JsonSchema | undefined): string[] {
  const { properties, required } = schema ?? {};
  const named = typeof properties === 'object' && properties !== null ? Object.keys(properties) : [];
  const needed = Array.isArray(required) ? required.filter((name) => typeof name === 'string') : [];
  return [...new Set([...named, ...needed])];
}

function compileField(schema: JsonSchema | undefined, field: string): Validate | undefined {
  if (schema === undefined) return undefined;
  try {
    return compileGivenSchema(schema);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConfigError(`${field} is no JSON Schema: ${reason}`, { cause: error });
  }
}

function refuse({ status, message }: State, part: 'headers' | 'body', problem: string): Reply {
  return { status, body: message ?? problem, reason: `request-validation.${part}` };
}
