/** service: what several routes share (APISIX: admin-api, Service). */
import type { PluginConfigs, ResourceFields } from './resource.ts';
import type { Upstream } from './upstream.ts';

export interface Service extends ResourceFields {
  hosts?: string[];
  plugins?: PluginConfigs;
  upstream_id?: string | number;
  upstream?: Upstream;
  enable_websocket?: boolean;
}
