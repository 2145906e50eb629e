/**
 * forward-auth: an authorisation service decides; 2xx lets the request pass, any other answer is the client's. Runs in `access`; with
 * `consumer_header` in `rewrite`, so that the consumer's plugins take part. The service is told the request by X-Forwarded-Proto,
 * -Method, -Host, -Uri and -For, and by what `request_headers` and `extra_headers` list. Where it cannot be reached or does not
 * answer, the request is refused with `status_on_error`. With `cache`, a verdict is kept by all that the service was sent; the
 * answer's Cache-Control may shorten it; of refusals only 401 and 403 are kept, and none that sets a cookie.
 * APISIX: X-Forwarded-Uri is the normalised path that routing matched, not the target as the client wrote it.
 * APISIX: an answer of 3xx is a refusal whatever it is; one below 200 is no answer.
 */
import { hash } from 'node:crypto';
import { ConfigError } from '../../errors/gateway-error.ts';
import { Admission } from '../../plugin/authorizer/admission.ts';
import { Authorizer, type Asked } from '../../plugin/authorizer/authorizer.ts';
import { freshnessOf } from '../../plugin/authorizer/outside.ts';
import { AuthorizerError, headerProblem, type Verdict } from '../../plugin/authorizer/verdict.ts';
import type { Exchange } from '../../plugin/exchange.ts';
import { pickHttpClientOptions, type HttpClient, type HttpResponse } from '../../plugin/http-client/index.ts';
import { definePlugin, type MaybeAsync, type PluginLog, type Reply } from '../../plugin/plugin.ts';
import { parsePostArgs } from '../../plugin/post-args.ts';
import { field, fields } from '../../plugin/verdict-cache/verdict-key.ts';
import { compileHeaders, type OutgoingHeaders, type SentHeaders } from './outgoing.ts';
import { ownFields, schema, type Config } from './schema.ts';

interface State {
  readonly config: Config;
  readonly outgoing: OutgoingHeaders;
  readonly authorizer: Authorizer;
  readonly admission: Admission;
  readonly client: HttpClient;
  readonly log: PluginLog;
}

const contextKey = 'forward-auth';
/** A refusal is a page at most. */
const maxAnswerBytes = 1_048_576;

export const forwardAuth = definePlugin<Config, State>({
  name: 'forward-auth',
  priority: 2002,
  version: '0.1',
  decides: true,
  schema,

  compile(config, deps) {
    if (!URL.canParse(config.uri)) throw new ConfigError('uri: is no URL');
    const { timeout: timeoutMs, status_on_error: statusOnError } = config;
    return {
      config,
      outgoing: compileHeaders(config.request_headers, config.extra_headers ?? {}, config.request_method === 'POST'),
      admission: new Admission('upstream_headers', config.upstream_headers, deps.credentials),
      authorizer: new Authorizer(
        { plugin: 'forward-auth', config, cacheMs: cacheMsOf(config), timeoutMs, statusOnError },
        deps,
      ),
      client: deps.http.client(pickHttpClientOptions({ ...config }, ownFields)),
      log: deps.log,
    };
  },

  dispose(state) {
    state.client.close();
  },

  rewrite(state, exchange) {
    return state.config.consumer_header === undefined ? undefined : run(state, exchange);
  },

  access(state, exchange) {
    return state.config.consumer_header === undefined ? run(state, exchange) : undefined;
  },

  headerFilter(_, exchange) {
    const further = exchange.context.get(contextKey) as readonly (readonly [string, string])[] | undefined;
    for (const [name, value] of further ?? []) exchange.response.headers.append(name, value);
  },
});

function cacheMsOf({ cache }: Config): number {
  return (cache?.ttl ?? 0) * 1000;
}

function run(state: State, exchange: Exchange): MaybeAsync {
  const { config, outgoing, authorizer } = state;
  const sendsBody = config.request_method === 'POST';
  const bodyOptions = { wanted: sendsBody || outgoing.readsBody, maxBytes: config.max_body_size };
  return authorizer.withBody(exchange, bodyOptions, (body) => {
    if (outgoing.readsBody && body !== undefined)
      exchange.context.set('post_args', parsePostArgs(exchange.headers.get('content-type'), body));
    return judge(state, exchange, sendsBody ? body : undefined);
  });
}

