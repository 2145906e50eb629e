/** global_rule: plugins run on every request (APISIX: admin-api). */
import type { JsonSchema, PluginConfigs, ResourceFields } from './resource.ts';
import { idSchema, pluginsSchema, timestamps } from './schema-definitions.ts';

export interface GlobalRule extends ResourceFields {
  plugins: PluginConfigs;
}

export const globalRuleSchema: JsonSchema = {
  type: 'object',
  properties: { id: idSchema, plugins: pluginsSchema, ...timestamps },
  required: ['plugins'],
  additionalProperties: false,
};
