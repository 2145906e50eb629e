/** `/apisix/admin/{kind}`: HTTP in, one call of ResourceWriter or of the store, APISIX v3's answers out. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { AdminError, KeyNotFound } from './admin-error.ts';
import { adminPrefix, entityTag, showEntry, shownKey } from './answer.ts';
import { originOf } from './auth.ts';
import { parseBody, parseObject } from './json-body.ts';
import { listPage, type ListQuery } from './list.ts';
import { masking, type Masks } from './masking.ts';
import type { ResourceWriter, Target, Written } from './resource-writer.ts';
import type { PluginRegistry } from '../resources/plugin-check.ts';
import { formatKey, isKeyPart, parseKey } from '../resources/resource-key.ts';
import { resourceKinds, type ResourceKind } from '../resources/resource.ts';
import { kindNames } from '../resources/schemas.ts';
import type { Store } from '../store/store.ts';

const methods = ['GET', 'PUT', 'POST', 'PATCH', 'DELETE'] as const;
type Method = (typeof methods)[number];

/** What APISIX does not do for a kind. */
const unsupported: ReadonlyMap<ResourceKind, readonly Method[]> = new Map<ResourceKind, readonly Method[]>([
  ['consumers', ['POST', 'PATCH']],
  ['credentials', ['POST', 'PATCH']],
  ['consumer_groups', ['POST']],
  ['plugin_configs', ['POST']],
  ['global_rules', ['POST']],
  ['plugin_metadata', ['POST', 'PATCH']],
  ['secrets', ['POST']],
]);

export function isSupported(kind: ResourceKind, method: string): boolean {
  return !unsupported.get(kind)?.some((refused) => refused === method);
}

interface Params {
  id?: string;
  parent?: string;
  '*'?: string;
}

/** Path of a kind, with the parameter `:parent` where it stands under something. */
export function collectionPath(kind: ResourceKind): string {
  if (kind === 'credentials') return `${adminPrefix}/consumers/:parent/credentials`;
  if (kind === 'secrets') return `${adminPrefix}/secrets/:parent`;
  return `${adminPrefix}/${kind}`;
}

interface Deps {
  readonly store: Store;
  readonly registry: PluginRegistry;
  readonly writer: ResourceWriter;
}

export function registerResourceRoutes(server: FastifyInstance, deps: Deps): void {
  for (const kind of resourceKinds) {
    const path = collectionPath(kind);
    for (const method of methods) {
      const handler = (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> =>
        handle(kind, method, request, reply, deps);
      server.route({ method, url: path, handler });
      server.route({ method, url: `${path}/:id`, handler });
      if (method === 'PATCH') server.route({ method, url: `${path}/:id/*`, handler });
    }
  }
  server.get(`${adminPrefix}/secrets`, async (request, reply) =>
    reply.send(
      listPage(
        await readAll('secrets', undefined, deps.store, masking(request, deps.registry)),
        request.query as ListQuery,
      ),
    ),
  );
}

async function handle(
  kind: ResourceKind,
  method: Method,
  request: FastifyRequest,
  reply: FastifyReply,
  deps: Deps,
): Promise<FastifyReply> {
  const { store, writer } = deps;
  if (!isSupported(kind, method)) {
    throw new AdminError(405, `not supported \`${method}\` method for ${kindNames[kind]}`);
  }
  const params = request.params as Params;
  const query = request.query as ListQuery;
  const target: Target = { kind, id: params.id, parent: params.parent };
  // APISIX: leaves the resource to etcd's lease; a resource that does not expire as asked is worse than a refusal.
  if (query['ttl'] !== undefined) throw new AdminError(400, 'the argument ttl is not supported');
  if (target.parent !== undefined && !isKeyPart(target.parent)) throw new KeyNotFound();
  const ifMatch = request.headers['if-match'];
  const masks = masking(request, deps.registry);
  const origin = originOf(request);
  switch (method) {
    case 'GET':
      if (target.id === undefined) return reply.send(listPage(await readAll(kind, target.parent, store, masks), query));
      return sendOne(target, reply, store, masks);
    case 'PUT':
      return sendWritten(reply, await writer.put(target, parseObject(request.body), ifMatch, origin), masks);
    case 'POST':
      return sendWritten(reply, await writer.post(target, parseObject(request.body), origin), masks);
    case 'PATCH': {
      const subPath = params['*'] === undefined || params['*'] === '' ? undefined : params['*'];
      requireKeyPart(target.id);
      return sendWritten(reply, await writer.patch(target, parseBody(request.body), subPath, ifMatch, origin), masks);
    }
    case 'DELETE': {
      requireKeyPart(target.id);
      const key = await writer.delete(target, query['force'] === 'true', ifMatch, origin);
      return reply.send({ key: shownKey(key), deleted: '1' });
    }
  }
}

/** No resource can have such an id; without this, `jack%2Fcredentials%2Fc1` would pass for a consumer. */
function requireKeyPart(id: string | undefined): void {
  if (id !== undefined && !isKeyPart(id)) throw new KeyNotFound();
}

async function sendOne(target: Target, reply: FastifyReply, store: Store, masks: Masks): Promise<FastifyReply> {
  const id = target.id ?? '';
  requireKeyPart(id);
  const entry = await store.get(formatKey({ ...target, id }));
  if (!entry) throw new KeyNotFound();
  return reply.header('etag', entityTag(entry)).send(showEntry(entry, masks));
}

async function readAll(
  kind: ResourceKind,
  parent: string | undefined,
  store: Store,
  masks: Masks,
): Promise<ReturnType<typeof showEntry>[]> {
  const prefix = kind === 'secrets' && parent === undefined ? 'secrets/' : formatKey({ kind, id: '', parent });
  const { entries } = await store.list(prefix);
  return entries.filter(({ key }) => parseKey(key)?.kind === kind).map((entry) => showEntry(entry, masks));
}

function sendWritten(reply: FastifyReply, { created, entry }: Written, masks: Masks): FastifyReply {
  return reply
    .code(created ? 201 : 200)
    .header('etag', entityTag(entry))
    .send(showEntry(entry, masks));
}
