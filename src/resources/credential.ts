/** credential: one of a consumer's ways to authenticate; holds exactly one auth plugin (APISIX: admin-api, Credential). */
import type { JsonSchema, PluginConfigs, ResourceFields } from './resource.ts';
import { commonProperties } from './schema-definitions.ts';

export interface Credential extends ResourceFields {
  plugins: PluginConfigs;
}

export const credentialSchema: JsonSchema = {
  type: 'object',
  properties: {
    ...commonProperties,
    plugins: { type: 'object', maxProperties: 1, minProperties: 1 },
  },
  // APISIX: stores a credential without a plugin, which can never authenticate anyone.
  required: ['plugins'],
  additionalProperties: false,
};
