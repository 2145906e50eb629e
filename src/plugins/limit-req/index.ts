/**
 * limit-req: a steady rate of requests, by client address or anything else (leaky bucket). Up to `burst` more are held back until
 * their turn, or passed on at once with `nodelay`; what exceeds that is refused. Runs in `access`.
 * Exact across all workers of the process, and with a Redis policy across gateways.
 */
import { compileCountKey, countKeyPrefix, countKeyProperties } from '../../plugin/count-key.ts';
import { wait } from '../../plugin/wait.ts';
import type { Exchange } from '../../plugin/exchange.ts';
import { definePlugin, type PluginLog, type Reply } from '../../plugin/plugin.ts';
import { createRedisRunner } from '../../plugin/redis/redis-client.ts';
import { redisProperties, redisRequirements, type RedisConfig } from '../../plugin/redis/redis-config.ts';
import { compileRejection, rejectionProperties, type RejectionConfig } from '../../plugin/rejection.ts';
import { createLocalBucket, createRedisBucket, type Bucket } from './bucket.ts';

interface Config extends RedisConfig, RejectionConfig {
  rate: number;
  burst: number;
  key: string;
  key_type: 'var' | 'var_combination';
  nodelay: boolean;
}

interface State {
  readonly key: (exchange: Exchange) => string;
  readonly prefix: string;
  readonly bucket: Bucket;
  readonly dispose: () => void;
  readonly rejection: Reply;
  readonly failOpen: boolean;
  readonly delays: boolean;
  readonly log: PluginLog;
}

const failure: Reply = { status: 500, reason: 'limit-req.failed' };

export const limitReq = definePlugin<Config, State>({
  name: 'limit-req',
  priority: 1001,
  version: '0.1',
  schema: {
    type: 'object',
    properties: {
      rate: { type: 'number', exclusiveMinimum: 0, description: 'Requests a second.' },
      burst: { type: 'number', minimum: 0, description: 'Requests beyond the rate that are held back or passed on.' },
      ...countKeyProperties,
      nodelay: { type: 'boolean', default: false, description: 'Pass requests within the burst on at once.' },
      ...rejectionProperties,
      ...redisProperties,
    },
    required: ['rate', 'burst', 'key'],
    allOf: redisRequirements,
    encrypt_fields: ['redis_password'],
  },

  compile(config, deps) {
    const redis = config.policy === 'local' ? undefined : createRedisRunner(config, deps.shared, deps.log);
    const { rate, burst } = config;
    return {
      key: compileCountKey(config.key, config.key_type),
      prefix: countKeyPrefix('limit-req', deps.scope, config, undefined),
      bucket:
        redis === undefined ? createLocalBucket(rate, burst, deps.counters) : createRedisBucket(rate, burst, redis),
      dispose: () => redis?.dispose(),
      rejection: compileRejection(config, 'limit-req.exceeded'),
      failOpen: config.allow_degradation,
      delays: !config.nodelay,
      log: deps.log,
    };
  },

  dispose(state) {
    state.dispose();
  },

  access(state, exchange) {
    if (exchange.dryRun) return undefined;
    const delayMs = state.bucket.take(state.prefix + state.key(exchange));
    if (!(delayMs instanceof Promise)) return settle(state, delayMs);
    return delayMs.then(
      (answer) => settle(state, answer),
      (error: unknown) => {
        state.log.error('failed to limit req', { error: error instanceof Error ? error.message : String(error) });
        return state.failOpen ? undefined : failure;
      },
    );
  },
});

function settle(state: State, delayMs: number): Reply | undefined | Promise<undefined> {
  if (delayMs < 0) return state.rejection;
  return state.delays && delayMs >= 1 ? wait(delayMs) : undefined;
}
