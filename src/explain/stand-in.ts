/**
 * A request that never came over a socket: the bytes that a client would send, read by the gateway's own parser, and a
 * connection that has addresses and nothing else.
 */
import { isIPv6 } from 'node:net';
import { GatewayError } from '../errors/gateway-error.ts';
import type { TlsConnection } from '../plugin/exchange.ts';
import { type PeerTrust, ProxyExchange } from '../proxy/exchange.ts';
import type { ClientConnection } from '../proxy/http1/client-connection.ts';
import { parseRequestHead } from '../proxy/http1/parse-head.ts';
import type { ExplainRequest } from './report.ts';

const headLimits = { maxHeadBytes: 1_048_576, maxFields: 1000 };

/** What an exchange reads of its connection before anything is sent. */
type ConnectionFacts = Pick<
  ClientConnection,
  | 'tls'
  | 'remoteAddress'
  | 'remotePort'
  | 'localAddress'
  | 'localPort'
  | 'bytesReceived'
  | 'bytesSent'
  | 'bodyBytesSent'
  | 'hasBody'
  | 'readBody'
>;

/** There was no handshake: what it would have settled has no value. */
const unseenTls: TlsConnection = {
  serverName: '',
  protocol: '',
  cipher: '',
  sessionReused: false,
  clientVerify: 'NONE',
  clientCertificate: undefined,
};

/** Throws GatewayError where the gateway would refuse the request before it looks for a route. */
export function createExchange(request: ExplainRequest, trust: PeerTrust): ProxyExchange {
  const { scheme, authority, target } = splitUrl(request.url);
  const bytes = Buffer.from(requestText(request, authority, target), 'utf8');
  const head = parseRequestHead(bytes, 0, bytes.length, headLimits);
  if (head?.end !== bytes.length) throw new GatewayError('REQUEST_MALFORMED', 'an empty line inside the head');
  const remoteAddress = request.remoteAddress ?? '127.0.0.1';
  const port = /:([0-9]+)$/.exec(authority)?.[1];
  const facts: ConnectionFacts = {
    tls: scheme === 'https' ? unseenTls : undefined,
    remoteAddress,
    remotePort: 0,
    localAddress: isIPv6(remoteAddress) ? '::1' : '127.0.0.1',
    localPort: port === undefined ? (scheme === 'https' ? 443 : 80) : Number(port),
    bytesReceived: bytes.length,
    bytesSent: 0,
    bodyBytesSent: 0,
    hasBody: false,
    readBody: (sink) => {
      sink.onEnd(undefined);
    },
  };
  // The exchange is shown to rules and plugins only; what would write to the connection is never called.
  const exchange = new ProxyExchange(facts as ClientConnection, head, trust);
  exchange.dryRun = true;
  return exchange;
}

function requestText(request: ExplainRequest, authority: string, target: string): string {
  const { method, headers } = request;
  let fields = '';
  for (const [name, value] of headers) {
    if (/[\r\n]/.test(name + value)) throw new GatewayError('REQUEST_MALFORMED', 'a line break inside a header');
    fields += `${name}: ${value}\r\n`;
  }
  const host = headers.some(([name]) => name.toLowerCase() === 'host') ? '' : `Host: ${authority}\r\n`;
  return `${method} ${target} HTTP/1.1\r\n${host}${fields}\r\n`;
}

/** Not `URL`: it would normalise the path that is to be explained. */
function splitUrl(url: string): { scheme: string; authority: string; target: string } {
  const match = /^(https?):\/\/([^/?#]*)(.*)$/is.exec(url);
  if (match === null)
    throw new GatewayError('REQUEST_MALFORMED', 'the URL is not http://HOST/PATH or https://HOST/PATH');
  const [, scheme = '', authority = '', rest = ''] = match;
  return { scheme: scheme.toLowerCase(), authority, target: rest.startsWith('/') ? rest : `/${rest}` };
}
