/**
 * opa: Open Policy Agent decides, by a policy of yours. Runs in `access`. The policy is evaluated with the request as its input; only
 * `allow: true` lets the request pass. `reason`, `headers` and `status_code` of its result make the refusal. Where OPA cannot be
 * reached, fails, or has no such policy, the request is refused with 503. With `cache`, a verdict is kept by all that OPA is sent but
 * the time and the client's port.
 * APISIX: an OPA that cannot be reached is 503, not 403: it is no refusal.
 * APISIX: `with_route`, `with_service` and `with_consumer` send what identifies them, never their plugins' configuration, which holds keys.
 * APISIX: a result that is `true` itself lets the request pass; `with_body` and `cache` are here beside.
 */
import { hash } from 'node:crypto';
import { isUtf8 } from 'node:buffer';
import { ConfigError } from '../../errors/gateway-error.ts';
import { Admission } from '../../plugin/authorizer/admission.ts';
import { Authorizer, type Asked } from '../../plugin/authorizer/authorizer.ts';
import { callSchema, headerListSchema, maxBodySchema, ttlSchema } from '../../plugin/authorizer/outside.ts';
import { AuthorizerError, headerProblem, type Verdict } from '../../plugin/authorizer/verdict.ts';
import type { Exchange } from '../../plugin/exchange.ts';
import { pickHttpClientOptions, type HttpClient, type HttpClientOptions } from '../../plugin/http-client/index.ts';
import { definePlugin, type Reply } from '../../plugin/plugin.ts';
import { field } from '../../plugin/verdict-cache/verdict-key.ts';
import { inputOf, type InputOptions } from './input.ts';

interface Config extends HttpClientOptions, InputOptions {
  host: string;
  policy: string;
  timeout: number;
  with_body: boolean;
  max_body_size: number;
  send_headers_upstream: string[];
  cache?: { ttl: number; headers?: string[] };
}

interface State {
  readonly config: Config;
  readonly url: string;
  readonly authorizer: Authorizer;
  readonly admission: Admission;
  readonly client: HttpClient;
  /** Headers that OPA is sent, in lower case; undefined: all. */
  readonly sentHeaders: ReadonlySet<string> | undefined;
  /** Headers of a result that go upstream, in lower case. */
  readonly upstreamHeaders: ReadonlySet<string>;
  readonly cacheMs: number;
}

const maxAnswerBytes = 1_048_576;
const ownFields = [
  'host',
  'policy',
  'with_route',
  'with_service',
  'with_consumer',
  'with_body',
  'max_body_size',
  'send_headers_upstream',
  'cache',
];
const flag = { type: 'boolean', default: false };

export const opa = definePlugin<Config, State>({
  name: 'opa',
  priority: 2001,
  version: '0.1',
  decides: true,
  schema: {
    type: 'object',
    properties: {
      host: { type: 'string', pattern: '^https?://.+', description: 'Where OPA is, such as `https://localhost:8181`.' },
      policy: {
        type: 'string',
        minLength: 1,
        maxLength: 256,
        description: 'Path of the policy: its package, and perhaps a rule of it, with `/`.',
      },
      with_route: { ...flag, description: 'Tell OPA the route: id, name, URI, host and labels.' },
      with_service: { ...flag, description: 'Tell OPA the service: id and name.' },
      with_consumer: {
        ...flag,
        description: 'Tell OPA the consumer: username, group, custom id, credential and labels.',
      },
      with_body: { ...flag, description: 'Tell OPA the body, as `input.request.body`.' },
      max_body_size: maxBodySchema,
      send_headers_upstream: {
        ...headerListSchema,
        default: [],
        description: 'Headers of the result that go upstream. What a client sends under these names is always removed.',
      },
      cache: {
        type: 'object',
        description: 'Keep verdicts, by all that OPA is sent. Off where absent.',
        properties: {
          ttl: ttlSchema,
          headers: {
            ...headerListSchema,
            description: 'The only headers that OPA is sent, and verdicts kept by. All where absent.',
          },
        },
        required: ['ttl'],
        additionalProperties: false,
      },
      ...callSchema,
    },
    required: ['host', 'policy'],
    encrypt_fields: ['ssl_key'],
  },

  compile(config, deps) {
    const { send_headers_upstream: upstreamHeaders, cache } = config;
    const cacheMs = (cache?.ttl ?? 0) * 1000;
    return {
      config,
      url: policyUrl(config.host, config.policy),
      admission: new Admission('send_headers_upstream', upstreamHeaders, deps.credentials),
      authorizer: new Authorizer({ plugin: 'opa', config, cacheMs, timeoutMs: config.timeout }, deps),
      client: deps.http.client(pickHttpClientOptions({ ...config }, ownFields)),
      sentHeaders: cache?.headers === undefined ? undefined : new Set(cache.headers.map((name) => name.toLowerCase())),
      upstreamHeaders: new Set(upstreamHeaders.map((name) => name.toLowerCase())),
      cacheMs,
    };
  },

  dispose(state) {
    state.client.close();
  },

  access(state, exchange) {
    const { config, authorizer, sentHeaders } = state;
    const bodyOptions = { wanted: config.with_body, maxBytes: config.max_body_size };
    return authorizer.withBody(exchange, bodyOptions, (body) => {
      const input = inputOf(exchange, config, sentHeaders, body === undefined ? undefined : bodyText(body));
      return authorizer.judge(exchange, {
        inputs: () => keyOf(input),
        ask: () => ask(state, input),
        apply: (verdict) => apply(state, exchange, verdict),
      });
    });
  },
});

