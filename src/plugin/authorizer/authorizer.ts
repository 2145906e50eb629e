/**
 * Asks an outside authoriser about a request, or takes what it said before: the calling code of custom-auth, forward-auth and opa. On
 * the request path. Invariants: no verdict, no passing; a failure is never kept; explain asks nobody and counts nothing.
 */
import { hash } from 'node:crypto';
import { GatewayError } from '../../errors/gateway-error.ts';
import type { AuthenticatedConsumer, Exchange } from '../exchange.ts';
import { FunctionError } from '../functions.ts';
import { HttpClientError } from '../http-client/http-client-error.ts';
import type { MaybeAsync, PluginDeps, Reply } from '../plugin.ts';
import { SharedFailure, type Fetched, type VerdictCache } from '../verdict-cache/verdict-cache.ts';
import { field } from '../verdict-cache/verdict-key.ts';
import { FailureLog } from './failure-log.ts';
import { AuthorizerError, readVerdict, writeVerdict, type Verdict } from './verdict.ts';

/** What asking brought. `ttlMs`: how long it may be kept; 0: it is for this request alone. */
export interface Asked {
  readonly verdict: Verdict;
  readonly ttlMs: number;
}

export interface AuthorizerOptions {
  readonly plugin: string;
  /** Part of every key: another configuration has other verdicts. */
  readonly config: unknown;
  /** 0: nothing is kept. */
  readonly cacheMs: number;
  /** The authoriser answers, or is given up, within. */
  readonly timeoutMs: number;
  /** Where there is no verdict; default 503. */
  readonly statusOnError?: number;
}

/** One request, as the plugin puts it to its authoriser. */
export interface Question {
  /** Every input that the verdict may depend on, each length-prefixed (`field`, `fields`). Not asked for where nothing is kept. */
  inputs(): string;
  ask(): Promise<Asked>;
  /** What becomes of the request. */
  apply(verdict: Verdict): Reply | undefined;
  /** What becomes of it without a verdict, instead of `refusal`. */
  withoutVerdict?(refusal: Reply): Reply | undefined;
}

/** The request's body, where the authoriser is told it. */
export interface BodyOptions {
  readonly wanted: boolean;
  /** A larger one is refused with 413. */
  readonly maxBytes: number;
  /** Verdicts are not kept by it; default false. */
  readonly unkeyed?: boolean;
}

/** Upper bounds, in milliseconds. */
const buckets = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000];

export class Authorizer {
  readonly #options: AuthorizerOptions;
  readonly #scope: string;
  readonly #verdicts: VerdictCache;
  readonly #keyBase: string;
  readonly #failures: FailureLog;
  readonly #lookups: Record<'hit' | 'miss' | 'shared', { add(n: number): void }>;
  readonly #calls: Record<'passed' | 'refused' | 'failed', { add(n: number): void }>;
  readonly #duration: { observe(milliseconds: number): void };

