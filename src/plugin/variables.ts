/**
 * nginx's and APISIX's variables (`uri`, `arg_x`, `http_x`, `consumer_name`, …) over an Exchange: what rules, templates and logs name.
 * Each name is compiled once, when configuration changes, to a closure that reads one thing. A variable without a value is undefined.
 * Not here: `graphql_*`, and what only nginx knows (`connection`, `pipe`, …): they have no value.
 */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Exchange } from './exchange.ts';
import { formatSeconds, timeIso8601, timeLocal } from './clock.ts';
import { tlsVariables } from './tls-variables.ts';

export type Variable = (exchange: Exchange) => string | undefined;

const compiled = new Map<string, Variable>();
/** Names come from configuration; a plugin that makes them up from requests shall not grow this without bound. */
const mostCompiled = 4096;

/** `name` without `$`. An unknown name has no value, ever; it is not an error, as in APISIX. The same name gives the same closure. */
export function compileVariable(name: string): Variable {
  const known = compiled.get(name);
  if (known !== undefined) return known;
  const variable = exact[name] ?? compilePrefixed(name) ?? none;
  if (compiled.size < mostCompiled) compiled.set(name, variable);
  return variable;
}

/** Text with `$name` and `${name}`; a variable without a value is ''. `\$` stays a dollar sign. */
export function compileTemplate(text: string): (exchange: Exchange) => string {
  const parts: (string | Variable)[] = [];
  let literal = '';
  let position = 0;
  for (const match of text.matchAll(/\\\$|\$(?:\{(\w+)\}|(\w+))/g)) {
    literal += text.slice(position, match.index);
    position = match.index + match[0].length;
    const name = match[1] ?? match[2];
    if (name === undefined) literal += '$';
    else {
      if (literal !== '') parts.push(literal);
      literal = '';
      parts.push(compileVariable(name));
    }
  }
  literal += text.slice(position);
  if (parts.length === 0) return () => literal;
  if (literal !== '') parts.push(literal);
  const [only] = parts;
  if (parts.length === 1 && typeof only === 'function') return (exchange) => only(exchange) ?? '';
  return (exchange) => {
    let result = '';
    for (const part of parts) result += typeof part === 'string' ? part : (part(exchange) ?? '');
    return result;
  };
}

const none: Variable = () => undefined;
const hostName = hostname();
const orNone = (text: string): string | undefined => (text === '' ? undefined : text);

/** Null prototype: `constructor` and the like are names as any other. */
const exact: Readonly<Record<string, Variable | undefined>> = Object.assign(
  Object.create(null) as Record<string, Variable>,
  {
    uri: (exchange) => exchange.path,
    document_uri: (exchange) => exchange.path,
    request_uri: (exchange) => exchange.target,
    args: (exchange) => orNone(exchange.query),
    query_string: (exchange) => orNone(exchange.query),
    is_args: (exchange) => (exchange.query === '' ? '' : '?'),
    host: (exchange) => orNone(exchange.host),
    hostname: () => hostName,
    request_method: (exchange) => exchange.method,
    scheme: (exchange) => exchange.scheme,
    https: (exchange) => (exchange.scheme === 'https' ? 'on' : ''),
    server_protocol: (exchange) => `HTTP/${exchange.httpVersion}`,
    server_addr: (exchange) => exchange.serverAddress,
    server_port: (exchange) => String(exchange.serverPort),
    server_name: () => '_',
    remote_addr: (exchange) => exchange.remoteAddress,
    remote_port: (exchange) => String(exchange.remotePort),
    realip_remote_addr: (exchange) => exchange.peerAddress,
    remote_user: readRemoteUser,
    content_type: (exchange) => exchange.headers.get('content-type'),
    content_length: (exchange) => exchange.headers.get('content-length'),
    request_id: readRequestId,
    request: (exchange) => `${exchange.method} ${exchange.target} HTTP/${exchange.httpVersion}`,
    request_length: (exchange) => String(exchange.bytesReceived),
    request_time: ({ times }) => formatSeconds((times.end ?? performance.now()) - times.start),
    msec: () => formatSeconds(Date.now()),
    time_iso8601: timeIso8601,
    time_local: timeLocal,
    pid: () => String(process.pid),
    status: ({ response }) => (response.status === 0 ? undefined : String(response.status)),
    body_bytes_sent: (exchange) => String(exchange.bodyBytesSent),
    bytes_sent: (exchange) => String(exchange.bytesSent),
    proxy_add_x_forwarded_for: (exchange) => {
      const before = joined(exchange, 'x-forwarded-for');
      return before === undefined ? exchange.remoteAddress : `${before}, ${exchange.remoteAddress}`;
    },

    upstream_addr: (exchange) => exchange.upstreamNode,
    upstream_status: ({ upstreamStatuses }) => {
      if (upstreamStatuses.length === 0) return undefined;
      return upstreamStatuses.length === 1 ? String(upstreamStatuses[0]) : upstreamStatuses.join(', ');
    },
    upstream_response_time: ({ times }) => elapsed(times.upstreamStart, times.upstreamEnd),
    upstream_connect_time: ({ times }) => elapsed(times.upstreamStart, times.upstreamConnected),
    upstream_header_time: ({ times }) => elapsed(times.upstreamStart, times.upstreamHead),
    upstream_scheme: ({ upstream }) => upstream.scheme ?? 'http',
    upstream_host: ({ upstream, headers }) => upstream.host ?? headers.get('host'),
    upstream_uri: readUpstreamUri,
    balancer_ip: ({ upstreamNode }) => upstreamNode && nodeHost(upstreamNode),
    balancer_port: ({ upstreamNode }) => upstreamNode?.slice(upstreamNode.lastIndexOf(':') + 1),

    route_id: ({ route }) => route?.id,
    route_name: ({ route }) => route?.name,
    matched_uri: ({ route }) => route?.uri,
    matched_host: ({ route }) => route?.host,
    service_id: ({ route }) => route?.serviceId,
    service_name: ({ route }) => route?.serviceName,
    consumer_name: ({ consumer }) => consumer?.username,
    consumer_group_id: ({ consumer }) => consumer?.groupId,
    ...tlsVariables,
  } satisfies Record<string, Variable>,
);

