/** consumer_group: plugins shared by consumers (APISIX: admin-api). */
import type { JsonSchema, PluginConfigs, ResourceFields } from './resource.ts';
import { commonProperties, pluginsSchema } from './schema-definitions.ts';

export interface ConsumerGroup extends ResourceFields {
  plugins: PluginConfigs;
}

export const consumerGroupSchema: JsonSchema = {
  type: 'object',
  properties: { ...commonProperties, plugins: pluginsSchema },
  required: ['id', 'plugins'],
  additionalProperties: false,
};
