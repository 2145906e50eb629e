/** consumer_group: plugins shared by consumers (APISIX: admin-api). */
import type { PluginConfigs, ResourceFields } from './resource.ts';

export interface ConsumerGroup extends ResourceFields {
  plugins: PluginConfigs;
}