function judge(state: State, exchange: Exchange, body: Uint8Array | undefined): MaybeAsync {
  const { config, authorizer } = state;
  const headers = state.outgoing.of(exchange);
  if (headers === undefined)
    return {
      status: 400,
      body: { message: 'A value cannot be sent in a header' },
      reason: 'forward-auth.unsafe_value',
    };
  return authorizer.judge(exchange, {
    inputs: () => inputsOf(headers, body),
    ask: () => ask(state, headers, body),
    apply: (verdict) => apply(state, exchange, verdict),
    withoutVerdict: (refusal) => (config.allow_degradation ? degrade(state, exchange, refusal) : refusal),
  });
}

/** All that the service is sent, and nothing else: two requests with equal inputs are one to it. */
function inputsOf(headers: SentHeaders, body: Uint8Array | undefined): string {
  let text = field(body === undefined ? undefined : hash('sha256', body, 'base64url'));
  for (const name in headers) text += field(name) + fields(headers[name] ?? []);
  return text;
}

async function ask({ config, client }: State, headers: SentHeaders, body: Uint8Array | undefined): Promise<Asked> {
  const response = await client.request({
    method: config.request_method,
    url: config.uri,
    headers,
    ...(body === undefined ? {} : { body }),
    maxResponseBytes: maxAnswerBytes,
  });
  const { status } = response;
  const passes = status >= 200 && status <= 299;
  const verdict = passes ? passing(config, response) : refusal(config, response);
  const keeps = passes || ((status === 401 || status === 403) && response.headers.get('set-cookie') === undefined);
  const fresh = freshnessOf(response.headers.getAll('cache-control').join(','));
  return { verdict, ttlMs: keeps ? (fresh ?? cacheMsOf(config)) : 0 };
}

function passing({ upstream_headers, consumer_header }: Config, response: HttpResponse): Verdict {
  const consumer = consumer_header === undefined ? undefined : (response.headers.get(consumer_header) ?? '');
  return { passes: true, headers: pick(upstream_headers, response), ...(consumer === undefined ? {} : { consumer }) };
}

function refusal({ client_headers }: Config, response: HttpResponse): Verdict {
  return { passes: false, status: response.status, headers: pick(client_headers, response), body: response.text() };
}

function pick(names: readonly string[], { headers }: HttpResponse): [string, string][] {
  return names.flatMap((name) =>
    headers.getAll(name).map((value): [string, string] => {
      const problem = headerProblem(name, value);
      if (problem !== undefined) throw new AuthorizerError('unusable_answer', problem);
      return [name, value];
    }),
  );
}

function apply({ admission }: State, exchange: Exchange, verdict: Verdict): Reply | undefined {
  if (!verdict.passes) return refuse(exchange, verdict);
  if (admission.admit(exchange, verdict)) return undefined;
  const reason = verdict.consumer === '' ? 'consumer_missing' : 'unknown_consumer';
  return { status: 403, body: { message: 'Forbidden' }, reason: `forward-auth.${reason}` };
}

/** A reply has one field of a name: further ones (Set-Cookie) are added to the response. */
function refuse(exchange: Exchange, { status = 403, headers = [], body = '' }: Verdict): Reply {
  const first: Record<string, string> = {};
  const further: (readonly [string, string])[] = [];
  for (const [name, value] of headers) {
    if (Object.hasOwn(first, name)) further.push([name, value]);
    else first[name] = value;
  }
  if (further.length > 0) exchange.context.set(contextKey, further);
  return { status, headers: first, body, reason: 'forward-auth.refused', detail: `the service answered ${status}` };
}

function degrade({ admission, log }: State, exchange: Exchange, { reason }: Reply): undefined {
  admission.admit(exchange, {});
  log.warn('request passes without a verdict: allow_degradation', { reason });
}
