/** consumer: who calls (APISIX: admin-api, Consumer). */
import type { JsonSchema, PluginConfigs, ResourceFields } from './resource.ts';
import { commonProperties, idSchema, pluginsSchema } from './schema-definitions.ts';

export interface Consumer extends ResourceFields {
  username: string;
  group_id?: string | number;
  plugins?: PluginConfigs;
  custom_id?: string;
}

export const consumerSchema: JsonSchema = {
  type: 'object',
  properties: {
    ...commonProperties,
    username: { type: 'string', minLength: 1, maxLength: 100, pattern: '^[a-zA-Z0-9_\\-]+$' },
    group_id: idSchema,
    plugins: pluginsSchema,
    // APISIX: reads the custom id from the label `custom_id` only; the field says it outright.
    custom_id: { type: 'string', minLength: 1, maxLength: 256, pattern: '^[\\x21-\\x7e]+$' },
  },
  required: ['username'],
  additionalProperties: false,
};
