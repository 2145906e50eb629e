/** plugin_config: plugins shared by routes (APISIX: admin-api). */
import type { JsonSchema, PluginConfigs, ResourceFields } from './resource.ts';
import { commonProperties, pluginsSchema } from './schema-definitions.ts';

export interface PluginConfig extends ResourceFields {
  plugins: PluginConfigs;
}

export const pluginConfigSchema: JsonSchema = {
  type: 'object',
  properties: { ...commonProperties, plugins: pluginsSchema },
  required: ['id', 'plugins'],
  additionalProperties: false,
};
