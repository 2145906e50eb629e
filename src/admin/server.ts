/**
 * The Admin API: a Fastify server in the control plane that nothing on the request path passes. The caller listens and
 * closes. Everything is behind the key (auth.ts); every change goes through ResourceWriter.
 */
import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply } from 'fastify';
import { AdminError } from './admin-error.ts';
import { registerAuth, type AuthOptions } from './auth.ts';
import { registerCors } from './cors.ts';
import { registerHistoryRoutes } from './history-routes.ts';
import { registerOpenapi, type DescribedRoute } from './openapi.ts';
import { registerPluginRoutes } from './plugin-routes.ts';
import { ResourceIndex } from './resource-index.ts';
import { registerResourceRoutes } from './resource-routes.ts';
import { ResourceWriter, type WriterDeps } from './resource-writer.ts';
import { registerSchemaRoutes } from './schema-routes.ts';
import { registerVerdictRoutes, type VerdictPurge } from './verdict-routes.ts';
import { StoreError } from '../store/store.ts';

export interface AdminDeps extends Omit<WriterDeps, 'index'>, AuthOptions {
  /** Forgets the verdicts that workers keep. */
  readonly verdicts?: VerdictPurge;
  /** The gateway's version, shown in the OpenAPI document. */
  readonly version: string;
  /** Looks at plugin files again; resolves when every worker uses what they hold. */
  readonly reloadPlugins?: () => Promise<void>;
  /** A body larger than this is answered 413; default 1.5 MiB, as APISIX. */
  readonly maxBodyBytes?: number;
  /** deployment.admin.enable_admin_cors: pages of other origins may call, with the key in the header. Default: no. */
  readonly cors?: boolean;
}

/** The resources are read when the server gets ready (`listen`, `ready`, `inject`), and followed until it closes. */
export function createAdminServer(deps: AdminDeps): FastifyInstance {
  const maxBodyBytes = deps.maxBodyBytes ?? 1.5 * 1024 * 1024;
  const server = Fastify({
    logger: false,
    bodyLimit: maxBodyBytes,
    exposeHeadRoutes: false,
    // A path that cannot be decoded comes before every hook; its text is not repeated.
    frameworkErrors: (error, _request, reply) => {
      const { statusCode = 400 } = error;
      void (reply as FastifyReply).code(statusCode).send({ error_msg: 'invalid path' });
    },
    // The longest id has 100 characters; each may be percent-encoded.
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 300 },
  });
  const routes: DescribedRoute[] = [];
  server.addHook('onRoute', ({ method, url }) => {
    for (const name of [method].flat()) routes.push({ method: name, url });
  });

  const index = new ResourceIndex(deps.registry);
  let stop: (() => void) | undefined;
  server.addHook('onReady', async () => {
    stop = await index.follow(deps.store);
  });
  server.addHook('onClose', () => stop?.());

  if (deps.cors === true) registerCors(server);
  registerAuth(server, deps);
  keepBodiesRaw(server);
  answerErrors(server, deps, maxBodyBytes);

  const writer = new ResourceWriter({ ...deps, index, publish: (n) => deps.publish(n) });
  registerResourceRoutes(server, { store: deps.store, registry: deps.registry, writer });
  registerHistoryRoutes(server, { store: deps.store, registry: deps.registry, writer });
  registerPluginRoutes(server, deps.registry, deps.reloadPlugins);
  registerSchemaRoutes(server, deps.registry);
  registerVerdictRoutes(server, deps.verdicts);
  registerOpenapi(server, deps.version, routes);
  return server;
}

/** Whatever the Content-Type says (curl -d says a form), the body is JSON and read by json-body.ts alone. */
function keepBodiesRaw(server: FastifyInstance): void {
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => {
    done(null, body);
  });
}

function answerErrors(server: FastifyInstance, deps: AdminDeps, maxBodyBytes: number): void {
  server.setNotFoundHandler((request) => {
    const path = request.url.split('?', 1)[0] ?? '';
    throw new AdminError(404, `Unsupported resource type: ${path.split('/')[3] ?? ''}`);
  });
  server.setErrorHandler((error: FastifyError | AdminError | StoreError, request, reply) => {
    if (error instanceof AdminError) return reply.code(error.status).send(error.body);
    if (error instanceof StoreError) {
      deps.log.error('the store failed', { reason: error.message });
      return reply.code(503).send({ error_msg: error.message });
    }
    const status = error.statusCode ?? 500;
    if (status === 413) {
      return reply
        .code(413)
        .send({ error_msg: `invalid request body: it is larger than ${String(maxBodyBytes)} bytes` });
    }
    if (status < 500) return reply.code(status).send({ error_msg: error.message });
    // The path without its query, which may hold a key.
    deps.log.error('admin request failed', {
      method: request.method,
      path: request.url.split('?', 1)[0],
      error: error.stack,
    });
    return reply.code(500).send({ error_msg: 'internal error' });
  });
}
