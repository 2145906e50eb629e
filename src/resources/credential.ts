/**
 * credential: one of a consumer's ways to authenticate; holds exactly one auth plugin (APISIX: admin-api, Credential).
 * APISIX: `expires_at` is an addition.
 */
import type { JsonSchema, PluginConfigs, ResourceFields } from './resource.ts';
import { commonProperties } from './schema-definitions.ts';

export interface Credential extends ResourceFields {
  plugins: PluginConfigs;
  /** Seconds since 1970, from when on it lets nobody in. */
  expires_at?: number;
}

export const credentialSchema: JsonSchema = {
  type: 'object',
  properties: {
    ...commonProperties,
    plugins: { type: 'object', maxProperties: 1, minProperties: 1 },
    expires_at: {
      type: 'integer',
      minimum: 1,
      description: 'Seconds since 1970, from when on the credential lets nobody in; without it, it does not expire.',
    },
  },
  // APISIX: stores a credential without a plugin, which can never authenticate anyone.
  required: ['plugins'],
  additionalProperties: false,
};
