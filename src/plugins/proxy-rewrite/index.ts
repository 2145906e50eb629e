/**
 * proxy-rewrite: changes what goes upstream: path, method, Host, scheme and headers. Runs in `rewrite`, after
 * authentication and on the path that routing matched; the client's query is kept behind a query of the new URI.
 * Nothing a client sends can end the request line: a new path is percent-encoded whole, a new query where it must be
 * (apisix#13787). A rewritten path with dot segments is refused by the proxy, whoever wrote it.
 * APISIX: a result of regex_uri that does not start with a slash gets one.
 */
import { ConfigError } from '../../errors/gateway-error.ts';
import { compileRegex } from '../../expression/regex.ts';
import type { Exchange } from '../../plugin/exchange.ts';
import {
  compileHeaderOperations,
  fieldText,
  headerValuesSchema,
  type HeaderOperations,
  type HeaderOperationsConfig,
} from '../../plugin/header-operations.ts';
import { definePlugin } from '../../plugin/plugin.ts';
import { compileTextTemplate, type Template } from '../../plugin/substitution.ts';
import { encodePath, encodeQuery } from '../../plugin/uri.ts';

interface Config {
  uri?: string;
  regex_uri?: string[];
  method?: string;
  host?: string;
  scheme?: 'http' | 'https';
  headers?: HeaderOperationsConfig | Record<string, string | number>;
  use_real_request_uri_unsafe: boolean;
}

interface State {
  readonly method: string | undefined;
  readonly host: string | undefined;
  readonly scheme: 'http' | 'https' | undefined;
  readonly uri: UriTemplate | undefined;
  /** The first pattern that matches applies. */
  readonly patterns: readonly (readonly [RegExp, UriTemplate])[];
  readonly raw: boolean;
  readonly headers: HeaderOperations | undefined;
}

/** Split at the template's own `?`: one that a client sent as %3F stays in the path. */
interface UriTemplate {
  readonly path: Template;
  readonly query: Template | undefined;
}

// prettier-ignore
const methods = ['GET', 'POST', 'PUT', 'HEAD', 'DELETE', 'OPTIONS', 'MKCOL', 'COPY', 'MOVE', 'PROPFIND', 'LOCK', 'UNLOCK', 'PATCH', 'TRACE'];

