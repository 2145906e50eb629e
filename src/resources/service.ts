/** service: what several routes share (APISIX: admin-api, Service). */
import type { JsonSchema, PluginConfigs, ResourceFields } from './resource.ts';
import type { Upstream } from './upstream.ts';
import { commonProperties, hostSchema, idSchema, pluginsSchema, scriptSchema } from './schema-definitions.ts';
import { upstreamSchema } from './upstream-schema.ts';

export interface Service extends ResourceFields {
  hosts?: string[];
  plugins?: PluginConfigs;
  upstream_id?: string | number;
  upstream?: Upstream;
  enable_websocket?: boolean;
}

export const serviceSchema: JsonSchema = {
  type: 'object',
  properties: {
    ...commonProperties,
    plugins: pluginsSchema,
    upstream: upstreamSchema,
    upstream_id: idSchema,
    script: scriptSchema,
    enable_websocket: { description: 'enable websocket for request', type: 'boolean' },
    hosts: { type: 'array', items: hostSchema, minItems: 1, uniqueItems: true },
  },
  additionalProperties: false,
};
