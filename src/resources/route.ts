/** route: which requests, and what happens to them (APISIX: admin-api, Route). */
import type { Json, JsonSchema, PluginConfigs, ResourceFields, Timeouts } from './resource.ts';
import type { Upstream } from './upstream.ts';
import {
  addressSchema,
  commonProperties,
  hostSchema,
  idSchema,
  pluginsSchema,
  scriptSchema,
  timeoutsSchema,
} from './schema-definitions.ts';
import { upstreamSchema } from './upstream-schema.ts';

export interface Route extends ResourceFields {
  uri?: string;
  uris?: string[];
  host?: string;
  hosts?: string[];
  methods?: string[];
  remote_addr?: string;
  remote_addrs?: string[];
  /** The expression language of lua-resty-expr. */
  vars?: Json[];
  priority?: number;
  /** 1 enabled (default), 0 disabled. */
  status?: 0 | 1;
  plugins?: PluginConfigs;
  plugin_config_id?: string | number;
  service_id?: string | number;
  upstream_id?: string | number;
  upstream?: Upstream;
  timeout?: Timeouts;
  enable_websocket?: boolean;
  filter_func?: string;
  script?: string;
}

export const routeSchema: JsonSchema = {
  type: 'object',
  properties: {
    ...commonProperties,
    uri: { type: 'string', minLength: 1, maxLength: 4096 },
    uris: {
      type: 'array',
      items: { description: 'HTTP uri', type: 'string' },
      minItems: 1,
      uniqueItems: true,
    },
    priority: { type: 'integer', default: 0 },
    methods: {
      type: 'array',
      items: {
        description: 'HTTP method',
        type: 'string',
        enum: ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS', 'CONNECT', 'TRACE', 'PURGE'],
      },
      uniqueItems: true,
    },
    host: hostSchema,
    hosts: { type: 'array', items: hostSchema, minItems: 1, uniqueItems: true },
    remote_addr: addressSchema,
    remote_addrs: { type: 'array', items: addressSchema, minItems: 1, uniqueItems: true },
    timeout: timeoutsSchema,
    vars: { type: 'array' },
    filter_func: { type: 'string', minLength: 10, pattern: '^function' },
    script: scriptSchema,
    script_id: idSchema,
    plugins: pluginsSchema,
    plugin_config_id: idSchema,
    upstream: upstreamSchema,
    service_id: idSchema,
    upstream_id: idSchema,
    enable_websocket: { description: 'enable websocket for request', type: 'boolean' },
    status: { description: 'route status, 1 to enable, 0 to disable', type: 'integer', enum: [1, 0], default: 1 },
  },
  allOf: [
    { oneOf: [{ required: ['uri'] }, { required: ['uris'] }] },
    {
      oneOf: [
        { not: { anyOf: [{ required: ['host'] }, { required: ['hosts'] }] } },
        { required: ['host'] },
        { required: ['hosts'] },
      ],
    },
    {
      oneOf: [
        { not: { anyOf: [{ required: ['remote_addr'] }, { required: ['remote_addrs'] }] } },
        { required: ['remote_addr'] },
        { required: ['remote_addrs'] },
      ],
    },
  ],
  anyOf: [
    { required: ['plugins', 'uri'] },
    { required: ['upstream', 'uri'] },
    { required: ['upstream_id', 'uri'] },
    { required: ['service_id', 'uri'] },
    { required: ['plugins', 'uris'] },
    { required: ['upstream', 'uris'] },
    { required: ['upstream_id', 'uris'] },
    { required: ['service_id', 'uris'] },
    { required: ['script', 'uri'] },
    { required: ['script', 'uris'] },
  ],
  not: { anyOf: [{ required: ['script', 'plugins'] }, { required: ['script', 'plugin_config_id'] }] },
  additionalProperties: false,
};
