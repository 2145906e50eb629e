/**
 * The response side of an exchange: header_filter, body_filter, serialising to the client connection.
 * Both upstream's responses and the gateway's own pass here; the log phase follows when the last byte was handed over.
 */
import { Buffer } from 'node:buffer';
import { STATUS_CODES } from 'node:http';
import { performance } from 'node:perf_hooks';
import type { Reply } from '../plugin/plugin.ts';
import type { ProxyExchange } from './exchange.ts';
import { ResponseState } from './exchange.ts';
import { FieldKind } from './http1/field-names.ts';
import { Fields } from './http1/fields.ts';
import { defaultContentType } from './mime.ts';
import type { CompiledPlugin } from './pipeline/compiled.ts';

export interface ResponseContext {
  /** Value of Server, or undefined to send upstream's. */
  readonly serverToken: string;
  onPluginFailure(name: string, phase: string, error: unknown): void;
  /** Runs the log phase and the access log, and releases the pipelines. */
  onFinished(exchange: ProxyExchange): void;
}

const noBytes = Buffer.alloc(0);
const noFilters: readonly CompiledPlugin[] = [];

/** Sends a reply that the gateway made. Nothing of a response may have been sent before. */
export function sendReply(exchange: ProxyExchange, reply: Reply, context: ResponseContext): void {
  exchange.reason ??= reply.reason;
  exchange.detail ??= reply.detail;
  const headers = new Fields();
  const body = encodeBody(reply.body);
  if (reply.headers !== undefined) for (const [name, value] of Object.entries(reply.headers)) headers.set(name, value);
  if (!headers.has('content-type') && body.length > 0) headers.set('Content-Type', defaultContentType(exchange.path));
  const response = new ResponseState(reply.status, headers, 'gateway');
  exchange.responseState = response;
  runHeaderFilters(exchange, context);
  const filters = bodyFilters(exchange);
  const whole = response.replacement ?? body;
  const bytes = filters === undefined ? whole : filterWhole(filters, exchange, response, whole, context);
  const { connection } = exchange;
  connection.startResponse(
    response.status,
    STATUS_CODES[response.status] ?? '',
    serialiseResponseFields(response, context),
    bytes.length,
    exchange.method === 'HEAD' ? bytes.length : undefined,
  );
  connection.writeBody(bytes);
  connection.endResponse();
  exchange.times.ended = performance.now();
  context.onFinished(exchange);
}

export function encodeBody(body: Reply['body']): Buffer {
  if (body === undefined) return noBytes;
  if (typeof body === 'string') return Buffer.from(body);
  if (body instanceof Uint8Array) return asBuffer(body);
  return Buffer.from(`${JSON.stringify(body)}\n`);
}

export function runHeaderFilters(exchange: ProxyExchange, context: ResponseContext): void {
  const active = exchange.pipeline;
  if (active === undefined) return;
  if (active.global !== undefined) runHeaderFilterList(active.global.headerFilter, exchange, context);
  if (active.route !== undefined) runHeaderFilterList(active.route.headerFilter, exchange, context);
}

function runHeaderFilterList(
  plugins: readonly CompiledPlugin[],
  exchange: ProxyExchange,
  context: ResponseContext,
): void {
  for (const plugin of plugins) {
    try {
      if (plugin.filter === undefined || plugin.filter(exchange)) plugin.headerFilter?.(exchange);
    } catch (error) {
      context.onPluginFailure(plugin.name, 'header_filter', error);
      const response = exchange.responseState;
      // The filter may have been meant to hide something: fail closed.
      if (response !== undefined) {
        response.replacement = failed(response);
        exchange.reason = `${plugin.name}.failed`;
      }
    }
  }
}

/** What is sent where a filter of the response failed and nothing has left yet. */
function failed(response: ResponseState): Buffer {
  response.status = 500;
  response.headers.remove('Content-Encoding');
  return encodeBody({ error_msg: '500 Internal Server Error' });
}

/** undefined where no plugin touches the body: it streams through untouched. */
export function bodyFilters(exchange: ProxyExchange): readonly CompiledPlugin[] | undefined {
  const active = exchange.pipeline;
  if (active === undefined) return undefined;
  const global = active.global?.bodyFilter ?? noFilters;
  const route = active.route?.bodyFilter ?? noFilters;
  if (global.length === 0 && route.length === 0) return undefined;
  return [...global, ...route].filter((plugin) => plugin.filter === undefined || plugin.filter(exchange));
}

export function runBodyFilters(
  filters: readonly CompiledPlugin[],
  exchange: ProxyExchange,
  piece: Uint8Array,
  last: boolean,
  context: ResponseContext,
): Buffer {
  let bytes = piece;
  for (const plugin of filters) {
    try {
      bytes = plugin.bodyFilter?.(exchange, bytes, last) ?? bytes;
    } catch (error) {
      context.onPluginFailure(plugin.name, 'body_filter', error);
      exchange.reason = `${plugin.name}.failed`;
      throw error;
    }
  }
  return asBuffer(bytes);
}

/** A body that is there whole before any of the response was sent. A filter that fails makes it 500, as one of the head does. */
export function filterWhole(
  filters: readonly CompiledPlugin[],
  exchange: ProxyExchange,
  response: ResponseState,
  body: Uint8Array,
  context: ResponseContext,
): Buffer {
  try {
    return runBodyFilters(filters, exchange, body, true, context);
  } catch {
    return failed(response);
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  if (bytes instanceof Buffer) return bytes as Buffer;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Field lines without the hop-by-hop and framing fields; Server and Date are the gateway's where missing. */
export function serialiseResponseFields(response: ResponseState, context: ResponseContext): string {
  const { names, known, values, length } = response.headers;
  const fromUpstream = response.source === 'upstream';
  let text = '';
  let date = false;
  let server = false;
  for (let i = 0; i < length; i++) {
    switch (known[i]?.kind) {
      case FieldKind.connection:
      case FieldKind.contentLength:
      case FieldKind.transferEncoding:
      case FieldKind.upgrade:
        continue;
      case FieldKind.hopByHop:
        // RFC 9110 §11.7.1: only this one is for whoever asked the gateway.
        if (fromUpstream || known[i]?.lower !== 'proxy-authenticate') continue;
        break;
      case FieldKind.server:
        if (fromUpstream) continue;
        server = true;
        break;
      case FieldKind.date:
        date = true;
        break;
      default:
    }
    text += `${names[i] ?? ''}: ${values[i] ?? ''}\r\n`;
  }
  if (!date) text += dateField();
  return server ? text : `${text}Server: ${context.serverToken}\r\n`;
}

let dateSecond = 0;
let dateText = '';
function dateField(): string {
  const now = Date.now();
  const second = now - (now % 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateText = `Date: ${new Date(second).toUTCString()}\r\n`;
  }
  return dateText;
}
