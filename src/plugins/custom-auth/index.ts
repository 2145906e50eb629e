/**
 * custom-auth: a function of yours decides whether a request passes, and the gateway remembers its verdict. Runs in `rewrite`, after
 * the auth plugins. The function is told the request's headers, query and, with `is_send_body`, its body; only an answer with
 * `"api-auth": true` lets the request pass. Every other answer is a refusal (`rejected_code`); a function that fails, times out or
 * answers what cannot be read is unavailable (503). It may name a consumer, set headers upstream and say how long its verdict holds.
 * With `cache_time`, a verdict is kept by the values of the verification parameters, and by what `cache_key` lists.
 * docs/custom-verification.md tells how to write one.
 */
import { hash } from 'node:crypto';
import { Admission } from '../../plugin/authorizer/admission.ts';
import { Authorizer } from '../../plugin/authorizer/authorizer.ts';
import type { Verdict } from '../../plugin/authorizer/verdict.ts';
import type { Exchange } from '../../plugin/exchange.ts';
import { definePlugin, type Reply } from '../../plugin/plugin.ts';
import { queryValues } from '../../plugin/uri.ts';
import { field, fields } from '../../plugin/verdict-cache/verdict-key.ts';
import { readAnswer } from './answer.ts';
import { createCaller, type Caller } from './callers.ts';
import { writeEvent, type EventParameters } from './event.ts';
import { checkConfig, schema, type Config, type KeyInput } from './schema.ts';

interface State {
  readonly config: Config;
  readonly authorizer: Authorizer;
  readonly admission: Admission;
  readonly caller: Caller;
  readonly parameters: EventParameters;
  readonly keyInputs: ReadonlySet<KeyInput>;
  readonly cacheMs: number;
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
    const timeoutMs = (config.endpoint_timeout === 0 ? longestSeconds : config.endpoint_timeout) * 1000;
    const cacheMs = config.cache_time * 1000;
    return {
      config,
      admission: new Admission('upstream_headers', config.upstream_headers, deps.credentials),
      authorizer: new Authorizer({ plugin: 'custom-auth', config, cacheMs, timeoutMs }, deps),
      caller: createCaller(config, timeoutMs, deps),
      parameters: { headers: config.header_auth_parameters ?? [], queries: config.query_auth_parameters ?? [] },
      keyInputs: new Set(config.cache_key),
      cacheMs,
    };
  },

  dispose(state) {
    state.caller.close();
  },

  rewrite(state, exchange) {
    const { config, authorizer, caller, parameters, keyInputs, cacheMs } = state;
    const wanted = config.is_send_body;
    const bodyOptions = { wanted, maxBytes: config.max_body_size, unkeyed: !keyInputs.has('body') };
    return authorizer.withBody(exchange, bodyOptions, (body) =>
      authorizer.judge(exchange, {
        inputs: () => inputsOf(state, exchange, body),
        ask: async () => readAnswer(await caller.call(writeEvent(exchange, parameters, body)), cacheMs),
        apply: (verdict) => apply(state, exchange, verdict),
      }),
    );
  },
});

/** All that a verdict is kept by, beside the caller. */
function inputsOf({ caller, parameters, keyInputs }: State, exchange: Exchange, body: Uint8Array | undefined): string {
  const { headers } = exchange;
  let text = field(caller.revision());
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

function apply({ config, admission }: State, exchange: Exchange, verdict: Verdict): Reply | undefined {
  if (!verdict.passes) return refuse(config, verdict, 'refused');
  if (admission.admit(exchange, verdict)) return undefined;
  const detail = `the function named ${JSON.stringify(verdict.consumer)}, which is no consumer`;
  return { ...refuse(config, {}, 'unknown_consumer'), detail };
}

function refuse(config: Config, verdict: Pick<Verdict, 'status' | 'body'>, reason: string): Reply {
  const { status = config.rejected_code, body } = verdict;
  return {
    status,
    ...(status === 401 ? { headers: { 'WWW-Authenticate': config.challenge } } : {}),
    body: { message: body ?? config.rejected_msg },
    reason: `custom-auth.${reason}`,
  };
}
