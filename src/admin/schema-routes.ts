/** `/schema` and validation without storing (APISIX: admin/schema.lua, admin/config_validate.lua). */
import type { FastifyInstance } from 'fastify';
import { AdminError } from './admin-error.ts';
import { adminPrefix } from './answer.ts';
import { parseBody, parseObject } from './json-body.ts';
import { checkResource, schemaOf } from '../resources/check.ts';
import type { PluginRegistry } from '../resources/plugin-check.ts';
import { parseKey } from '../resources/resource-key.ts';
import { resourceKinds, type Json, type JsonObject, type ResourceKind } from '../resources/resource.ts';
import { kindNames, resourceSchemas } from '../resources/schemas.ts';
import { luaType } from '../resources/schema-message.ts';
import { compileSchema } from '../resources/validator.ts';

export function registerSchemaRoutes(server: FastifyInstance, registry: PluginRegistry): void {
  const byName = new Map(
    Object.entries(resourceSchemas).map(([kind, schema]) => [schemaName(kind as ResourceKind), schema]),
  );

  server.get(`${adminPrefix}/schema/:name`, (request, reply) => {
    const { name } = request.params as { name: string };
    const schema = byName.get(name);
    if (!schema) throw new AdminError(400, `not found schema: ${name}`);
    return reply.send(schema);
  });

  server.post(`${adminPrefix}/schema/validate/:kind`, (request, reply) => {
    const { kind: name } = request.params as { kind: string };
    const kind = resourceKinds.find((known) => known === name);
    const schema = kind && schemaOf(kind, registry);
    if (!schema || typeof schema === 'string') throw new AdminError(404, `Unsupported resource type: ${name}`);
    const value = parseBody(request.body);
    if (value === undefined) throw new AdminError(400, 'invalid request body: empty request body');
    const error = compileSchema(schema)(value);
    if (error !== undefined) throw new AdminError(400, error);
    return reply.send();
  });

  for (const path of [`${adminPrefix}/configs/validate`, `${adminPrefix}/validate`]) {
    server.post(path, (request, reply) => {
      const body = parseObject(request.body);
      if (!body) throw new AdminError(400, 'invalid request body: empty request body');
      const errors = validateAll(body, registry);
      if (errors.length > 0) throw new AdminError(400, 'Configuration validation failed', { errors });
      return reply.send();
    });
  }
}

/** `consumer_group`: how `/schema/{name}` calls a kind. */
export function schemaName(kind: ResourceKind): string {
  return kindNames[kind].replaceAll(' ', '_');
}

interface InvalidItem {
  readonly resource_type: string;
  /** Counts from 0. */
  readonly index?: number;
  readonly error: string;
}

/** `body`: kind → list of resources. Each is checked alone; references are not. */
function validateAll(body: JsonObject, registry: PluginRegistry): InvalidItem[] {
  const invalid: InvalidItem[] = [];
  for (const kind of resourceKinds) {
    const items = body[kind];
    if (items === undefined) continue;
    if (!Array.isArray(items)) {
      invalid.push({ resource_type: kind, error: `wrong type: expected array, got ${luaType(items)}` });
      continue;
    }
    const seen = new Set<string>();
    for (const [index, item] of items.entries()) {
      const id = idOf(item);
      const error = checkItem(kind, item, id, registry);
      if (error !== undefined) {
        const message = `invalid ${kind} at index ${String(index)}, err: ${error}`;
        invalid.push({ resource_type: kind, index, error: message });
      }
      if (id === undefined) continue;
      if (seen.has(id)) invalid.push({ resource_type: kind, index, error: `found duplicate id ${id} in ${kind}` });
      seen.add(id);
    }
  }
  return invalid;
}

function checkItem(
  kind: ResourceKind,
  item: Json,
  id: string | undefined,
  registry: PluginRegistry,
): string | undefined {
  if (typeof item !== 'object' || item === null || Array.isArray(item)) {
    return `wrong type: expected object, got ${luaType(item)}`;
  }
  // As in APISIX's file of resources: `consumers` may hold credentials under their full key.
  const key = id === undefined ? undefined : parseKey(`${kind}/${id}`);
  if (kind === 'plugin_metadata' || kind === 'consumers') {
    const { id: _id, ...rest } = item;
    if (key?.kind === 'credentials') return checkResource('credentials', { ...rest, id: key.id }, registry);
    return checkResource(kind, rest, registry, id);
  }
  if (kind === 'secrets' && !key) return `invalid secret id: ${id ?? ''}`;
  return checkResource(kind, item, registry, key?.parent);
}

function idOf(item: Json): string | undefined {
  if (typeof item !== 'object' || item === null || Array.isArray(item)) return undefined;
  const id = item['id'] ?? item['username'];
  return typeof id === 'string' || typeof id === 'number' ? String(id) : undefined;
}
