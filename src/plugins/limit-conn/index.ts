/**
 * limit-conn: so many requests under way at once, by client address, consumer or anything else. Up to `burst` more are held back
 * for a while first; what exceeds that is refused. Enters in `access`, leaves in `log`, which runs whatever became of the request.
 * Exact across all workers of the process, and with a Redis policy across gateways; a worker that dies gives its places back.
 */
import { compileCountKey, countKeyPrefix, countKeyProperties } from '../../plugin/count-key.ts';
import type { Exchange } from '../../plugin/exchange.ts';
import { definePlugin, type PluginLog, type Reply } from '../../plugin/plugin.ts';
import { createRedisRunner } from '../../plugin/redis/redis-client.ts';
import { redisProperties, redisRequirements, type RedisConfig } from '../../plugin/redis/redis-config.ts';
import { compileRejection, rejectionProperties, type RejectionConfig } from '../../plugin/rejection.ts';
import { wait } from '../../plugin/wait.ts';
import { createLocalPlaces, createRedisPlaces, type Place, type Places } from './places.ts';

interface Config extends RedisConfig, RejectionConfig {
  conn: number;
  burst: number;
  default_conn_delay: number;
  only_use_default_delay: boolean;
  key: string;
  key_type: 'var' | 'var_combination';
  key_ttl: number;
  redis_prefix: string;
}

interface State {
  readonly key: (exchange: Exchange) => string;
  readonly prefix: string;
  readonly places: Places;
  readonly dispose: () => void;
  readonly conn: number;
  readonly most: number;
  /** How long a request takes, in ms: what one that is too many waits for. Follows what was seen, unless told not to. */
  delayMs: number;
  readonly learns: boolean;
  readonly rejection: Reply;
  readonly failOpen: boolean;
  readonly log: PluginLog;
}

/** What one request holds. */
interface Held {
  readonly place: Place;
  readonly waitedMs: number;
}

const failure: Reply = { status: 500, reason: 'limit-conn.failed' };

export const limitConn = definePlugin<Config, State>({
  name: 'limit-conn',
  priority: 1003,
  version: '0.1',
  schema: {
    type: 'object',
    properties: {
      conn: { type: 'integer', exclusiveMinimum: 0, description: 'Requests under way at once.' },
      burst: { type: 'integer', minimum: 0, description: 'Requests beyond that which are held back before they pass.' },
      default_conn_delay: {
        type: 'number',
        exclusiveMinimum: 0,
        description: 'Seconds to hold them back, times how often `conn` is exceeded.',
      },
      only_use_default_delay: {
        type: 'boolean',
        default: false,
        description: 'Always that long; else as long as requests were seen to take.',
      },
      ...countKeyProperties,
      key_ttl: {
        type: 'integer',
        minimum: 1,
        default: 3600,
        description: 'Seconds after which a request whose gateway never reported its end stops to count in Redis.',
      },
      redis_prefix: {
        type: 'string',
        pattern: '^[0-9a-zA-Z|_]+$',
        default: 'limit_conn',
        description: 'Begins the names of keys in Redis.',
      },
      ...rejectionProperties,
      ...redisProperties,
    },
    required: ['conn', 'burst', 'default_conn_delay', 'key'],
    allOf: redisRequirements,
    encrypt_fields: ['redis_password'],
  },

  compile(config, deps) {
    const redis = config.policy === 'local' ? undefined : createRedisRunner(config, deps.shared, deps.log);
    const onError = (error: unknown): void => {
      deps.log.error('a place could not be given back', { error: text(error) });
    };
    return {
      key: compileCountKey(config.key, config.key_type),
      prefix: countKeyPrefix('limit-conn', deps.scope, config, undefined),
      places:
        redis === undefined
          ? createLocalPlaces(deps.counters)
          : createRedisPlaces(redis, config.redis_prefix, config.key_ttl * 1000, onError),
      dispose: () => redis?.dispose(),
      conn: config.conn,
      most: config.conn + config.burst,
      delayMs: config.default_conn_delay * 1000,
      learns: !config.only_use_default_delay,
      rejection: compileRejection(config, 'limit-conn.exceeded'),
      failOpen: config.allow_degradation,
      log: deps.log,
    };
  },

  dispose(state) {
    state.dispose();
  },

  access(state, exchange) {
    if (exchange.dryRun) return undefined;
    const place = state.places.enter(state.prefix + state.key(exchange), state.most);
    if (!(place instanceof Promise)) return hold(state, exchange, place);
    return place.then(
      (entered) => {
        // The client went away while we asked: the log phase is over.
        if (exchange.times.end === undefined) return hold(state, exchange, entered);
        entered.release();
        return undefined;
      },
      (error: unknown) => {
        state.log.error('failed to limit conn', { error: text(error) });
        return state.failOpen ? undefined : failure;
      },
    );
  },

  log(state, exchange) {
    const held = exchange.context.get(contextKey(state)) as Held | undefined;
    if (held === undefined) return;
    held.place.release();
    if (!state.learns) return;
    const { upstreamStart, upstreamEnd, start, end } = exchange.times;
    const tookMs =
      upstreamStart !== undefined && upstreamEnd !== undefined
        ? upstreamEnd - upstreamStart
        : (end ?? performance.now()) - start - held.waitedMs;
    state.delayMs = (Math.max(0, tookMs) + state.delayMs) / 2;
  },
});

function hold(state: State, exchange: Exchange, place: Place): Reply | undefined | Promise<undefined> {
  if (place.number === 0) return state.rejection;
  const beyond = place.number > state.conn ? Math.floor((place.number - 1) / state.conn) : 0;
  const waitedMs = beyond * state.delayMs;
  exchange.context.set(contextKey(state), { place, waitedMs } satisfies Held);
  return waitedMs >= 1 ? wait(waitedMs) : undefined;
}

/** A route, a global rule and a consumer may each limit the same request. */
function contextKey({ prefix }: State): string {
  return `limit-conn:${prefix}`;
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
