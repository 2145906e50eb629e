/** global_rule: plugins run on every request (APISIX: admin-api). */
import type { PluginConfigs, ResourceFields } from './resource.ts';

export interface GlobalRule extends ResourceFields {
  plugins: PluginConfigs;
}
