/** `/plugins`: which plugins are enabled and what their configuration may be (APISIX: admin/plugins.lua). */
import type { FastifyInstance } from 'fastify';
import { AdminError } from './admin-error.ts';
import { adminPrefix } from './answer.ts';
import { injectMeta, type CheckablePlugin, type PluginRegistry } from '../resources/plugin-check.ts';
import type { JsonSchema } from '../resources/resource.ts';

interface PluginQuery {
  readonly subsystem?: string;
  readonly all?: string;
  readonly schema_type?: string;
}

/** `reload`: resolves when every worker uses what plugin files hold now. */
export function registerPluginRoutes(
  server: FastifyInstance,
  registry: PluginRegistry,
  reload: () => Promise<void> = () => Promise.resolve(),
): void {
  server.put(`${adminPrefix}/plugins/reload`, async (_request, reply) => {
    await reload();
    return reply.send('done');
  });

  server.get(`${adminPrefix}/plugins/list`, (_request, reply) =>
    reply.send(byPriority(registry).map((plugin) => plugin.name)),
  );

  server.get(`${adminPrefix}/plugins`, (request, reply) => {
    const query = request.query as PluginQuery;
    const subsystem = subsystemOf(query);
    if (query.all !== 'true') throw new AdminError(400, 'not found plugin name');
    // There are no stream plugins yet.
    const plugins = subsystem === 'http' ? byPriority(registry) : [];
    return reply.send(Object.fromEntries(plugins.map((plugin) => [plugin.name, describe(plugin)])));
  });

  for (const path of [`${adminPrefix}/plugins/:name`, `${adminPrefix}/schema/plugins/:name`]) {
    server.get(path, (request, reply) =>
      reply.send(pluginSchema(registry, (request.params as { name: string }).name, request.query as PluginQuery)),
    );
  }
}

function byPriority(registry: PluginRegistry): CheckablePlugin[] {
  return [...registry.list()].sort((a, b) => b.priority - a.priority);
}

function subsystemOf(query: PluginQuery): 'http' | 'stream' {
  const subsystem = query.subsystem ?? 'http';
  if (subsystem !== 'http' && subsystem !== 'stream') throw new AdminError(400, 'invalid subsystem');
  return subsystem;
}

function describe(plugin: CheckablePlugin): Record<string, unknown> {
  return {
    name: plugin.name,
    priority: plugin.priority,
    version: plugin.version,
    type: plugin.type,
    schema: injectMeta(plugin.schema),
    consumer_schema: plugin.consumerSchema,
    metadata_schema: plugin.metadataSchema,
  };
}

function pluginSchema(registry: PluginRegistry, name: string, query: PluginQuery): JsonSchema {
  const subsystem = subsystemOf(query);
  const plugin = subsystem === 'http' ? registry.get(name) : undefined;
  if (!plugin) throw new AdminError(404, `plugin not found in subsystem ${subsystem}`);
  const schemas: Record<string, JsonSchema | undefined> = {
    consumer: plugin.consumerSchema,
    metadata: plugin.metadataSchema,
  };
  const schema = query.schema_type === undefined ? injectMeta(plugin.schema) : schemas[query.schema_type];
  if (!schema) throw new AdminError(400, 'not found schema');
  return schema;
}
