/**
 * Scripts run in Redis, or in a Redis Cluster, for plugins that count there. The client library is loaded, and a connection made,
 * when the first request needs it; one connection a worker and server is shared by all configurations that name it.
 * Invariant: a call ends within `redis_timeout`, and is sent once: a count is never taken twice for one request.
 */
import { createHash } from 'node:crypto';
import type { Cluster, Redis } from 'ioredis';
import type { PluginLog } from '../plugin.ts';
import type { Shared, SharedResources } from '../shared-resources.ts';
import type { RedisConfig } from './redis-config.ts';

/** Lua over one key; the arguments come as `ARGV`. Returns a list of integers. */
export interface RedisScript {
  readonly lua: string;
  readonly sha1: string;
}

export interface RedisRunner {
  /** Rejects when Redis is away, refuses or does not answer in time. */
  run(script: RedisScript, key: string, args: readonly (string | number)[]): Promise<readonly number[]>;
}

type Client = Redis | Cluster;

const defaultTimeoutMs = 1000;

export function redisScript(lua: string): RedisScript {
  return { lua, sha1: createHash('sha1').update(lua).digest('hex') };
}

/** A runner that connects when it is first used; `dispose` gives the connection back. */
export function createRedisRunner(
  config: RedisConfig,
  shared: SharedResources,
  log: PluginLog,
): RedisRunner & { dispose(): void } {
  const { allow_degradation: _, ...connection } = pickConnection(config);
  const name = `redis ${createHash('sha256').update(JSON.stringify(connection)).digest('base64url')}`;
  let held: Shared<RedisConnection> | undefined;
  return {
    run(script, key, args) {
      held ??= shared.acquire(name, () => {
        const opened = new RedisConnection(config, log);
        return { value: opened, close: () => void opened.close() };
      });
      return held.value.run(script, key, args);
    },
    dispose() {
      held?.release();
      held = undefined;
    },
  };
}

class RedisConnection implements RedisRunner {
  readonly #timeoutMs: number;
  readonly #connecting: Promise<Client>;
  #client: Client | undefined;
  #closed = false;

  constructor(config: RedisConfig, log: PluginLog) {
    this.#timeoutMs = config.redis_timeout ?? defaultTimeoutMs;
    this.#connecting = this.#connect(config, log);
    // Each call that waits for it reports the failure itself.
    this.#connecting.catch(() => undefined);
  }

  async run(script: RedisScript, key: string, args: readonly (string | number)[]): Promise<readonly number[]> {
    const client = this.#client?.status === 'ready' ? this.#client : await this.#within(this.#connecting);
    try {
      return integers(await this.#within(client.evalsha(script.sha1, 1, key, ...args)));
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
      return integers(await this.#within(client.eval(script.lua, 1, key, ...args)));
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    const client = this.#client ?? (await this.#connecting.catch(() => undefined)) ?? this.#client;
    // What is under way (a place that is given back) is still answered.
    await client?.quit().catch(() => {
      client.disconnect();
    });
  }

  /** Resolves at the first connection; later ones are the client's own doing. */
  async #connect(config: RedisConfig, log: PluginLog): Promise<Client> {
    const { Cluster, Redis } = await import('ioredis');
    const retry = (attempt: number): number | null => (this.#closed ? null : Math.min(50 * 2 ** attempt, 2000));
    const cluster = config.policy === 'redis-cluster';
    const secure = cluster ? config.redis_cluster_ssl : config.redis_ssl;
    const verify = (cluster ? config.redis_cluster_ssl_verify : config.redis_ssl_verify) ?? false;
    const common = {
      ...(config.redis_username === undefined ? {} : { username: config.redis_username }),
      ...(config.redis_password === undefined ? {} : { password: config.redis_password }),
      ...(secure === true ? { tls: { rejectUnauthorized: verify } } : {}),
      connectTimeout: this.#timeoutMs,
      commandTimeout: this.#timeoutMs,
      // A command that was sent may have counted: it is not sent again.
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
    };
    const client = cluster
      ? new Cluster((config.redis_cluster_nodes ?? []).map(parseNode), {
          lazyConnect: true,
          enableOfflineQueue: false,
          clusterRetryStrategy: retry,
          slotsRefreshTimeout: this.#timeoutMs,
          redisOptions: common,
        })
      : new Redis({
          ...common,
          host: config.redis_host ?? '',
          port: config.redis_port ?? 6379,
          db: config.redis_database ?? 0,
          lazyConnect: true,
          enableOfflineQueue: false,
          retryStrategy: retry,
        });
    this.#client = client;
    let last = '';
    client.on('error', (error: Error) => {
      if (error.message === last) return;
      last = error.message;
      log.error('redis', { error: error.message });
    });
    client.on('ready', () => {
      last = '';
    });
    await client.connect();
    return client;
  }

  #within<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error(`redis did not answer within ${String(this.#timeoutMs)} ms`));
      }, this.#timeoutMs);
      promise.then(resolve, reject).finally(() => {
        clearTimeout(timer);
      });
    });
  }
}

function pickConnection(config: RedisConfig): RedisConfig {
  const entries = Object.entries(config).filter(([name]) => name === 'policy' || name.startsWith('redis_'));
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1))) as unknown as RedisConfig;
}

function parseNode(node: string): { host: string; port: number } {
  const colon = node.lastIndexOf(':');
  return { host: node.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(node.slice(colon + 1)) };
}

function integers(result: unknown): readonly number[] {
  if (!Array.isArray(result)) throw new Error('redis answered with something else than a list');
  return result.map(Number);
}
