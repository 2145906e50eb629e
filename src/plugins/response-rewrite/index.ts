/**
 * response-rewrite: changes status, headers and body of a response, the gateway's own refusals included. Runs in
 * `header_filter`, and with `filters` in `body_filter`, where the whole body is held up to a bound.
 * With `vars`, only responses that match are touched.
 * APISIX: a body beyond the bound, or one that cannot be decoded, passes unchanged and is logged, where APISIX holds any
 * size in memory; a compressed body is compressed again, where APISIX sends it plain.
 */
import {
  brotliCompressSync,
  brotliDecompressSync,
  constants,
  deflateSync,
  gunzipSync,
  gzipSync,
  inflateSync,
} from 'node:zlib';
import { ConfigError } from '../../errors/gateway-error.ts';
import { compileExpression } from '../../expression/expression.ts';
import type { Exchange } from '../../plugin/exchange.ts';
import {
  compileHeaderOperations,
  fieldText,
  headerValuesSchema,
  type HeaderOperations,
  type HeaderOperationsConfig,
} from '../../plugin/header-operations.ts';
import { definePlugin, type PluginLog } from '../../plugin/plugin.ts';
import { compileVariable } from '../../plugin/variables.ts';
import type { Json } from '../../resources/resource.ts';
import { compileBodyFilter, type BodyFilter, type BodyFilterConfig } from './body-filter.ts';

interface Config {
  status_code?: number;
  body?: string;
  body_base64: boolean;
  headers?: HeaderOperationsConfig | Record<string, string | number>;
  filters?: BodyFilterConfig[];
  vars?: Json[];
}

interface State {
  readonly matches: ((exchange: Exchange) => boolean) | undefined;
  readonly status: number | undefined;
  readonly body: string | Uint8Array | undefined;
  readonly filters: readonly BodyFilter[];
  readonly headers: HeaderOperations | undefined;
  readonly log: PluginLog;
  /** Where a held body is kept: two configurations may act on one response. */
  readonly contextKey: string;
}

/** A body under way. */
interface HeldBody {
  pieces: Uint8Array[];
  bytes: number;
  readonly coding: Coding | undefined;
}

interface Coding {
  decode(body: Uint8Array): Uint8Array;
  encode(body: Uint8Array): Uint8Array;
}

/** Enough for any page; what is larger is a download, which nobody edits with a pattern. */
const maxHeldBytes = 16 * 1024 * 1024;
const empty = new Uint8Array();

const bound = { maxOutputLength: maxHeldBytes };
/** Level 4 of 11: about gzip's cost. */
const brotliLevel = { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } };
const codings = new Map<string, Coding>([
  ['gzip', { decode: (body) => gunzipSync(body, bound), encode: (body) => gzipSync(body) }],
  ['deflate', { decode: (body) => inflateSync(body, bound), encode: (body) => deflateSync(body) }],
  [
    'br',
    { decode: (body) => brotliDecompressSync(body, bound), encode: (body) => brotliCompressSync(body, brotliLevel) },
  ],
]);

