/**
 * limit-count: so many requests in a window of time, by client address or anything else; more are refused. Runs in `access`.
 * Counts are exact across all workers of the process, and with a Redis policy across gateways. A window begins with its first
 * request; with `window_type: sliding` the one before it counts for the part of it that lies less than a window back.
 * APISIX: X-RateLimit-Reset is whole seconds, rounded up.
 * APISIX: `window_type` is an addition.
 * APISIX: places of one group need not have equal configurations; each holds its own limit against the count they share.
 */
import { ConfigError } from '../../errors/gateway-error.ts';
import {
  compileCombination,
  compileCountKey,
  compileNumber,
  countKeyPrefix,
  type CountKeyType,
} from '../../plugin/count-key.ts';
import type { Exchange } from '../../plugin/exchange.ts';
import { definePlugin, type PluginDeps, type PluginLog, type Reply } from '../../plugin/plugin.ts';
import { createRedisRunner } from '../../plugin/redis/redis-client.ts';
import { redisProperties, redisRequirements, type RedisConfig } from '../../plugin/redis/redis-config.ts';
import { compileRejection, rejectionProperties, type RejectionConfig } from '../../plugin/rejection.ts';
import { createLocalWindow, createRedisWindow, type Quota, type Window, type WindowType } from './window.ts';

interface RuleConfig {
  count: number | string;
  time_window: number | string;
  key: string;
  header_prefix?: string;
}

interface Config extends RedisConfig, RejectionConfig {
  count?: number | string;
  time_window?: number | string;
  rules?: RuleConfig[];
  key: string;
  key_type: CountKeyType;
  group?: string;
  window_type: WindowType;
  show_limit_quota_header: boolean;
}

interface HeaderNames {
  readonly limit: string;
  readonly remaining: string;
  readonly reset: string;
}

interface Rule {
  /** undefined: the rule does not apply to this request. */
  readonly key: (exchange: Exchange) => string | undefined;
  readonly count: (exchange: Exchange) => number | undefined;
  readonly seconds: (exchange: Exchange) => number | undefined;
  /** A window whose length comes from the request counts apart from those of other lengths. */
  readonly variesInLength: boolean;
  /** undefined: as the metadata says. */
  readonly headers: HeaderNames | undefined;
}

interface State {
  readonly rules: readonly Rule[];
  readonly window: Window;
  readonly dispose: () => void;
  readonly rejection: Reply;
  readonly failOpen: boolean;
  /** undefined: no headers are shown. */
  readonly contextKey: string | undefined;
  readonly defaultHeaders: () => HeaderNames;
  readonly log: PluginLog;
}

/** What a response will say of one rule. */
interface Shown {
  readonly headers: HeaderNames | undefined;
  readonly limit: number;
  readonly remaining: number;
  readonly resetSeconds: number;
}

