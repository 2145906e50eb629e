/** The configuration of plugins that count in Redis: APISIX's fields, flat beside the plugin's own. */
import type { JsonSchema } from '../../resources/resource.ts';

export type CountPolicy = 'local' | 'redis' | 'redis-cluster';

export interface RedisConfig {
  policy: CountPolicy;
  redis_host?: string;
  redis_port?: number;
  redis_username?: string;
  redis_password?: string;
  redis_database?: number;
  redis_timeout?: number;
  redis_ssl?: boolean;
  redis_ssl_verify?: boolean;
  redis_cluster_nodes?: string[];
  redis_cluster_name?: string;
  redis_cluster_ssl?: boolean;
  redis_cluster_ssl_verify?: boolean;
  allow_degradation: boolean;
}

/** To spread into a plugin's `properties`. Without defaults: they would stand in configurations that use no Redis. */
export const redisProperties = {
  policy: {
    type: 'string',
    enum: ['local', 'redis', 'redis-cluster'],
    default: 'local',
    description: 'Where it is counted: in this process, for all its workers; in one Redis; in a Redis Cluster.',
  },
  allow_degradation: {
    type: 'boolean',
    default: false,
    description: 'Where counting fails (Redis is away), let requests through instead of refusing them.',
  },
  redis_host: { type: 'string', minLength: 2, description: 'Address of Redis; with the policy `redis`.' },
  redis_port: { type: 'integer', minimum: 1, maximum: 65535, description: 'Port of Redis; 6379 if not given.' },
  redis_username: { type: 'string', minLength: 1, description: 'User of Redis’s ACL.' },
  redis_password: { type: 'string', minLength: 0, description: 'Password of Redis or of the cluster.' },
  redis_database: { type: 'integer', minimum: 0, description: 'Number of the database; 0 if not given.' },
  redis_timeout: {
    type: 'integer',
    minimum: 1,
    description: 'Milliseconds to wait for Redis; 1000 if not given.',
  },
  redis_ssl: { type: 'boolean', description: 'Connect by TLS.' },
  redis_ssl_verify: { type: 'boolean', description: 'Verify Redis’s certificate; not done if not given.' },
  redis_cluster_nodes: {
    type: 'array',
    minItems: 1,
    items: { type: 'string', minLength: 2, maxLength: 100, pattern: '^.+:\\d{1,5}$' },
    description: 'Some nodes of the cluster as `host:port`; with the policy `redis-cluster`.',
  },
  redis_cluster_name: { type: 'string', description: 'Name of the cluster; with the policy `redis-cluster`.' },
  redis_cluster_ssl: { type: 'boolean', description: 'Connect to the cluster by TLS.' },
  redis_cluster_ssl_verify: { type: 'boolean', description: 'Verify the nodes’ certificates; not done if not given.' },
} satisfies Record<string, JsonSchema>;

/** To stand in a plugin's `allOf`. */
export const redisRequirements: readonly JsonSchema[] = [
  { if: { properties: { policy: { const: 'redis' } }, required: ['policy'] }, then: { required: ['redis_host'] } },
  {
    if: { properties: { policy: { const: 'redis-cluster' } }, required: ['policy'] },
    then: { required: ['redis_cluster_nodes', 'redis_cluster_name'] },
  },
];
