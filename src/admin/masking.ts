/** Whether an answer shows secrets: only where a key with the role `admin` asks for them. */
import type { FastifyRequest } from 'fastify';
import type { PluginRegistry } from '../resources/plugin-check.ts';
import { AdminError } from './admin-error.ts';
import { adminKeyOf } from './auth.ts';
import type { ListQuery } from './list.ts';

/** What tells where secrets are, to mask them; undefined where the answer shows them. */
export type Masks = PluginRegistry | undefined;

/** `?show_secrets=true`. Throws AdminError 403. */
export function masking(request: FastifyRequest, registry: PluginRegistry): Masks {
  if ((request.query as ListQuery)['show_secrets'] !== 'true') return registry;
  if (adminKeyOf(request).role === 'admin') return undefined;
  throw new AdminError(403, 'show_secrets needs a key with the role admin');
}
