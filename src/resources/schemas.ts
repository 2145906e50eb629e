/** Every kind of resource: its schema and the word APISIX's messages use for it. */
import { consumerSchema } from './consumer.ts';
import { consumerGroupSchema } from './consumer-group.ts';
import { credentialSchema } from './credential.ts';
import { globalRuleSchema } from './global-rule.ts';
import { pluginConfigSchema } from './plugin-config.ts';
import { protoSchema } from './proto.ts';
import type { JsonSchema, ResourceKind } from './resource.ts';
import { routeSchema } from './route.ts';
import { serviceSchema } from './service.ts';
import { sslSchema } from './ssl.ts';
import { upstreamSchema } from './upstream-schema.ts';

/** plugin_metadata and secrets have a schema for each plugin and manager instead; see check.ts. */
export type SchemaKind = Exclude<ResourceKind, 'plugin_metadata' | 'secrets'>;

export const resourceSchemas: Readonly<Record<SchemaKind, JsonSchema>> = {
  routes: routeSchema,
  services: serviceSchema,
  upstreams: upstreamSchema,
  consumers: consumerSchema,
  credentials: credentialSchema,
  consumer_groups: consumerGroupSchema,
  plugin_configs: pluginConfigSchema,
  global_rules: globalRuleSchema,
  ssls: sslSchema,
  protos: protoSchema,
};

/** The word that messages and `/schema/{type}` use. */
export const kindNames: Readonly<Record<ResourceKind, string>> = {
  routes: 'route',
  services: 'service',
  upstreams: 'upstream',
  consumers: 'consumer',
  credentials: 'credential',
  consumer_groups: 'consumer group',
  plugin_configs: 'plugin config',
  global_rules: 'global rule',
  plugin_metadata: 'plugin_metadata',
  ssls: 'ssl',
  secrets: 'secret',
  protos: 'proto',
};
