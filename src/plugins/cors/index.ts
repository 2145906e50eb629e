/**
 * cors: answers preflight requests and tells browsers which other origins may read a response (WHATWG Fetch, CORS protocol).
 * Every OPTIONS request ends here with 200, before authentication; the headers are set in `header_filter`, on refusals too.
 * An origin that nothing allows gets no CORS header at all.
 */
import { ConfigError } from '../../errors/gateway-error.ts';
import { compileRegex } from '../../expression/regex.ts';
import { headerLiteral } from '../../plugin/header-operations.ts';
import { definePlugin } from '../../plugin/plugin.ts';

interface Config {
  allow_origins: string;
  allow_methods: string;
  allow_headers: string;
  expose_headers: string;
  max_age: number;
  allow_credential: boolean;
  allow_origins_by_regex?: string[];
  allow_origins_by_metadata?: string[];
  timing_allow_origins?: string;
  timing_allow_origins_by_regex?: string[];
}

/** The value to answer an origin with; undefined: not allowed. */
type OriginRule = (origin: string | undefined) => string | undefined;

interface State {
  readonly allowed: OriginRule;
  readonly timing: OriginRule | undefined;
  /** What comes back depends on the request's Origin: caches must know. */
  readonly varies: boolean;
  readonly methods: string;
  /** undefined: those that the client asks for. */
  readonly headers: string | undefined;
  readonly exposed: string;
  readonly maxAge: string;
  readonly credentials: boolean;
}

const contextKey = 'cors:origin';
const origins = { type: 'string', pattern: '^(\\*|\\*\\*|null|\\w+://[^,]+(,\\w+://[^,]+)*)$' };
const regexes = {
  type: 'array',
  minItems: 1,
  uniqueItems: true,
  items: { type: 'string', minLength: 1, maxLength: 4096 },
};