export const responseRewrite = definePlugin<Config, State>({
  name: 'response-rewrite',
  priority: 899,
  version: '0.1',
  schema: {
    type: 'object',
    properties: {
      status_code: { type: 'integer', minimum: 200, maximum: 598, description: 'New status.' },
      body: { type: 'string', description: 'New body; not together with `filters`.' },
      body_base64: { type: 'boolean', default: false, description: '`body` is Base64 of the bytes to send.' },
      headers: {
        description: 'Response headers to change; may hold nginx variables.',
        anyOf: [
          {
            type: 'object',
            minProperties: 1,
            properties: {
              add: {
                type: 'array',
                minItems: 1,
                items: { type: 'string', pattern: '^[^:]+:.*\\S.*$' },
                description: 'Fields to add, each as `Name: value`.',
              },
              set: { ...headerValuesSchema, description: 'Set in place of what is there.' },
              remove: {
                type: 'array',
                minItems: 1,
                items: { type: 'string', pattern: '^[^:]+$' },
                description: 'Names to remove.',
              },
            },
            additionalProperties: false,
          },
          headerValuesSchema,
        ],
      },
      vars: {
        type: 'array',
        description: 'Expressions over nginx variables, `status` and others; only responses that match are changed.',
      },
      filters: {
        type: 'array',
        minItems: 1,
        description: 'Replacements in the body, in order.',
        items: {
          type: 'object',
          required: ['regex', 'replace'],
          properties: {
            regex: { type: 'string', minLength: 1, description: 'Regular expression over the bytes of the body.' },
            scope: { type: 'string', enum: ['once', 'global'], default: 'once', description: 'First match, or all.' },
            replace: { type: 'string', description: 'Text to put there; may hold `$1`.' },
            options: { type: 'string', default: 'jo', description: 'Options of ngx.re; `i`, `m`, `s` have an effect.' },
          },
        },
      },
    },
    dependencies: { body: { not: { required: ['filters'] } }, filters: { not: { required: ['body'] } } },
  },

  compile(config, { log, scope }) {
    return {
      matches: config.vars === undefined ? undefined : compileVars(config.vars),
      status: config.status_code,
      body: config.body_base64 ? decodeBase64(config.body ?? '') : config.body,
      filters: (config.filters ?? []).map(compileBodyFilter),
      headers: config.headers && compileHeaderOperations(config.headers),
      log,
      contextKey: `response-rewrite:${scope}`,
    };
  },

  filtersBody: (state) => state.filters.length > 0,

  headerFilter(state, exchange) {
    if (state.matches?.(exchange) === false) return;
    const { response } = exchange;
    if (state.status !== undefined) response.status = state.status;
    if (state.body !== undefined) response.replaceBody(state.body);
    if (state.body !== undefined || state.filters.length > 0) expectNewBody(state, exchange);
    if (state.headers !== undefined) changeHeaders(state.headers, exchange);
  },

  bodyFilter(state, exchange, chunk, last) {
    const held = exchange.context.get(state.contextKey) as HeldBody | undefined;
    if (held === undefined) return chunk;
    held.bytes += chunk.length;
    // The chunk's memory may be used again after this call.
    if (chunk.length > 0) held.pieces.push(Uint8Array.from(chunk));
    if (held.bytes > maxHeldBytes) {
      state.log.warn('the response body is too large for filters and passes unchanged', { bytes: held.bytes });
      exchange.context.delete(state.contextKey);
      return Buffer.concat(held.pieces);
    }
    if (!last) return empty;
    exchange.context.delete(state.contextKey);
    return filterBody(state, held);
  },
});

/** The body is about to change: what described the old one goes. */
function expectNewBody(state: State, exchange: Exchange): void {
  const { headers } = exchange.response;
  const name = (headers.get('content-encoding') ?? '').trim().toLowerCase();
  if (state.body === undefined) {
    const coding = codings.get(name);
    if (coding === undefined && name !== '' && name !== 'identity') {
      state.log.warn('filters cannot read the content encoding of the response', { encoding: name });
      return;
    }
    const held: HeldBody = { pieces: [], bytes: 0, coding };
    exchange.context.set(state.contextKey, held);
  } else {
    headers.remove('content-encoding');
  }
  for (const field of ['content-length', 'last-modified', 'etag']) headers.remove(field);
}

function filterBody(state: State, { pieces, coding }: HeldBody): Uint8Array {
  const received: Uint8Array = Buffer.concat(pieces);
  if (coding === undefined) return applyFilters(state, received);
  if (received.length === 0) return received;
  try {
    const plain = coding.decode(received);
    const changed = applyFilters(state, plain);
    return changed === plain ? received : coding.encode(changed);
  } catch (error) {
    state.log.warn('the response body could not be decoded and passes unchanged', { error });
    return received;
  }
}

function applyFilters(state: State, body: Uint8Array): Uint8Array {
  let changed = body;
  for (const filter of state.filters) changed = filter(changed);
  return changed;
}

function changeHeaders(operations: HeaderOperations, exchange: Exchange): void {
  const { headers } = exchange.response;
  for (const [name, value] of operations.add) headers.append(name, fieldText(value(exchange)));
  for (const [name, value] of operations.set) headers.set(name, fieldText(value(exchange)));
  for (const name of operations.remove) headers.remove(name);
}

function compileVars(vars: Json[]): (exchange: Exchange) => boolean {
  try {
    return compileExpression<Exchange>(vars, compileVariable);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError(`failed to validate the 'vars' expression: ${error.message}`, { cause: error });
  }
}

function decodeBase64(text: string): Uint8Array {
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/.test(text) || text === '') {
    throw new ConfigError('invalid base64 content');
  }
  return Buffer.from(text, 'base64');
}