export const proxyRewrite = definePlugin<Config, State>({
  name: 'proxy-rewrite',
  priority: 1008,
  version: '0.1',
  schema: {
    type: 'object',
    properties: {
      uri: {
        type: 'string',
        minLength: 1,
        maxLength: 4096,
        pattern: '^\\/.*',
        description: 'New path, with a query if it holds a `?`; may hold nginx variables (`$arg_name`).',
      },
      regex_uri: {
        type: 'array',
        minItems: 2,
        items: { type: 'string' },
        description: 'Pairs of a regular expression over the path and a new URI with `$1`; used where `uri` is absent.',
      },
      method: { type: 'string', enum: methods, description: 'New method.' },
      host: { type: 'string', pattern: '^[0-9a-zA-Z\\-.]+(:\\d{1,5})?$', description: 'New Host.' },
      scheme: {
        type: 'string',
        enum: ['http', 'https'],
        description: "Scheme to speak upstream; the upstream's own `scheme` is preferred.",
      },
      headers: {
        description: 'Request headers to change; may hold nginx variables and captures of `regex_uri`.',
        anyOf: [
          {
            type: 'object',
            minProperties: 1,
            properties: {
              add: { ...headerValuesSchema, description: 'Added beside what is there.' },
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
      use_real_request_uri_unsafe: {
        type: 'boolean',
        default: false,
        description: 'Start from the request-target as received instead of the normalised path. Unsafe.',
      },
    },
    minProperties: 1,
  },

  compile(config) {
    return {
      method: config.method,
      host: config.host,
      scheme: config.scheme,
      uri: config.uri === undefined ? undefined : compileUri(config.uri),
      patterns: config.uri === undefined ? compilePatterns(config.regex_uri ?? []) : [],
      raw: config.use_real_request_uri_unsafe,
      headers: config.headers && compileHeaderOperations(config.headers),
    };
  },

  rewrite(state, exchange) {
    const { upstream } = exchange;
    if (state.method !== undefined) upstream.method = state.method;
    if (state.host !== undefined) upstream.host = state.host;
    if (state.scheme !== undefined) upstream.scheme = state.scheme;
    const match = rewriteUri(state, exchange);
    if (state.headers !== undefined) changeHeaders(state.headers, exchange, match);
  },
});

/** Returns the match of regex_uri, whose captures headers may use. */
function rewriteUri(state: State, exchange: Exchange): RegExpExecArray | undefined {
  if (state.uri !== undefined) {
    setUri(state, exchange, state.uri.path(exchange), state.uri.query?.(exchange));
    return undefined;
  }
  if (state.patterns.length === 0 && !state.raw) return undefined;
  const subject = state.raw ? receivedUri(exchange) : exchange.path;
  for (const [pattern, { path, query }] of state.patterns) {
    const match = pattern.exec(subject);
    if (match === null) continue;
    const before = subject.slice(0, match.index) + path(exchange, match);
    const after = subject.slice(match.index + match[0].length);
    if (query === undefined) setUri(state, exchange, before + after, undefined);
    else setUri(state, exchange, before, query(exchange, match) + after);
    return match;
  }
  if (state.raw) setUri(state, exchange, subject, undefined);
  return undefined;
}

function setUri(state: State, exchange: Exchange, path: string, query: string | undefined): void {
  const { upstream } = exchange;
  if (state.raw) {
    const [first = '', ...rest] = (query === undefined ? path : `${path}?${query}`).split('?');
    upstream.path = withSlash(encodeQuery(first));
    upstream.query = encodeQuery(rest.join('?'));
    return;
  }
  upstream.path = withSlash(encodePath(path));
  if (query === undefined) return;
  const added = encodeQuery(query);
  const sent = upstream.query ?? exchange.query;
  upstream.query = sent === '' ? added : `${added}&${sent}`;
}

function withSlash(path: string): string {
  return path.startsWith('/') ? path : `/${path}`;
}

/** The target as received, less what an earlier plugin took out of the query. */
function receivedUri(exchange: Exchange): string {
  const path = exchange.target.replace(/^https?:\/\/[^/?]*/i, '').replace(/\?.*$/s, '');
  const query = exchange.upstream.query ?? exchange.query;
  return query === '' ? path : `${path}?${query}`;
}

function changeHeaders(operations: HeaderOperations, exchange: Exchange, match: RegExpExecArray | undefined): void {
  const { headers, upstream } = exchange;
  for (const [name, value] of operations.add) headers.append(name, fieldText(value(exchange, match)));
  for (const [name, value] of operations.set) {
    const text = fieldText(value(exchange, match));
    if (name.toLowerCase() === 'host') upstream.host = text;
    else headers.set(name, text);
  }
  for (const name of operations.remove) headers.remove(name);
}

function compilePatterns(pairs: readonly string[]): (readonly [RegExp, UriTemplate])[] {
  if (pairs.length % 2 !== 0) throw new ConfigError('The length of regex_uri should be an even number');
  const patterns: (readonly [RegExp, UriTemplate])[] = [];
  for (let i = 0; i < pairs.length; i += 2) {
    const [regex = '', template = ''] = pairs.slice(i, i + 2);
    try {
      patterns.push([compileRegex(regex), compileUri(template)]);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      throw new ConfigError(`invalid regex_uri(${regex}, ${template}): ${error.message}`, { cause: error });
    }
  }
  return patterns;
}

function compileUri(template: string): UriTemplate {
  const question = template.indexOf('?');
  if (question === -1) return { path: compileTextTemplate(template), query: undefined };
  return {
    path: compileTextTemplate(template.slice(0, question)),
    query: compileTextTemplate(template.slice(question + 1)),
  };
}
