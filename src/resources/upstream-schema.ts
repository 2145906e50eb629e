/** The JSON Schema of an upstream, alone or inside a route or service (APISIX: schema_def.lua, upstream). */
import type { JsonSchema } from './resource.ts';
import {
  certificateSchema,
  commonProperties,
  hostSchema,
  idSchema,
  privateKeySchema,
  timeoutsSchema,
} from './schema-definitions.ts';

function httpStatuses(defaults: number[]): JsonSchema {
  return {
    type: 'array',
    minItems: 1,
    items: { type: 'integer', minimum: 200, maximum: 599 },
    uniqueItems: true,
    default: defaults,
  };
}

function threshold(minimum: number, defaultValue: number): JsonSchema {
  return { type: 'integer', minimum, maximum: 254, default: defaultValue };
}

const interval: JsonSchema = { type: 'integer', minimum: 1, default: 1, description: 'seconds between two probes' };
const checkType: JsonSchema = { type: 'string', enum: ['http', 'https', 'tcp'], default: 'http' };

const passiveHealthyStatuses = [
  200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 306, 307, 308,
];

const checksSchema: JsonSchema = {
  type: 'object',
  properties: {
    active: {
      type: 'object',
      properties: {
        type: checkType,
        timeout: { type: 'number', default: 1, description: 'seconds' },
        concurrency: { type: 'integer', default: 10 },
        host: hostSchema,
        port: { type: 'integer', minimum: 1, maximum: 65_535 },
        http_path: { type: 'string', default: '/' },
        http_method: { type: 'string', enum: ['GET', 'HEAD', 'POST', 'OPTIONS'] },
        https_verify_certificate: { type: 'boolean', default: true },
        req_headers: { type: 'array', minItems: 1, items: { type: 'string' } },
        healthy: {
          type: 'object',
          properties: { interval, http_statuses: httpStatuses([200, 302]), successes: threshold(1, 2) },
        },
        unhealthy: {
          type: 'object',
          properties: {
            interval,
            http_statuses: httpStatuses([429, 404, 500, 501, 502, 503, 504, 505]),
            http_failures: threshold(1, 5),
            tcp_failures: threshold(1, 2),
            timeouts: threshold(1, 3),
          },
        },
      },
    },
    passive: {
      type: 'object',
      properties: {
        type: checkType,
        healthy: {
          type: 'object',
          properties: { http_statuses: httpStatuses(passiveHealthyStatuses), successes: threshold(0, 5) },
        },
        unhealthy: {
          type: 'object',
          properties: {
            http_statuses: httpStatuses([429, 500, 503]),
            http_failures: threshold(0, 5),
            tcp_failures: threshold(0, 2),
            timeouts: threshold(0, 7),
          },
        },
      },
    },
  },
  additionalProperties: false,
  anyOf: [{ required: ['active'] }, { required: ['active', 'passive'] }],
};

const weight: JsonSchema = { description: 'weight of node', type: 'integer', minimum: 0 };

const nodesSchema: JsonSchema = {
  anyOf: [
    { type: 'object', patternProperties: { '.*': weight } },
    {
      type: 'array',
      items: {
        type: 'object',
        properties: {
          host: hostSchema,
          port: { description: 'port of node', type: 'integer', minimum: 1, maximum: 65_535 },
          weight,
          priority: { description: 'priority of node', type: 'integer', default: 0 },
          metadata: { description: 'metadata of node', type: 'object' },
        },
        required: ['host', 'weight'],
      },
    },
  ],
};

const tlsSchema: JsonSchema = {
  type: 'object',
  properties: {
    client_cert_id: idSchema,
    client_cert: certificateSchema,
    client_key: privateKeySchema,
    verify: { type: 'boolean', default: false, description: "turn on the verification of the upstream's certificate" },
  },
  dependencies: {
    client_cert: { required: ['client_key'], not: { required: ['client_cert_id'] } },
    client_key: { required: ['client_cert'], not: { required: ['client_cert_id'] } },
    client_cert_id: { not: { required: ['client_cert', 'client_key'] } },
  },
};

export const upstreamSchema: JsonSchema = {
  type: 'object',
  properties: {
    ...commonProperties,
    type: {
      description: 'algorithm of load balancing',
      type: 'string',
      enum: ['roundrobin', 'chash', 'least_conn', 'ewma'],
      default: 'roundrobin',
    },
    nodes: nodesSchema,
    service_name: { type: 'string', minLength: 1, maxLength: 256 },
    discovery_type: { description: 'discovery type', type: 'string' },
    discovery_args: {
      type: 'object',
      properties: { namespace_id: { type: 'string' }, group_name: { type: 'string' } },
    },
    hash_on: {
      type: 'string',
      enum: ['vars', 'header', 'cookie', 'consumer', 'vars_combinations'],
      default: 'vars',
    },
    key: { description: 'the key of chash for dynamic load balancing', type: 'string' },
    checks: checksSchema,
    retries: { type: 'integer', minimum: 0 },
    retry_timeout: { type: 'number', minimum: 0, description: 'seconds; 0: no limit' },
    timeout: timeoutsSchema,
    scheme: {
      enum: ['grpc', 'grpcs', 'http', 'https', 'tcp', 'tls', 'udp', 'kafka'],
      default: 'http',
    },
    pass_host: {
      description: 'mode of host passing',
      type: 'string',
      enum: ['pass', 'node', 'rewrite'],
      default: 'pass',
    },
    upstream_host: hostSchema,
    keepalive_pool: {
      type: 'object',
      properties: {
        size: { type: 'integer', default: 320, minimum: 1 },
        idle_timeout: { type: 'number', default: 60, minimum: 0, description: 'seconds' },
        requests: { type: 'integer', default: 1000, minimum: 1 },
      },
    },
    tls: tlsSchema,
  },
  oneOf: [{ required: ['nodes'] }, { required: ['service_name', 'discovery_type'] }],
  additionalProperties: false,
};