/** `http_x` and the like; undefined for a name that has none of the prefixes. */
function compilePrefixed(name: string): Variable | undefined {
  const rest = (prefix: string): string | undefined =>
    name.startsWith(prefix) && name.length > prefix.length ? name.slice(prefix.length) : undefined;
  const arg = rest('arg_');
  if (arg !== undefined) return (exchange) => exchange.arg(arg);
  const cookie = rest('cookie_');
  if (cookie !== undefined) return (exchange) => exchange.cookie(cookie);
  const http = rest('http_');
  if (http !== undefined) return compileField(fieldName(http));
  const sent = rest('sent_http_');
  if (sent !== undefined) {
    const field = fieldName(sent);
    return ({ response }) => response.headers.get(field);
  }
  const upstream = rest('upstream_http_');
  if (upstream !== undefined) {
    const field = fieldName(upstream);
    return ({ response }) => (response.source === 'upstream' ? response.headers.get(field) : undefined);
  }
  const param = rest('uri_param_');
  if (param !== undefined) return ({ params }) => params.get(param);
  const post = rest('post_arg_') ?? rest('post_arg.');
  if (post !== undefined) return compilePostArg(post);
  return undefined;
}

const fieldName = (name: string): string => name.toLowerCase().replaceAll('_', '-');

/** These occur once (RFC 9110 §7.2, §10.1.3, §10.1.5, §11.6.2), so that the first is all. */
const singleFields = new Set(['host', 'user-agent', 'referer', 'authorization']);

/** All fields of the name, joined as nginx joins them: what a rule does not see, it cannot refuse. */
function compileField(name: string): Variable {
  if (singleFields.has(name)) return (exchange) => exchange.headers.get(name);
  return (exchange) => joined(exchange, name);
}

function joined({ headers }: Exchange, name: string): string | undefined {
  const first = headers.get(name);
  if (first === undefined) return undefined;
  const all = headers.getAll(name);
  return all.length === 1 ? first : all.join(name === 'cookie' ? '; ' : ', ');
}

/** A form field by its name, or a member of a JSON body by its dotted path. The proxy parses the body where a route asks for it. */
function compilePostArg(name: string): Variable {
  const steps = name.split('.');
  return (exchange) => {
    let value: unknown = exchange.context.get('post_args');
    if (hasMember(value, name)) return toText(value[name]);
    for (const step of steps) {
      if (!hasMember(value, step)) return undefined;
      value = value[step];
    }
    return toText(value);
  };
}

function hasMember(value: unknown, name: string): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name);
}

function toText(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return value === null || value === undefined ? undefined : JSON.stringify(value);
}

/** 32 hex digits, made on first use and the same until the exchange ends. */
function readRequestId(exchange: Exchange): string {
  const made = exchange.context.get('request_id');
  if (typeof made === 'string') return made;
  const id = randomUUID().replaceAll('-', '');
  exchange.context.set('request_id', id);
  return id;
}

/** The user of Basic credentials (RFC 7617 §2), whether or not anyone checked them. */
function readRemoteUser({ headers }: Exchange): string | undefined {
  const credentials = headers.get('authorization');
  if (credentials === undefined || !/^basic /i.test(credentials)) return undefined;
  const [user = ''] = Buffer.from(credentials.slice(6).trim(), 'base64').toString('utf8').split(':', 1);
  return orNone(user);
}

/** As in APISIX, only what was rewritten: '' where the request goes upstream as it came. */
function readUpstreamUri({ upstream, target, query }: Exchange): string {
  if (upstream.path === undefined && upstream.query === undefined) return '';
  const path = upstream.path ?? target.split('?', 1)[0] ?? '';
  const args = upstream.query ?? query;
  return args === '' ? path : `${path}?${args}`;
}

function nodeHost(node: string): string {
  const host = node.slice(0, node.lastIndexOf(':'));
  return host.startsWith('[') ? host.slice(1, -1) : host;
}

function elapsed(from: number | undefined, to: number | undefined): string | undefined {
  return from === undefined || to === undefined ? undefined : formatSeconds(to - from);
}
