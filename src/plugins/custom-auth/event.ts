/** The event: what a function of any kind is told of a request, as JSON (plugin/authorizer/verification-event.ts has its types). */
import { isUtf8 } from 'node:buffer';
import type { Exchange } from '../../plugin/exchange.ts';
import { queryValues } from '../../plugin/uri.ts';

export interface EventParameters {
  readonly headers: readonly string[];
  readonly queries: readonly string[];
}

/** `body` undefined: it is not sent. */
export function writeEvent(exchange: Exchange, parameters: EventParameters, body: Uint8Array | undefined): string {
  const headers = collect(headerPairs(exchange));
  const queries = collect(new URLSearchParams(exchange.query));
  const { consumer, route } = exchange;
  const text = body === undefined || body.length === 0 ? undefined : bodyText(body);
  return JSON.stringify({
    httpMethod: exchange.method,
    path: exchange.path,
    headers: joined(headers),
    multiValueHeaders: repeated(headers),
    queryString: last(queries),
    multiValueQueryString: repeated(queries),
    headerParameters: parametersOf(parameters.headers, (name) => exchange.headers.getAll(name)),
    queryStringParameters: parametersOf(parameters.queries, (name) => queryValues(exchange.query, name)),
    ...(text === undefined ? {} : { body: text.text }),
    isBase64Encoded: text?.base64 ?? false,
    requestContext: {
      sourceIp: exchange.remoteAddress,
      host: exchange.host,
      scheme: exchange.scheme,
      routeId: route?.id ?? '',
      serviceId: route?.serviceId,
      consumer: consumer && {
        username: consumer.username,
        credentialId: consumer.credentialId,
        groupId: consumer.groupId,
      },
    },
  });
}

function* headerPairs(exchange: Exchange): Generator<readonly [string, string]> {
  for (const [name, value] of exchange.headers.entries()) yield [name.toLowerCase(), value];
}

/** Without a prototype: a client chooses the names. */
function record<T>(): Record<string, T> {
  return Object.create(null) as Record<string, T>;
}

function collect(pairs: Iterable<readonly [string, string]>): Record<string, string[]> {
  const all = record<string[]>();
  for (const [name, value] of pairs) (all[name] ??= []).push(value);
  return all;
}

/** Authorisers see every field of a name (CVE-2021-32777): joined here, one by one in `multiValueHeaders`. */
function joined(all: Record<string, string[]>): Record<string, string> {
  const one = record<string>();
  for (const name in all) one[name] = (all[name] ?? []).join(name === 'cookie' ? '; ' : ', ');
  return one;
}

function last(all: Record<string, string[]>): Record<string, string> {
  const one = record<string>();
  for (const name in all) one[name] = all[name]?.at(-1) ?? '';
  return one;
}

function repeated(all: Record<string, string[]>): Record<string, string[]> {
  const several = record<string[]>();
  for (const name in all) {
    const values = all[name] ?? [];
    if (values.length > 1) several[name] = values;
  }
  return several;
}

function parametersOf(names: readonly string[], read: (name: string) => readonly string[]): Record<string, string> {
  const found = record<string>();
  for (const name of names) {
    const values = read(name);
    if (values.length > 0) found[name] = values.join(', ');
  }
  return found;
}

function bodyText(body: Uint8Array): { text: string; base64: boolean } {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  return isUtf8(bytes)
    ? { text: bytes.toString('utf8'), base64: false }
    : { text: bytes.toString('base64'), base64: true };
}
