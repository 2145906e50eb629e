/**
 * redirect: answers with a Location instead of proxying: a fixed URI, one made from the path by a regular expression,
 * or the same URI over HTTPS. Runs in `rewrite`. A regular expression that does not match lets the request pass.
 * Whatever a client sends, the Location is one line of visible ASCII, and a backslash in it is encoded: browsers read
 * `/\host` as another site.
 * APISIX: `\`, controls, spaces and bytes beyond ASCII are encoded without encode_uri too.
 */
import { ConfigError } from '../../errors/gateway-error.ts';
import { compileRegex } from '../../expression/regex.ts';
import type { Exchange } from '../../plugin/exchange.ts';
import { definePlugin } from '../../plugin/plugin.ts';
import { compileTextTemplate, replaceMatch } from '../../plugin/substitution.ts';
import { encodePath, encodeUnsafe } from '../../plugin/uri.ts';

interface Config {
  uri?: string;
  regex_uri?: [string, string];
  http_to_https?: boolean;
  ret_code: number;
  encode_uri: boolean;
  append_query_string: boolean;
}

interface State {
  readonly code: number;
  /** undefined: this request is not redirected. */
  readonly location: ((exchange: Exchange) => string | undefined) | undefined;
  readonly toHttps: boolean;
  /** `:8443`, or '' for 443. */
  readonly httpsPort: string;
  readonly encode: boolean;
  readonly appendQuery: boolean;
}

export const redirect = definePlugin<Config, State>({
  name: 'redirect',
  priority: 900,
  version: '0.1',
  schema: {
    type: 'object',
    properties: {
      ret_code: { type: 'integer', minimum: 200, default: 302, description: 'Status of the answer.' },
      uri: {
        type: 'string',
        minLength: 2,
        description: 'Where to; may hold nginx variables (`$uri`, `${host}`); one without a value is empty.',
      },
      regex_uri: {
        type: 'array',
        minItems: 2,
        maxItems: 2,
        items: { type: 'string' },
        description: 'A regular expression over the path, and where to; may hold `$1` and nginx variables.',
      },
      http_to_https: {
        type: 'boolean',
        description: 'Send a request that came over HTTP to the same URI over HTTPS: 301 for GET and HEAD, else 308.',
      },
      encode_uri: { type: 'boolean', default: false, description: 'Percent-encode the Location up to its query.' },
      append_query_string: {
        type: 'boolean',
        default: false,
        description: "Add the request's query to the Location.",
      },
    },
    oneOf: [{ required: ['uri'] }, { required: ['regex_uri'] }, { required: ['http_to_https'] }],
  },

  compile(config, { attributes }) {
    if (config.http_to_https === true && config.append_query_string) {
      throw new ConfigError('only one of `http_to_https` and `append_query_string` can be configured.');
    }
    return {
      code: config.ret_code,
      location: compileLocation(config),
      toHttps: config.http_to_https === true,
      httpsPort: httpsPort(attributes['https_port']),
      encode: config.encode_uri,
      appendQuery: config.append_query_string,
    };
  },

  rewrite(state, exchange) {
    if (state.toHttps) {
      // A trusted proxy in front may have ended TLS; the header of any other peer is gone by now.
      if ((exchange.headers.get('x-forwarded-proto') ?? exchange.scheme) !== 'http') return undefined;
      const code = exchange.method === 'GET' || exchange.method === 'HEAD' ? 301 : 308;
      return answer(code, httpsLocation(state, exchange));
    }
    let location = state.location?.(exchange);
    if (location === undefined) return undefined;
    const question = location.indexOf('?');
    if (state.encode) {
      const end = question === -1 ? location.length : question;
      // Brackets stay: a Location may name an IPv6 host.
      const encoded = encodePath(location.slice(0, end)).replaceAll('%5B', '[').replaceAll('%5D', ']');
      location = encoded + location.slice(end);
    }
    const query = exchange.upstream.query ?? exchange.query;
    if (state.appendQuery && query !== '') location += `${question === -1 ? '?' : '&'}${query}`;
    return answer(state.code, location);
  },
});

function answer(status: number, location: string) {
  return { status, headers: { Location: encodeUnsafe(location) }, reason: 'redirect.redirected' };
}

function compileLocation({ uri, regex_uri: pair }: Config): State['location'] {
  if (uri !== undefined) return ownSite(uri, compileTextTemplate(uri));
  if (pair === undefined) return undefined;
  const [regex, template] = pair;
  let pattern: RegExp;
  try {
    pattern = compileRegex(regex);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError(`invalid regex_uri (${regex}, ${template}), err:${error.message}`, { cause: error });
  }
  const replacement = compileTextTemplate(template);
  return ownSite(template, (exchange) => {
    const match = pattern.exec(exchange.path);
    return match === null ? undefined : replaceMatch(exchange.path, match, replacement(exchange, match));
  });
}

/** What a client sent does not make another site of a path: `//host` is one where the configuration begins with it, and nowhere else. */
function ownSite(configured: string, location: NonNullable<State['location']>): NonNullable<State['location']> {
  if (configured.startsWith('//')) return location;
  return (exchange) => location(exchange)?.replace(/^\/{2,}/, '/');
}

function httpsLocation(state: State, exchange: Exchange): string {
  // RFC 9112 §3.2: an absolute-form target names scheme and host itself, `*` names no path.
  const path = exchange.target.replace(/^https?:\/\/[^/?]*/i, '');
  const host = exchange.host === '' ? exchange.serverAddress : exchange.host;
  return `https://${host}${state.httpsPort}${path.startsWith('/') ? path : `/${path.replace(/^\*/, '')}`}`;
}

/** `plugin_attr.redirect.https_port`; anything that is no other port than 443 leaves the port out. */
function httpsPort(configured: unknown): string {
  const valid =
    typeof configured === 'number' && Number.isInteger(configured) && configured > 0 && configured <= 65_535;
  return valid && configured !== 443 ? `:${String(configured)}` : '';
}
