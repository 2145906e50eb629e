/**
 * Keys that APISIX has and we do not honour: each that a file sets is one warning, so that nothing is silently without effect.
 * `harmless` values ask for what happens anyway, and are not worth a warning; nor are null and ''.
 */

import type { KeyName } from './keys.ts';

export interface NotHonoured {
  readonly reason: string;
  readonly harmless?: readonly unknown[];
}

/**
 * Keys that are read and checked already, while what they ask for is not there yet. `happens` is the value that describes what does
 * happen: any other is one warning. Whoever builds the feature takes its line out.
 */
export const notYetInEffect: Readonly<
  Partial<Record<KeyName, { readonly happens: unknown; readonly reason: string }>>
> = {
  'apisix.enable_http2': { happens: false, reason: 'HTTP/2 is not available yet' },
  'apisix.ssl.enable_http2': { happens: false, reason: 'HTTP/2 is not available yet' },
  'apisix.delete_uri_tail_slash': { happens: false, reason: 'not available yet' },
  'deployment.admin.enable_admin_ui': { happens: false, reason: 'the dashboard is not available yet' },
};

const nginxOnly = 'belongs to nginx and has no counterpart here';
const notYet = 'not available yet';
const noLua = 'there is no Lua here';

export const notHonoured: Readonly<Record<string, NotHonoured>> = {
  'apisix.enable_reuseport': { reason: 'worker threads always share their ports', harmless: [true] },
  'apisix.enable_ipv6': { reason: "list an ip such as '::' in apisix.node_listen for IPv6", harmless: [] },
  'apisix.proxy_protocol': { reason: notYet },
  'apisix.extra_lua_path': { reason: noLua },
  'apisix.extra_lua_cpath': { reason: noLua },
  'apisix.lua_module_hook': { reason: noLua },
  'apisix.proxy_cache': { reason: notYet },
  'apisix.router.ssl': { reason: 'certificates are always found by server name', harmless: ['radixtree_sni'] },
  'apisix.proxy_mode': { reason: 'TCP and UDP are not proxied', harmless: ['http'] },
  'apisix.stream_proxy': { reason: 'TCP and UDP are not proxied' },
  'apisix.enable_resolv_search_opt': { reason: "the system's resolver decides" },
  'apisix.ssl.key_encrypt_salt': { reason: 'use apisix.data_encryption.keyring' },
  'apisix.control.router': { reason: 'the control API has one router' },
  'apisix.disable_sync_configuration_during_start': {
    reason: 'the configuration is always loaded before traffic is taken',
  },
  'apisix.worker_startup_time_threshold': {
    reason: 'a worker that dies is replaced, and serves once it has the whole configuration',
  },
  'apisix.events': { reason: 'workers are told of changes directly' },
  'apisix.lru': { reason: notYet },
  'apisix.tracing': { reason: notYet },
  'apisix.id': { reason: notYet },
  'apisix.https_admin': { reason: 'the Admin API has no TLS yet, and stays on loopback', harmless: [false] },
  'apisix.admin_api_mtls': { reason: 'the Admin API has no TLS yet' },
  'apisix.admin_api_version': { reason: 'the Admin API speaks v3', harmless: ['v3'] },
  'deployment.admin.https_admin': { reason: 'the Admin API has no TLS yet, and stays on loopback', harmless: [false] },
  'deployment.admin.admin_api_mtls': { reason: 'the Admin API has no TLS yet' },
  'deployment.admin.admin_api_version': { reason: 'the Admin API speaks v3', harmless: ['v3'] },
  'deployment.etcd': {
    reason: 'the etcd store is not available yet; resources are kept in the embedded database of the data directory',
  },
  etcd: {
    reason: 'the etcd store is not available yet; resources are kept in the embedded database of the data directory',
  },
  'deployment.certs': { reason: notYet },
  'deployment.role_control_plane.conf_server': { reason: notYet },
  'deployment.role_data_plane.control_plane': { reason: notYet },
  discovery: { reason: notYet },
  graphql: { reason: notYet },
  stream_plugins: { reason: 'TCP and UDP are not proxied' },
  wasm: { reason: notYet },
  xrpc: { reason: 'TCP and UDP are not proxied' },
  'plugin_attr.prometheus.refresh_interval': { reason: 'metrics are counted when they are asked for' },
  'nginx_config.user': { reason: 'start the gateway as the user it shall run as' },
  'nginx_config.error_log': { reason: 'the error log goes to stderr', harmless: ['stderr', '/dev/stderr'] },
  'nginx_config.enable_cpu_affinity': { reason: nginxOnly, harmless: [false] },
  'nginx_config.worker_rlimit_nofile': { reason: nginxOnly },
  'nginx_config.max_pending_timers': { reason: nginxOnly },
  'nginx_config.max_running_timers': { reason: nginxOnly },
  'nginx_config.event': { reason: nginxOnly },
  'nginx_config.meta': { reason: nginxOnly },
  'nginx_config.stream': { reason: 'TCP and UDP are not proxied' },
  'nginx_config.main_configuration_snippet': { reason: nginxOnly },
  'nginx_config.http_configuration_snippet': { reason: nginxOnly },
  'nginx_config.http_server_configuration_snippet': { reason: nginxOnly },
  'nginx_config.http_server_location_configuration_snippet': { reason: nginxOnly },
  'nginx_config.http_admin_configuration_snippet': { reason: nginxOnly },
  'nginx_config.http_end_configuration_snippet': { reason: nginxOnly },
  'nginx_config.stream_configuration_snippet': { reason: nginxOnly },
  'nginx_config.http.custom_lua_shared_dict': { reason: nginxOnly },
  'nginx_config.http.lua_shared_dict': { reason: nginxOnly },
  'nginx_config.http.lua_shared_dicts': { reason: nginxOnly },
  'nginx_config.http.proxy_ssl_server_name': { reason: 'the server name is always sent', harmless: [true] },
  'nginx_config.http.charset': { reason: 'Content-Type is sent as the upstream gave it' },
  'nginx_config.http.variables_hash_max_size': { reason: nginxOnly },
};