export const cors = definePlugin<Config, State>({
  name: 'cors',
  priority: 4000,
  version: '0.1',
  schema: {
    type: 'object',
    properties: {
      allow_origins: {
        ...origins,
        default: '*',
        description:
          'Origins as `scheme://host:port`, separated by commas; `*` all, without credentials; `**` all, whatever the risk.',
      },
      allow_methods: {
        type: 'string',
        default: '*',
        description: 'Methods, separated by commas; `*` all, without credentials; `**` all, whatever the risk.',
      },
      allow_headers: {
        type: 'string',
        default: '*',
        description:
          'Request headers, separated by commas; `*` all, without credentials; `**` those the browser asks for.',
      },
      expose_headers: {
        type: 'string',
        default: '*',
        description: 'Response headers that scripts may read, separated by commas; `*` all, without credentials.',
      },
      max_age: {
        type: 'integer',
        default: 5,
        description: 'Seconds a browser may keep the answer to a preflight; -1: not at all.',
      },
      allow_credential: {
        type: 'boolean',
        default: false,
        description: 'Cookies and other credentials may be sent; excludes `*` everywhere else.',
      },
      allow_origins_by_regex: {
        ...regexes,
        description: 'Patterns searched in the origin; stand in place of allow_origins. End them with `$`.',
      },
      allow_origins_by_metadata: {
        type: 'array',
        minItems: 1,
        uniqueItems: true,
        items: { type: 'string', minLength: 1, maxLength: 4096 },
        description: 'Names in `allow_origins` of the plugin metadata: origins kept in one place.',
      },
      timing_allow_origins: { ...origins, description: 'Origins that may read resource timings.' },
      timing_allow_origins_by_regex: {
        ...regexes,
        description: 'Patterns searched in the origin, in place of timing_allow_origins.',
      },
    },
  },
  metadataSchema: {
    type: 'object',
    properties: {
      allow_origins: {
        type: 'object',
        additionalProperties: origins,
        description: 'Name → origins, in the form of the configuration’s allow_origins.',
      },
    },
  },

  compile(config, deps) {
    const { allow_origins: list, allow_methods: methods, allow_headers: headers, expose_headers: exposed } = config;
    if (config.allow_credential && [list, methods, headers, exposed].includes('*'))
      throw new ConfigError("you can not set '*' for other option when 'allow_credential' is true");
    const own =
      config.allow_origins_by_regex === undefined
        ? compileOrigins(list)
        : compilePatterns(config.allow_origins_by_regex);
    const byMetadata = config.allow_origins_by_metadata;
    const timing = config.timing_allow_origins_by_regex;
    return {
      allowed:
        byMetadata === undefined ? own : (origin) => own(origin) ?? fromMetadata(origin, byMetadata, deps.metadata()),
      timing:
        timing !== undefined
          ? compilePatterns(timing)
          : config.timing_allow_origins === undefined
            ? undefined
            : compileOrigins(config.timing_allow_origins),
      varies: list !== '*' || config.allow_origins_by_regex !== undefined,
      methods:
        methods === '**'
          ? 'GET,POST,PUT,DELETE,PATCH,HEAD,OPTIONS,CONNECT,TRACE'
          : headerLiteral('allow_methods', 'Access-Control-Allow-Methods', methods),
      headers: headers === '**' ? undefined : headerLiteral('allow_headers', 'Access-Control-Allow-Headers', headers),
      exposed: headerLiteral('expose_headers', 'Access-Control-Expose-Headers', exposed),
      maxAge: String(config.max_age),
      credentials: config.allow_credential,
    };
  },

  rewrite(_state, exchange) {
    const origin = exchange.headers.get('origin');
    // A later plugin may change the header on its way upstream.
    if (origin !== undefined) exchange.context.set(contextKey, origin);
    return exchange.method === 'OPTIONS' ? { status: 200, reason: 'cors.preflight' } : undefined;
  },

  headerFilter(state, exchange) {
    const { headers } = exchange.response;
    const kept = exchange.context.get(contextKey);
    const origin = typeof kept === 'string' ? kept : undefined;
    if (state.varies) headers.append('Vary', 'Origin');
    const timing = state.timing?.(origin);
    if (timing !== undefined) headers.set('Timing-Allow-Origin', timing);
    const allowed = state.allowed(origin);
    if (allowed === undefined) return;
    headers.set('Access-Control-Allow-Origin', allowed);
    headers.set('Access-Control-Allow-Methods', state.methods);
    headers.set('Access-Control-Max-Age', state.maxAge);
    headers.set('Access-Control-Expose-Headers', state.exposed);
    const requested = state.headers ?? exchange.headers.get('access-control-request-headers');
    if (requested === undefined) headers.remove('Access-Control-Allow-Headers');
    else headers.set('Access-Control-Allow-Headers', requested);
    if (state.credentials) headers.set('Access-Control-Allow-Credentials', 'true');
  },
});

function compileOrigins(list: string): OriginRule {
  if (list === '*') return () => '*';
  if (list === '**') return (origin) => origin ?? '*';
  const allowed = new Set(list.split(','));
  return (origin) => (origin !== undefined && allowed.has(origin) ? origin : undefined);
}

function compilePatterns(patterns: readonly string[]): OriginRule {
  const compiled = patterns.map((pattern) => compileRegex(pattern));
  return (origin) => (origin !== undefined && compiled.some((pattern) => pattern.test(origin)) ? origin : undefined);
}

/** The metadata changes without the configuration: read as of now. */
function fromMetadata(
  origin: string | undefined,
  names: readonly string[],
  metadata: Readonly<Record<string, unknown>> | undefined,
): string | undefined {
  const lists = metadata?.['allow_origins'];
  if (typeof lists !== 'object' || lists === null) return undefined;
  for (const name of names) {
    const list = Object.hasOwn(lists, name) ? (lists as Record<string, unknown>)[name] : undefined;
    const allowed = typeof list === 'string' ? compileOrigins(list)(origin) : undefined;
    if (allowed !== undefined) return allowed;
  }
  return undefined;
}
