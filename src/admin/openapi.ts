/** The OpenAPI 3.1 document of the Admin API, made of the schemas that check what is written. */
import type { FastifyInstance } from 'fastify';
import { adminPrefix } from './answer.ts';
import { collectionPath, isSupported } from './resource-routes.ts';
import { schemaName } from './schema-routes.ts';
import type { JsonSchema, ResourceKind } from '../resources/resource.ts';
import { resourceKinds } from '../resources/resource.ts';
import { kindNames, resourceSchemas } from '../resources/schemas.ts';
import { secretSchemas } from '../resources/secret.ts';

type Document = Record<string, unknown>;

export interface DescribedRoute {
  /** Upper case. */
  readonly method: string;
  /** In the server's form: `/apisix/admin/routes/:id`. */
  readonly url: string;
}

export function registerOpenapi(server: FastifyInstance, version: string, routes: readonly DescribedRoute[]): void {
  server.get(`${adminPrefix}/openapi.json`, (_request, reply) => reply.send(describeApi(version, routes)));
}

/** `routes`: every route that the server has, so that none is left out of the document. */
export function describeApi(version: string, routes: readonly DescribedRoute[]): Document {
  const paths: Record<string, Document> = {};
  for (const { method, url } of routes) {
    const path = url.replaceAll(/:([a-z_]+)/g, '{$1}').replace(/\*$/, '{path}');
    (paths[path] ??= {})[method.toLowerCase()] = describeRoute(method, url, path);
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Gatewright Admin API', version },
    jsonSchemaDialect: 'http://json-schema.org/draft-07/schema#',
    security: [{ adminKey: [] }],
    paths,
    components: {
      securitySchemes: { adminKey: { type: 'apiKey', in: 'header', name: 'X-API-KEY' } },
      schemas: {
        ...resourceComponents(),
        error: errorSchema,
        stored: storedSchema,
        list: listSchema,
        deleted: deletedSchema,
      },
    },
  };
}

const errorSchema: JsonSchema = {
  type: 'object',
  properties: { error_msg: { type: 'string' }, description: { type: 'string' }, message: { type: 'string' } },
};
const storedSchema: JsonSchema = {
  type: 'object',
  properties: {
    key: { type: 'string' },
    value: { type: 'object' },
    createdIndex: { type: 'integer' },
    modifiedIndex: { type: 'integer' },
  },
  required: ['key', 'value', 'createdIndex', 'modifiedIndex'],
};
const listSchema: JsonSchema = {
  type: 'object',
  properties: { total: { type: 'integer' }, list: { type: 'array', items: reference('stored') } },
  required: ['total', 'list'],
};
const deletedSchema: JsonSchema = {
  type: 'object',
  properties: { key: { type: 'string' }, deleted: { type: 'string' } },
  required: ['key', 'deleted'],
};

function resourceComponents(): Record<string, JsonSchema> {
  const components = Object.entries(resourceSchemas).map(([kind, schema]) => [
    schemaName(kind as ResourceKind),
    schema,
  ]);
  return {
    ...(Object.fromEntries(components) as Record<string, JsonSchema>),
    secret: { anyOf: [...secretSchemas.values()] },
    plugin_metadata: { type: 'object' },
  };
}

function reference(name: string): JsonSchema {
  return { $ref: `#/components/schemas/${name}` };
}

function json(description: string, schema: JsonSchema): Document {
  return { description, content: { 'application/json': { schema } } };
}

function describeRoute(method: string, url: string, path: string): Document {
  const kind = resourceKinds.find((known) => url.startsWith(collectionPath(known)) && !isUnder(url, known));
  const failures = { '4XX': json('refused', reference('error')), '5XX': json('not done', reference('error')) };
  const parameters: Document[] = [...path.matchAll(/\{([a-z_]+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
  if (url.startsWith(historyPath)) return describeHistory(method, url, path, parameters, failures);
  if (!kind || !isSupported(kind, method)) {
    const answer = kind ? {} : { '200': { description: 'done' } };
    return { summary: `${method} ${path}`, parameters, responses: { ...answer, ...failures } };
  }
  const one = url.includes(`${collectionPath(kind)}/:id`);
  const names: Record<string, string[]> = {
    GET: one ? [] : ['page', 'page_size', 'name', 'label', 'uri', 'filter'],
    DELETE: ['force'],
  };
  for (const name of names[method] ?? []) parameters.push({ name, in: 'query', schema: { type: 'string' } });
  if (method !== 'GET' && method !== 'POST')
    parameters.push({ name: 'If-Match', in: 'header', schema: { type: 'string' } });
  const body = {
    required: true,
    content: { 'application/json': { schema: method === 'PATCH' ? {} : reference(schemaName(kind)) } },
  };
  const result = method === 'DELETE' ? 'deleted' : method === 'GET' && !one ? 'list' : 'stored';
  return {
    summary: `${method} ${kindNames[kind]}`,
    tags: [kind],
    parameters,
    ...(method === 'GET' || method === 'DELETE' ? {} : { requestBody: body }),
    responses: {
      ...(method === 'POST' ? {} : { '200': json('done', reference(result)) }),
      ...(method === 'PUT' || method === 'POST' ? { '201': json('created', reference('stored')) } : {}),
      ...failures,
    },
  };
}

/** It is of no kind of resource, and documented in docs/history.md. */
const historyPath = `${adminPrefix}/history`;

function describeHistory(
  method: string,
  url: string,
  path: string,
  parameters: readonly Document[],
  failures: Document,
): Document {
  const queries = url === historyPath ? ['resource', 'who', 'revision', 'since', 'until', 'page', 'page_size'] : [];
  const shown = ['show_secrets', ...queries].map((name) => ({ name, in: 'query', schema: { type: 'string' } }));
  const ifMatch = method === 'POST' ? [{ name: 'If-Match', in: 'header', schema: { type: 'string' } }] : [];
  const options = { resources: { type: 'array', items: { type: 'string' } }, dry_run: { type: 'boolean' } };
  const schema = { type: 'object', properties: options, additionalProperties: false };
  return {
    summary: `${method} ${path}`,
    tags: ['history'],
    parameters: [...parameters, ...shown, ...ifMatch],
    ...(method === 'POST' ? { requestBody: { content: { 'application/json': { schema } } } } : {}),
    responses: { '200': json('done', { type: 'object' }), ...failures },
  };
}

/** Credentials stand under consumers, and are not one. */
function isUnder(url: string, kind: ResourceKind): boolean {
  return kind === 'consumers' && url.startsWith(collectionPath('credentials'));
}
