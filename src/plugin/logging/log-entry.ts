/**
 * What a logger plugin says of one request: APISIX's full entry, or the fields that a `log_format` names. Compiled once a change;
 * made in the log phase. Bodies are copied while they pass, up to a bound, and only where the configuration asks for them.
 */
import { hostname } from 'node:os';
import { ConfigError } from '../../errors/gateway-error.ts';
import { compileExpression } from '../../expression/expression.ts';
import type { Json, JsonSchema } from '../../resources/resource.ts';
import type { Exchange, HeaderFields } from '../exchange.ts';
import { compileVariable } from '../variables.ts';

export interface LogFormat {
  readonly [field: string]: string | LogFormat;
}

export interface LogEntryConfig {
  log_format?: LogFormat;
  include_req_body: boolean;
  include_req_body_expr?: Json[];
  include_resp_body: boolean;
  include_resp_body_expr?: Json[];
  max_req_body_bytes: number;
  max_resp_body_bytes: number;
}

export interface LogEntries {
  /** In `access`: begins to copy the request's body, if it is wanted. */
  begin(exchange: Exchange): void;
  /** In `bodyFilter`: copies a piece of the response's body, if it is wanted. */
  copy(exchange: Exchange, chunk: Uint8Array): void;
  readonly copiesResponse: boolean;
  /** In `log`: one JSON text without a newline. */
  entry(exchange: Exchange): string;
}

const expression = { type: 'array', minItems: 1, items: { type: 'array' } };
const bytes = { type: 'integer', minimum: 1, default: 524_288 };

export const logFormatSchema = { type: 'object' };

/** To spread into a logger's `properties`. */
export const logEntryProperties = {
  log_format: {
    ...logFormatSchema,
    description:
      'Fields of an entry: texts, or variables with `$`; nested objects too. Default: the metadata’s, or all there is.',
  },
  include_req_body: { type: 'boolean', default: false, description: 'The request’s body is part of the entry.' },
  include_req_body_expr: { ...expression, description: 'The request’s body only where this expression holds.' },
  include_resp_body: { type: 'boolean', default: false, description: 'The response’s body is part of the entry.' },
  include_resp_body_expr: { ...expression, description: 'The response’s body only where this expression holds.' },
  max_req_body_bytes: { ...bytes, description: 'Bytes of a request’s body that are kept; the rest is cut off.' },
  max_resp_body_bytes: { ...bytes, description: 'Bytes of a response’s body that are kept; the rest is cut off.' },
} satisfies Record<string, JsonSchema>;

const hostName = hostname();

/** `key`: distinguishes this place of configuration from others that log the same request. */
export function compileLogEntries(
  config: LogEntryConfig,
  key: string,
  metadata: () => Readonly<Record<string, unknown>> | undefined,
): LogEntries {
  const wantsRequest = compileWish(config.include_req_body, config.include_req_body_expr, 'include_req_body_expr');
  const wantsResponse = compileWish(config.include_resp_body, config.include_resp_body_expr, 'include_resp_body_expr');
  const requestKey = `${key}:request`;
  const responseKey = `${key}:response`;
  const own = config.log_format === undefined ? undefined : compileFormat(config.log_format);
  const shared = followMetadata(metadata);
  const bodyOf = (exchange: Exchange, where: string): string | undefined => {
    const copy = exchange.context.get(where);
    return copy instanceof BodyCopy ? copy.text() : undefined;
  };
  return {
    begin(exchange) {
      if (wantsRequest?.(exchange) !== true) return;
      const copy = new BodyCopy(config.max_req_body_bytes);
      exchange.context.set(requestKey, copy);
      exchange.observeBody((piece) => {
        copy.add(piece);
      });
    },
    copy(exchange, chunk) {
      let copy = exchange.context.get(responseKey);
      if (copy === undefined) {
        copy = new BodyCopy(wantsResponse?.(exchange) === true ? config.max_resp_body_bytes : 0);
        exchange.context.set(responseKey, copy);
      }
      if (copy instanceof BodyCopy) copy.add(chunk);
    },
    copiesResponse: wantsResponse !== undefined,
    entry(exchange) {
      const format = own ?? shared();
      const requestBody = wantsRequest === undefined ? undefined : bodyOf(exchange, requestKey);
      const responseBody = wantsResponse === undefined ? undefined : bodyOf(exchange, responseKey);
      const entry =
        format === undefined ? fullEntry(exchange, requestBody, responseBody) : customEntry(format, exchange);
      return JSON.stringify(entry);
    },
  };
}

