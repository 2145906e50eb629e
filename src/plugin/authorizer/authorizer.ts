/**
 * Asks an outside authoriser about a request, or takes what it said before: the calling code of custom-auth, forward-auth and opa. On
 * the request path. Invariants: no verdict, no passing; a failure is never kept; explain asks nobody and counts nothing.
 */
import { hash } from 'node:crypto';
import { GatewayError } from '../../errors/gateway-error.ts';
import type { Exchange } from '../exchange.ts';
import { FunctionError } from '../functions.ts';
import { HttpClientError } from '../http-client/http-client-error.ts';
import type { PluginDeps, Reply } from '../plugin.ts';
import { SharedFailure, type Fetched, type VerdictCache } from '../verdict-cache/verdict-cache.ts';
import { field } from '../verdict-cache/verdict-key.ts';
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
}

/** Upper bounds, in milliseconds. */
const buckets = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000];

export class Authorizer {
  readonly #plugin: string;
  readonly #scope: string;
  readonly #verdicts: VerdictCache;
  readonly #cacheMs: number;
  readonly #timeoutMs: number;
  readonly #keyBase: string;
  readonly #lookups: Record<'hit' | 'miss' | 'shared', { add(n: number): void }>;
  readonly #calls: Record<'passed' | 'refused' | 'failed', { add(n: number): void }>;
  readonly #duration: { observe(milliseconds: number): void };

  constructor(
    { plugin, config, cacheMs, timeoutMs }: AuthorizerOptions,
    { scope, verdicts, metrics }: Pick<PluginDeps, 'scope' | 'verdicts' | 'metrics'>,
  ) {
    this.#plugin = plugin;
    this.#scope = scope;
    this.#verdicts = verdicts;
    this.#cacheMs = cacheMs;
    this.#timeoutMs = timeoutMs;
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

  get caches(): boolean {
    return this.#cacheMs > 0;
  }

  /**
   * The verdict. `inputs`: every input that it may depend on, each length-prefixed (`field`, `fields`); where nothing is kept, it is
   * not looked at. undefined: explain asks, and nothing is kept. Rejects with AuthorizerError.
   */
  decide(exchange: Exchange, inputs: string, ask: () => Promise<Asked>): Verdict | undefined | Promise<Verdict> {
    if (!this.caches) return exchange.dryRun ? undefined : this.#ask(ask).then(({ verdict }) => verdict);
    const key = this.#keyBase + this.#verdicts.epoch(this.#scope) + field(exchange.route?.id) + inputs;
    if (exchange.dryRun) {
      const kept = this.#verdicts.peek(key);
      if (kept === undefined) return undefined;
      exchange.note(`${this.#plugin} would not ask: this verdict is kept until ${new Date(kept.expiry).toISOString()}`);
      return readVerdict(kept.text);
    }
    const found = this.#verdicts.fetch(key, this.#timeoutMs, async () => {
      const { verdict, ttlMs } = await this.#ask(ask);
      return { text: writeVerdict(verdict), ttlMs: Math.min(ttlMs, this.#cacheMs) };
    });
    if (typeof found === 'string') {
      this.#lookups.hit.add(1);
      return readVerdict(found);
    }
    return this.#fetched(found);
  }

  /** The answer to explain where no verdict is found: what would be decided is not known. `byBody`: nor can one be looked for. */
  notAsked(byBody = false): Reply {
    return {
      status: 503,
      reason: `${this.#plugin}.verdict_unknown`,
      detail: !this.caches
        ? 'the authoriser would be asked: nothing is kept'
        : byBody
          ? 'verdicts are kept by the body, which explain is not told'
          : 'no verdict is kept for this request: the authoriser would be asked',
    };
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

  async #ask(ask: () => Promise<Asked>): Promise<Asked> {
    const from = performance.now();
    try {
      const asked = await ask();
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
