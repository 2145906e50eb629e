/**
 * custom-auth: a function of yours decides whether a request passes, and the gateway remembers its verdict. Runs in `rewrite`, after
 * the auth plugins. The function is told the request's headers, query and, with `is_send_body`, its body; only an answer with
 * `"api-auth": true` lets the request pass. Every other answer is a refusal (`rejected_code`); a function that fails, times out or
 * answers what cannot be read is unavailable (503). It may name a consumer, set headers upstream and say how long its verdict holds.
 * With `cache_time`, a verdict is kept by the values of the verification parameters, and by what `cache_key` lists.
 * docs/custom-verification.md tells how to write one.
 */
import { hash } from 'node:crypto';
import { ConfigError } from '../../errors/gateway-error.ts';
import { Authorizer } from '../../plugin/authorizer/authorizer.ts';
import { mayHaveBody, noVerdict } from '../../plugin/authorizer/outside.ts';
import { headerProblem, setUpstreamHeaders, type Verdict } from '../../plugin/authorizer/verdict.ts';
import type { Exchange } from '../../plugin/exchange.ts';
import { foldedNames, removeSpellings } from '../../plugin/identity-headers.ts';
import {
  definePlugin,
  type CredentialIndex,
  type MaybeAsync,
  type PluginLog,
  type Reply,
} from '../../plugin/plugin.ts';
import { queryValues } from '../../plugin/uri.ts';
import { field, fields } from '../../plugin/verdict-cache/verdict-key.ts';
import { readAnswer } from './answer.ts';
import { createCaller, type Caller } from './callers.ts';
import { writeEvent, type EventParameters } from './event.ts';
import { checkConfig, schema, type Config, type KeyInput } from './schema.ts';

interface State {
  readonly config: Config;
  readonly authorizer: Authorizer;
  readonly caller: Caller;
  readonly parameters: EventParameters;
  readonly keyInputs: ReadonlySet<KeyInput>;
  /** Folded. */
  readonly ownHeaders: ReadonlySet<string>;
  readonly cacheMs: number;
  readonly credentials: Pick<CredentialIndex, 'consumer'>;
  readonly log: PluginLog;
}

/** Where `endpoint_timeout` is 0. */
const longestSeconds = 1800;

export const customAuth = definePlugin<Config, State>({
  name: 'custom-auth',
  priority: 2450,
  version: '0.1',
  decides: true,
  schema,

  compile(config, deps) {
    checkConfig(config);
    for (const name of config.upstream_headers) {
      const problem = headerProblem(name, '');
      if (problem !== undefined) throw new ConfigError(`upstream_headers: ${problem}`);
    }
    const timeoutMs = (config.endpoint_timeout === 0 ? longestSeconds : config.endpoint_timeout) * 1000;
    const cacheMs = config.cache_time * 1000;
    return {
      config,
      authorizer: new Authorizer({ plugin: 'custom-auth', config, cacheMs, timeoutMs }, deps),
      caller: createCaller(config, timeoutMs, deps),
      parameters: { headers: config.header_auth_parameters ?? [], queries: config.query_auth_parameters ?? [] },
      keyInputs: new Set(config.cache_key),
      ownHeaders: foldedNames(config.upstream_headers),
      cacheMs,
      credentials: deps.credentials,
      log: deps.log,
    };
  },

  dispose(state) {
    state.caller.close();
  },

  rewrite(state, exchange) {
    const { config, authorizer, keyInputs } = state;
    if (!config.is_send_body || !mayHaveBody(exchange)) return decide(state, exchange, undefined);
    if (!exchange.dryRun) return exchange.body(config.max_body_size).then((body) => decide(state, exchange, body));
    return keyInputs.has('body') ? authorizer.notAsked(true) : decide(state, exchange, undefined);
  },
});

function decide(state: State, exchange: Exchange, body: Uint8Array | undefined): MaybeAsync {
  const { authorizer, caller, parameters, cacheMs } = state;
  const inputs = authorizer.caches ? inputsOf(state, exchange, body) : '';
  const verdict = authorizer.decide(exchange, inputs, async () =>
    readAnswer(await caller.call(writeEvent(exchange, parameters, body)), cacheMs),
  );
  if (verdict instanceof Promise) {
    return verdict.then(
      (found) => apply(state, exchange, found),
      (error: unknown) => noVerdict('custom-auth', 503, state.log, error),
    );
  }
  return verdict === undefined ? authorizer.notAsked() : apply(state, exchange, verdict);
}

/** All that a verdict is kept by. */
function inputsOf({ caller, parameters, keyInputs }: State, exchange: Exchange, body: Uint8Array | undefined): string {
  const { consumer, headers } = exchange;
  let text = field(caller.revision());
  text += field(consumer?.username) + field(consumer?.credentialId) + field(consumer?.groupId);
  if (keyInputs.has('method')) text += field(exchange.method);
  if (keyInputs.has('host')) text += field(exchange.scheme) + field(exchange.host);
  if (keyInputs.has('path')) text += field(exchange.path);
  if (keyInputs.has('remote_addr')) text += field(exchange.remoteAddress);
  if (keyInputs.has('body'))
    text += field(body === undefined || body.length === 0 ? undefined : hash('sha256', body, 'base64url'));
  for (const name of parameters.headers) text += fields(headers.getAll(name));
  for (const name of parameters.queries) text += fields(queryValues(exchange.query, name));
  return text;
}

function apply(state: State, exchange: Exchange, verdict: Verdict): Reply | undefined {
  if (!verdict.passes) return refuse(state, verdict, 'refused');
  removeSpellings(exchange.headers, state.ownHeaders);
  if (verdict.consumer !== undefined) {
    const consumer = state.credentials.consumer(verdict.consumer);
    if (consumer === undefined) {
      if (!exchange.dryRun)
        state.log.error('the function named a consumer that does not exist', { consumer: verdict.consumer });
      return refuse(state, {}, 'unknown_consumer');
    }
    setUpstreamHeaders(exchange, verdict.headers);
    exchange.authenticate(consumer);
  } else setUpstreamHeaders(exchange, verdict.headers);
  return undefined;
}

function refuse({ config }: State, verdict: Pick<Verdict, 'status' | 'body'>, reason: string): Reply {
  const { status = config.rejected_code, body } = verdict;
  return {
    status,
    ...(status === 401 ? { headers: { 'WWW-Authenticate': config.challenge } } : {}),
    body: { message: body ?? config.rejected_msg },
    reason: `custom-auth.${reason}`,
  };
}