class BodyCopy {
  readonly #maxBytes: number;
  readonly #pieces: Uint8Array[] = [];
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }
  add(piece: Uint8Array): void {
    const room = this.#maxBytes - this.#bytes;
    if (room <= 0 || piece.length === 0) return;
    // The bytes are another's after this call.
    const kept = Uint8Array.from(piece.length > room ? piece.subarray(0, room) : piece);
    this.#pieces.push(kept);
    this.#bytes += kept.length;
  }
  /** undefined: there was none. Bytes that are no UTF-8 become U+FFFD. */
  text(): string | undefined {
    return this.#bytes === 0 ? undefined : Buffer.concat(this.#pieces).toString('utf8');
  }
}

function compileWish(
  include: boolean,
  rules: Json[] | undefined,
  field: string,
): ((exchange: Exchange) => boolean) | undefined {
  if (!include) return undefined;
  if (rules === undefined) return () => true;
  try {
    return compileExpression<Exchange>(rules, compileVariable);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError(`failed to validate the '${field}' expression: ${error.message}`, { cause: error });
  }
}

type CompiledFormat = readonly (readonly [string, (exchange: Exchange) => unknown])[];

function compileFormat(format: LogFormat): CompiledFormat {
  return Object.entries(format).map(([field, value]) => {
    if (typeof value !== 'string') {
      const inner = compileFormat(value);
      return [field, (exchange) => readFormat(inner, exchange)];
    }
    return [field, value.startsWith('$') ? compileVariable(value.slice(1).replace(/^\{(\w+)\}$/, '$1')) : () => value];
  });
}

function readFormat(format: CompiledFormat, exchange: Exchange): Record<string, unknown> {
  return Object.fromEntries(format.map(([field, read]) => [field, read(exchange)]));
}

/** The metadata's `log_format` as of now, compiled again when it is another one. */
function followMetadata(
  metadata: () => Readonly<Record<string, unknown>> | undefined,
): () => CompiledFormat | undefined {
  let seen: unknown;
  let compiled: CompiledFormat | undefined;
  return () => {
    const format = metadata()?.['log_format'];
    if (format !== seen) {
      seen = format;
      const given = typeof format === 'object' && format !== null && Object.keys(format).length > 0;
      compiled = given ? compileFormat(format as LogFormat) : undefined;
    }
    return compiled;
  };
}

function customEntry(format: CompiledFormat, exchange: Exchange): object {
  const { route } = exchange;
  return { ...readFormat(format, exchange), route_id: route?.id, service_id: route?.serviceId };
}

/** Under APISIX's names. Times in ms, the start since 1970. */
function fullEntry(exchange: Exchange, requestBody: string | undefined, responseBody: string | undefined): object {
  const { times, route, consumer, response } = exchange;
  const end = times.end ?? performance.now();
  const latency = end - times.start;
  const upstreamLatency =
    times.upstreamStart === undefined ? undefined : (times.upstreamEnd ?? end) - times.upstreamStart;
  const authority = `${exchange.host}:${String(exchange.serverPort)}`;
  return {
    request: {
      url: `${exchange.scheme}://${authority}${exchange.target}`,
      uri: exchange.target,
      method: exchange.method,
      headers: fieldsOf(exchange.headers),
      querystring: queryOf(exchange.query),
      size: exchange.bytesReceived,
      body: requestBody,
    },
    response: {
      status: response.status,
      headers: fieldsOf(response.headers),
      size: exchange.bytesSent,
      body: responseBody,
    },
    server: { hostname: hostName },
    upstream: exchange.upstreamNode,
    service_id: route === undefined ? exchange.host : (route.serviceId ?? ''),
    route_id: route?.id,
    consumer: consumer === undefined ? undefined : { username: consumer.username },
    client_ip: exchange.remoteAddress,
    start_time: Math.round(performance.timeOrigin + times.start),
    latency,
    upstream_latency: upstreamLatency,
    apisix_latency: Math.max(0, latency - (upstreamLatency ?? 0)),
  };
}

/** Several of one name become a list. Lower-case names, as APISIX shows them. */
function fieldsOf(fields: HeaderFields): Record<string, string | string[]> {
  return collect(Array.from(fields.entries(), ([name, value]) => [name.toLowerCase(), value] as const));
}

function queryOf(query: string): Record<string, string | string[]> {
  return query === '' ? {} : collect(new URLSearchParams(query));
}

function collect(pairs: Iterable<readonly [string, string]>): Record<string, string | string[]> {
  // `__proto__` is a name as any other.
  const result = Object.create(null) as Record<string, string | string[]>;
  for (const [name, value] of pairs) {
    const before = result[name];
    if (before === undefined) result[name] = value;
    else if (Array.isArray(before)) before.push(value);
    else result[name] = [before, value];
  }
  return result;
}
