/** The request head that goes upstream: request line, Host, the forwarded fields, and the client's fields less the hop-by-hop ones. */
import type { ProxyExchange } from '../exchange.ts';
import { FieldKind } from '../http1/field-names.ts';
import type { CompiledUpstream } from '../pipeline/compiled.ts';
import type { Endpoint } from './target.ts';

/** Value of Host: a plugin's, or by `pass_host`. */
export function upstreamHost(exchange: ProxyExchange, upstream: CompiledUpstream, endpoint: Endpoint): string {
  const rewritten = exchange.upstream.host;
  if (rewritten !== undefined) return rewritten;
  switch (upstream.passHost) {
    case 'node':
      return nodeAuthority(endpoint, exchange.upstream.scheme ?? upstream.scheme);
    case 'rewrite':
      return upstream.upstreamHost ?? endpoint.host;
    default:
      return exchange.authority.raw === '' ? nodeAuthority(endpoint, upstream.scheme) : exchange.authority.raw;
  }
}

function nodeAuthority(endpoint: Endpoint, scheme: 'http' | 'https'): string {
  return endpoint.port === (scheme === 'https' ? 443 : 80) ? endpoint.host : endpoint.label;
}

/** `framing`: Content-Length or Transfer-Encoding line of the body that follows, or ''. */
export function upstreamHead(
  exchange: ProxyExchange,
  upstream: CompiledUpstream,
  endpoint: Endpoint,
  framing: string,
  websocket: boolean,
): string {
  const overrides = exchange.upstream;
  const query = overrides.query ?? exchange.query;
  const path = overrides.path ?? exchange.encodedPath;
  let text = `${overrides.method ?? exchange.method} ${query === '' ? path : `${path}?${query}`} HTTP/1.1\r\nHost: ${upstreamHost(exchange, upstream, endpoint)}\r\n`;
  const { names, known, values, length } = exchange.headers;
  let forwarded = false;
  for (let i = 0; i < length; i++) {
    const kind = known[i]?.kind;
    if (
      kind !== FieldKind.plain &&
      kind !== FieldKind.identity &&
      kind !== FieldKind.date &&
      kind !== FieldKind.server &&
      kind !== FieldKind.forwardedOther
    ) {
      if (kind === FieldKind.forwarded) forwarded = true;
      continue;
    }
    text += `${names[i] ?? ''}: ${values[i] ?? ''}\r\n`;
  }
  text += forwarded ? mergedForwarded(exchange) : freshForwarded(exchange);
  if (websocket && exchange.head.upgrade !== undefined)
    text += `Connection: upgrade\r\nUpgrade: ${exchange.head.upgrade}\r\n`;
  return `${text}${framing}\r\n`;
}

/** Made from the socket alone; the same for every request of a connection to one host. */
function freshForwarded(exchange: ProxyExchange): string {
  const { connection } = exchange;
  if (connection.forwardedFor === exchange.remoteAddress && connection.forwardedHost === exchange.authority.raw)
    return connection.forwardedText;
  const address = exchange.remoteAddress;
  connection.forwardedFor = address;
  connection.forwardedHost = exchange.authority.raw;
  connection.forwardedText = `X-Real-IP: ${address}\r\nX-Forwarded-For: ${address}\r\nX-Forwarded-Proto: ${exchange.scheme}\r\nX-Forwarded-Host: ${exchange.host}\r\nX-Forwarded-Port: ${connection.localPort}\r\n`;
  return connection.forwardedText;
}

/** A trusted peer's fields, or a plugin's, are kept; this hop is appended to X-Forwarded-For. */
function mergedForwarded(exchange: ProxyExchange): string {
  const { headers } = exchange;
  const chain = headers.getAll('x-forwarded-for').join(', ');
  const forwarded = headers.get('forwarded');
  return `X-Real-IP: ${exchange.remoteAddress}\r\nX-Forwarded-For: ${chain === '' ? exchange.peerAddress : `${chain}, ${exchange.peerAddress}`}\r\nX-Forwarded-Proto: ${
    headers.get('x-forwarded-proto') ?? exchange.scheme
  }\r\nX-Forwarded-Host: ${headers.get('x-forwarded-host') ?? exchange.host}\r\nX-Forwarded-Port: ${headers.get('x-forwarded-port') ?? String(exchange.serverPort)}\r\n${
    forwarded === undefined ? '' : `Forwarded: ${forwarded}\r\n`
  }`;
}