const number = {
  anyOf: [
    { type: 'integer', exclusiveMinimum: 0 },
    { type: 'string', minLength: 1 },
  ],
};
const noRule: Reply = {
  status: 500,
  reason: 'limit-count.no_rule',
  detail: 'no rule applies, or its count or time_window is no number',
};
const failure: Reply = { status: 500, body: { error_msg: 'failed to limit count' }, reason: 'limit-count.failed' };
const headerName = { type: 'string', pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$" };

export const limitCount = definePlugin<Config, State>({
  name: 'limit-count',
  priority: 1002,
  version: '0.4',
  schema: {
    type: 'object',
    properties: {
      count: { ...number, description: 'Requests in a window; a number, or a text of variables that gives one.' },
      time_window: { ...number, description: 'Seconds of a window; a number, or a text of variables that gives one.' },
      rules: {
        type: 'array',
        minItems: 1,
        description: 'Several limits in place of one; each that applies must let the request pass.',
        items: {
          type: 'object',
          properties: {
            count: { ...number, description: 'Requests in a window.' },
            time_window: { ...number, description: 'Seconds of a window.' },
            key: {
              type: 'string',
              minLength: 1,
              description: 'Text of variables to count by; where none of them has a value, the rule does not apply.',
            },
            header_prefix: {
              ...headerName,
              description: 'Headers are `X-PREFIX-RateLimit-…`; the number of the rule if not given.',
            },
          },
          required: ['count', 'time_window', 'key'],
        },
      },
      key: {
        type: 'string',
        minLength: 1,
        default: 'remote_addr',
        description: 'What to count by; the client’s address where it has no value.',
      },
      key_type: {
        type: 'string',
        enum: ['var', 'var_combination', 'constant'],
        default: 'var',
        description:
          'The key is a variable (without `$`), a text of variables (with `$`), or the same for all requests.',
      },
      group: { type: 'string', minLength: 1, description: 'Places with the same group share their counts.' },
      window_type: {
        type: 'string',
        enum: ['fixed', 'sliding'],
        default: 'fixed',
        description: 'fixed: windows one after the other; sliding: no burst of twice the limit where two windows meet.',
      },
      ...rejectionProperties,
      show_limit_quota_header: {
        type: 'boolean',
        default: true,
        description: 'Show limit, remainder and seconds until the reset in response headers.',
      },
      ...redisProperties,
    },
    oneOf: [{ required: ['count', 'time_window'] }, { required: ['rules'] }],
    allOf: redisRequirements,
    encrypt_fields: ['redis_password'],
  },
  metadataSchema: {
    type: 'object',
    properties: {
      limit_header: { ...headerName, default: 'X-RateLimit-Limit', description: 'Header of the limit.' },
      remaining_header: { ...headerName, default: 'X-RateLimit-Remaining', description: 'Header of the remainder.' },
      reset_header: {
        ...headerName,
        default: 'X-RateLimit-Reset',
        description: 'Header of the seconds until the reset.',
      },
    },
  },

  compile(config, deps) {
    const redis = config.policy === 'local' ? undefined : createRedisRunner(config, deps.shared, deps.log);
    const prefix = countKeyPrefix('limit-count', deps.scope, config, config.group);
    return {
      rules: compileRules(config, prefix),
      window:
        redis === undefined
          ? createLocalWindow(config.window_type, deps.counters)
          : createRedisWindow(config.window_type, redis),
      dispose: () => redis?.dispose(),
      rejection: compileRejection(config, 'limit-count.exceeded'),
      failOpen: config.allow_degradation,
      contextKey: config.show_limit_quota_header ? `limit-count:${prefix}` : undefined,
      defaultHeaders: headersOf(deps),
      log: deps.log,
    };
  },

  dispose(state) {
    state.dispose();
  },

  access(state, exchange) {
    if (exchange.dryRun) return undefined;
    return takeFrom(state, exchange, 0, false);
  },

  headerFilter(state, exchange) {
    if (state.contextKey === undefined) return;
    const shown = exchange.context.get(state.contextKey);
    if (!Array.isArray(shown)) return;
    const { headers } = exchange.response;
    for (const { headers: own, limit, remaining, resetSeconds } of shown as unknown as Shown[]) {
      const names = own ?? state.defaultHeaders();
      headers.set(names.limit, String(limit));
      headers.set(names.remaining, String(remaining));
      headers.set(names.reset, String(resetSeconds));
    }
  },
});

function compileRules(config: Config, prefix: string): Rule[] {
  const { count, time_window: seconds, rules } = config;
  if (rules === undefined) {
    const key = compileCountKey(config.key, config.key_type);
    return [
      {
        key: (exchange) => prefix + key(exchange),
        count: compileNumber(count ?? 0, 'count'),
        seconds: compileNumber(seconds ?? 0, 'time_window'),
        variesInLength: typeof seconds === 'string',
        headers: undefined,
      },
    ];
  }
  const seen = new Set<string>();
  return rules.map((rule, index) => {
    if (seen.has(rule.key)) throw new ConfigError(`duplicate key '${rule.key}' in rules`);
    seen.add(rule.key);
    const read = compileCombination(rule.key);
    const name = rule.header_prefix ?? String(index + 1);
    const rulePrefix = `${prefix}${String(index)}:`;
    return {
      key: (exchange) => {
        const key = read(exchange);
        return key === undefined ? undefined : rulePrefix + key;
      },
      count: compileNumber(rule.count, `rules[${String(index)}].count`),
      seconds: compileNumber(rule.time_window, `rules[${String(index)}].time_window`),
      variesInLength: typeof rule.time_window === 'string',
      headers: {
        limit: `X-${name}-RateLimit-Limit`,
        remaining: `X-${name}-RateLimit-Remaining`,
        reset: `X-${name}-RateLimit-Reset`,
      },
    };
  });
}

/** Rules from number `from` on, until one refuses or has to wait. `applied`: one before it did apply. */
function takeFrom(
  state: State,
  exchange: Exchange,
  from: number,
  applied: boolean,
): Reply | undefined | Promise<Reply | undefined> {
  const { rules, window } = state;
  let any = applied;
  for (let i = from; i < rules.length; i++) {
    const rule = rules[i] as Rule;
    const key = rule.key(exchange);
    const count = rule.count(exchange);
    const seconds = rule.seconds(exchange);
    if (key === undefined || count === undefined || seconds === undefined) continue;
    any = true;
    const limit = Math.floor(count);
    const quota = window.take(
      rule.variesInLength ? `${key}:${String(seconds)}` : key,
      limit,
      Math.ceil(seconds * 1000),
    );
    if (quota instanceof Promise) {
      return quota.then(
        (answer) => settle(state, exchange, rule, limit, answer) ?? takeFrom(state, exchange, i + 1, true),
        (error: unknown) => {
          state.log.error('failed to limit count', { error: error instanceof Error ? error.message : String(error) });
          return state.failOpen ? takeFrom(state, exchange, i + 1, true) : failure;
        },
      );
    }
    const reply = settle(state, exchange, rule, limit, quota);
    if (reply !== undefined) return reply;
  }
  return any || state.failOpen ? undefined : noRule;
}

function settle(state: State, exchange: Exchange, rule: Rule, limit: number, quota: Quota): Reply | undefined {
  const { contextKey } = state;
  if (contextKey !== undefined) {
    const shown = {
      headers: rule.headers,
      limit,
      remaining: Math.max(0, quota.remaining),
      resetSeconds: Math.ceil(quota.resetMs / 1000),
    };
    const before = exchange.context.get(contextKey);
    if (Array.isArray(before)) (before as object[]).push(shown);
    else exchange.context.set(contextKey, [shown]);
  }
  return quota.remaining < 0 ? state.rejection : undefined;
}

/** The metadata changes without the configuration: looked at again when it is another object. */
function headersOf(deps: PluginDeps): () => HeaderNames {
  let seen: unknown;
  let names: HeaderNames | undefined;
  return () => {
    const metadata = deps.metadata();
    if (names !== undefined && metadata === seen) return names;
    seen = metadata;
    const name = (field: string, otherwise: string): string => {
      const value = metadata?.[field];
      return typeof value === 'string' ? value : otherwise;
    };
    names = {
      limit: name('limit_header', 'X-RateLimit-Limit'),
      remaining: name('remaining_header', 'X-RateLimit-Remaining'),
      reset: name('reset_header', 'X-RateLimit-Reset'),
    };
    return names;
  };
}
