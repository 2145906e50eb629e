/**
 * `DELETE /apisix/admin/verdicts`: forgets what outside authorisers decided (custom-auth, forward-auth, opa), at once and in every
 * worker; `…/verdicts/routes/{id}`, `…/global_rules/{id}` and `…/consumers/{username}` only what is kept for that one.
 * APISIX: has none.
 */
import type { FastifyInstance } from 'fastify';
import { AdminError } from './admin-error.ts';
import { adminPrefix } from './answer.ts';

export interface VerdictPurge {
  /** `route#1`, `global_rule#2`; undefined: all. */
  purge(scope: string | undefined): void;
}

/** Kind in the path → what the scope of a configuration there begins with. */
const scopes = new Map([
  ['routes', 'route'],
  ['global_rules', 'global_rule'],
  ['consumers', 'consumer'],
]);

export function registerVerdictRoutes(server: FastifyInstance, verdicts: VerdictPurge | undefined): void {
  server.delete(`${adminPrefix}/verdicts`, (_request, reply) => {
    verdicts?.purge(undefined);
    return reply.code(200).send({ purged: 'all' });
  });
  server.delete(`${adminPrefix}/verdicts/:kind/:id`, (request, reply) => {
    const { kind, id } = request.params as { kind: string; id: string };
    const scope = scopes.get(kind);
    if (scope === undefined) throw new AdminError(404, `verdicts are kept for ${[...scopes.keys()].join(' and ')}`);
    verdicts?.purge(`${scope}#${id}`);
    return reply.code(200).send({ purged: `${kind}/${id}` });
  });
}
