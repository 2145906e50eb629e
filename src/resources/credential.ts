/** credential: one of a consumer's ways to authenticate; holds exactly one auth plugin (APISIX: admin-api, Credential). */
import type { PluginConfigs, ResourceFields } from './resource.ts';

export interface Credential extends ResourceFields {
  plugins: PluginConfigs;
}