  constructor(options: AuthorizerOptions, deps: Pick<PluginDeps, 'scope' | 'verdicts' | 'metrics' | 'log' | 'timers'>) {
    const { plugin, config } = options;
    const { scope, verdicts, metrics } = deps;
    this.#options = options;
    this.#scope = scope;
    this.#verdicts = verdicts;
    this.#failures = new FailureLog(deps);
    this.#keyBase = field(plugin) + field(scope) + field(hash('sha256', JSON.stringify(config), 'base64url'));
    const labels = ['plugin', 'scope'];
    const lookups = metrics.counter('verdict_cache_lookups_total', 'Requests that looked for a kept verdict', [
      ...labels,
      'result',
    ]);
    const calls = metrics.counter('authorizer_calls_total', 'Calls of outside authorisers', [...labels, 'outcome']);
    const duration = metrics.histogram(
      'authorizer_call_duration_ms',
      'Time an outside authoriser took, in milliseconds',
      labels,
      buckets,
    );
    const at = [plugin, scope];
    this.#lookups = {
      hit: lookups.with([...at, 'hit']),
      miss: lookups.with([...at, 'miss']),
      shared: lookups.with([...at, 'shared']),
    };
    this.#calls = {
      passed: calls.with([...at, 'passed']),
      refused: calls.with([...at, 'refused']),
      failed: calls.with([...at, 'failed']),
    };
    this.#duration = duration.with(at);
  }

  /** Judges with the body where it is `wanted` and there may be one; else with none, at no cost. */
  withBody(
    exchange: Exchange,
    { wanted, maxBytes, unkeyed = false }: BodyOptions,
    judge: (body: Uint8Array | undefined) => MaybeAsync,
  ): MaybeAsync {
    if (!wanted || !mayHaveBody(exchange)) return judge(undefined);
    if (!exchange.dryRun) return exchange.body(maxBytes).then(judge);
    const keyed = !unkeyed && this.#options.cacheMs > 0;
    return !keyed ? judge(undefined) : this.#unknown('verdicts are kept by the body, which explain is not told');
  }

  /** Applies the verdict that is kept, or asks. Fails closed: without a verdict the request is refused. */
  judge(exchange: Exchange, question: Question): MaybeAsync {
    const { cacheMs, timeoutMs } = this.#options;
    if (cacheMs === 0) {
      if (exchange.dryRun) return this.#unknown('nothing is kept');
      return this.#ask(question).then(
        ({ verdict }) => question.apply(verdict),
        (error: unknown) => this.#withoutVerdict(question, error),
      );
    }
    const key = this.#keyOf(exchange) + question.inputs();
    if (exchange.dryRun) return this.#explain(exchange, key, question);
    const found = this.#verdicts.fetch(key, timeoutMs, async () => {
      const { verdict, ttlMs } = await this.#ask(question);
      return { text: writeVerdict(verdict), ttlMs: Math.min(ttlMs, cacheMs) };
    });
    if (typeof found !== 'string') {
      return this.#fetched(found).then(
        (verdict) => question.apply(verdict),
        (error: unknown) => this.#withoutVerdict(question, error),
      );
    }
    this.#lookups.hit.add(1);
    return question.apply(readVerdict(found));
  }

  /** Where the configuration stands and what it says, what was purged, the route, and the caller as far as he is known. */
  #keyOf({ route, consumer }: Exchange): string {
    const base = this.#keyBase + field(this.#verdicts.epoch(this.#scope)) + field(route?.id) + field(route?.serviceId);
    if (consumer === undefined) return base + field(undefined);
    return base + field(stateOf(consumer)) + field(consumer.credentialId) + field(consumer.groupId);
  }

  /** What is kept, and nothing else: nobody is asked. */
  #explain(exchange: Exchange, key: string, question: Question): Reply | undefined {
    const kept = this.#verdicts.peek(key);
    if (kept === undefined) return this.#unknown('no verdict is kept for this request');
    const until = new Date(kept.expiry).toISOString();
    exchange.note(`${this.#options.plugin} would not ask: this verdict is kept until ${until}`);
    return question.apply(readVerdict(kept.text));
  }

  #unknown(why: string): Reply {
    return {
      status: 503,
      reason: `${this.#options.plugin}.verdict_unknown`,
      detail: `the authoriser would be asked: ${why}`,
    };
  }

  /** Where `error` is no AuthorizerError, it is thrown on. */
  #withoutVerdict(question: Question, error: unknown): Reply | undefined {
    if (!(error instanceof AuthorizerError)) throw error;
    this.#failures.tell(error);
    const { plugin, statusOnError = 503 } = this.#options;
    const refusal = {
      status: statusOnError,
      body: { message: 'Authorization is unavailable' },
      reason: `${plugin}.${error.reason}`,
      detail: error.message,
    };
    return question.withoutVerdict === undefined ? refusal : question.withoutVerdict(refusal);
  }

  async #fetched(found: Promise<Fetched>): Promise<Verdict> {
    let fetched;
    try {
      fetched = await found;
    } catch (error) {
      this.#lookups.miss.add(1);
      if (error instanceof SharedFailure) throw new AuthorizerError('unavailable', error.message, { cause: error });
      throw error;
    }
    this.#lookups[fetched.asked ? 'miss' : 'shared'].add(1);
    return readVerdict(fetched.text);
  }

  async #ask(question: Question): Promise<Asked> {
    const from = performance.now();
    try {
      const asked = await question.ask();
      this.#calls[asked.verdict.passes ? 'passed' : 'refused'].add(1);
      return asked;
    } catch (error) {
      this.#calls.failed.add(1);
      throw failureOf(error);
    } finally {
      this.#duration.observe(performance.now() - from);
    }
  }
}

/** Costs nothing where the request has no body. */
function mayHaveBody({ headers, httpVersion }: Exchange): boolean {
  return httpVersion === '2.0' || headers.has('content-length') || headers.has('transfer-encoding');
}

const states = new WeakMap<object, string>();

/** Another text whenever the consumer changes: what was decided about him before is not found. */
function stateOf({ resource }: AuthenticatedConsumer): string {
  let state = states.get(resource);
  if (state === undefined) states.set(resource, (state = hash('sha256', JSON.stringify(resource), 'base64url')));
  return state;
}

/** Whatever goes wrong while asking is one kind of error, but for what is wrong with the request itself. */
function failureOf(error: unknown): Error {
  if (error instanceof AuthorizerError || error instanceof GatewayError) return error;
  if (error instanceof FunctionError) return new AuthorizerError(error.code, error.message, { cause: error });
  if (error instanceof HttpClientError) {
    const reason =
      error.code === 'TIMEOUT'
        ? 'timeout'
        : error.code === 'RESPONSE_INVALID' || error.code === 'BODY_TOO_LARGE'
          ? 'unusable_answer'
          : 'unavailable';
    return new AuthorizerError(reason, error.message, { cause: error });
  }
  return new AuthorizerError('failed', error instanceof Error ? error.name : 'unknown', { cause: error });
}
