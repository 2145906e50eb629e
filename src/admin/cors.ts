/**
 * Lets pages of other origins call the Admin API (APISIX: enable_admin_cors). Preflights are answered before the key
 * is asked for, since a browser sends none with them (Fetch §4.8). Cookies are never allowed across origins.
 */
import type { FastifyInstance } from 'fastify';

export function registerCors(server: FastifyInstance): void {
  server.addHook('onRequest', (request, reply, done) => {
    reply.header('access-control-allow-origin', '*').header('access-control-expose-headers', 'ETag');
    if (request.method !== 'OPTIONS') {
      done();
      return;
    }
    reply
      .header('access-control-allow-methods', 'GET, PUT, POST, PATCH, DELETE')
      .header('access-control-allow-headers', 'X-API-KEY, Content-Type, If-Match')
      .header('access-control-max-age', '3600')
      .code(204)
      .send();
  });
}