/** Segments are encoded: a policy is a name, not a way out of `/v1/data`. */
function policyUrl(host: string, policy: string): string {
  const segments = policy.split('/').filter((segment) => segment !== '');
  if (!URL.canParse(host)) throw new ConfigError('host: is no URL');
  if (segments.length === 0 || segments.some((segment) => segment === '.' || segment === '..'))
    throw new ConfigError('policy: is no path of a policy');
  return `${host.replace(/\/+$/, '')}/v1/data/${segments.map(encodeURIComponent).join('/')}`;
}

function bodyText(body: Uint8Array): string {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  return bytes.toString(isUtf8(bytes) ? 'utf8' : 'base64');
}

/** The input but for what differs in every request. JSON delimits its fields itself. */
function keyOf(input: ReturnType<typeof inputOf>): string {
  const { timestamp: _timestamp, remote_port: _port, ...kept } = input.var;
  return field(hash('sha256', JSON.stringify({ ...input, var: kept }), 'base64url'));
}

async function ask({ url, client, cacheMs, upstreamHeaders }: State, input: object): Promise<Asked> {
  const response = await client.request({
    method: 'POST',
    url,
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ input }),
    // A policy only looks.
    idempotent: true,
    maxResponseBytes: maxAnswerBytes,
  });
  if (response.status !== 200) throw new AuthorizerError('unavailable', `OPA answered with status ${response.status}`);
  const result = (response.json() as { result?: unknown } | null)?.result;
  if (result === undefined) throw new AuthorizerError('no_policy', 'OPA has no result: is there such a policy?');
  return { verdict: readResult(result, upstreamHeaders), ttlMs: cacheMs };
}

function readResult(result: unknown, upstreamHeaders: ReadonlySet<string>): Verdict {
  if (typeof result === 'boolean') return { passes: result };
  if (typeof result !== 'object' || result === null || Array.isArray(result))
    throw new AuthorizerError('unusable_answer', 'the result is neither an object nor a boolean');
  const { allow, reason, headers, status_code: status } = result as Record<string, unknown>;
  const pairs = headersOf(headers);
  if (allow === true)
    return { passes: true, headers: pairs.filter(([name]) => upstreamHeaders.has(name.toLowerCase())) };
  const known = typeof status === 'number' && Number.isInteger(status) && status >= 200 && status <= 599;
  return {
    passes: false,
    headers: pairs,
    ...(known ? { status } : {}),
    ...(reason === undefined || reason === null
      ? {}
      : { body: typeof reason === 'string' ? reason : JSON.stringify(reason) }),
  };
}

function headersOf(headers: unknown): [string, string][] {
  if (headers === undefined || headers === null) return [];
  if (typeof headers !== 'object' || Array.isArray(headers))
    throw new AuthorizerError('unusable_answer', 'headers is no object');
  return Object.entries(headers).flatMap(([name, value]: [string, unknown]) =>
    (Array.isArray(value) ? value : [value]).map((one: unknown): [string, string] => {
      const text =
        typeof one === 'string' ? one : typeof one === 'number' || typeof one === 'boolean' ? String(one) : undefined;
      const problem = text === undefined ? `the header ${name} is no text` : headerProblem(name, text);
      if (problem !== undefined || text === undefined) throw new AuthorizerError('unusable_answer', problem ?? '');
      return [name, text];
    }),
  );
}

function apply({ admission }: State, exchange: Exchange, verdict: Verdict): Reply | undefined {
  if (verdict.passes) {
    admission.admit(exchange, verdict);
    return undefined;
  }
  const { status = 403, headers = [], body } = verdict;
  return {
    status,
    headers: Object.fromEntries(headers),
    ...(body === undefined ? {} : { body }),
    reason: 'opa.refused',
  };
}
