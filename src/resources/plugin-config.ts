/** plugin_config: plugins shared by routes (APISIX: admin-api). */
import type { PluginConfigs, ResourceFields } from './resource.ts';

export interface PluginConfig extends ResourceFields {
  plugins: PluginConfigs;
}
