/** consumer: who calls (APISIX: admin-api, Consumer). */
import type { PluginConfigs, ResourceFields } from './resource.ts';

export interface Consumer extends ResourceFields {
  username: string;
  group_id?: string | number;
  plugins?: PluginConfigs;
  custom_id?: string;
}
