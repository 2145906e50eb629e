/** What all stored resources share: the kinds, the JSON they are, and the fields every one may carry. */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };
/** A JSON Schema (draft-07 subset that APISIX's schemas use). */
export type JsonSchema = { [key: string]: unknown };

/** Directory names of the Admin API and of the etcd layout. Credentials live under `consumers/{name}/credentials/{id}`. */
export const resourceKinds = [
  'routes',
  'services',
  'upstreams',
  'consumers',
  'credentials',
  'consumer_groups',
  'plugin_configs',
  'global_rules',
  'plugin_metadata',
  'ssls',
  'secrets',
  'protos',
] as const;
export type ResourceKind = (typeof resourceKinds)[number];

/** Plugin name → its configuration as stored (with `_meta`). */
export type PluginConfigs = Record<string, Record<string, Json>>;

export interface ResourceFields {
  id?: string | number;
  name?: string;
  desc?: string;
  labels?: Record<string, string>;
  /** Seconds since the epoch. */
  create_time?: number;
  update_time?: number;
}

/** Seconds, each. */
export interface Timeouts {
  connect?: number;
  send?: number;
  read?: number;
}
