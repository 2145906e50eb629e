/** route: which requests, and what happens to them (APISIX: admin-api, Route). */
import type { Json, PluginConfigs, ResourceFields, Timeouts } from './resource.ts';
import type { Upstream } from './upstream.ts';

export interface Route extends ResourceFields {
  uri?: string;
  uris?: string[];
  host?: string;
  hosts?: string[];
  methods?: string[];
  remote_addr?: string;
  remote_addrs?: string[];
  /** The expression language of lua-resty-expr. */
  vars?: Json[];
  priority?: number;
  /** 1 enabled (default), 0 disabled. */
  status?: 0 | 1;
  plugins?: PluginConfigs;
  plugin_config_id?: string | number;
  service_id?: string | number;
  upstream_id?: string | number;
  upstream?: Upstream;
  timeout?: Timeouts;
  enable_websocket?: boolean;
  filter_func?: string;
  script?: string;
}
