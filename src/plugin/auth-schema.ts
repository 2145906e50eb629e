/** Fields that auth plugins have in common on a route or service: to spread into a plugin's `properties`. */
import type { JsonSchema } from '../resources/resource.ts';

/** `what` is taken out of the request. */
export function hideCredentials(what: string): JsonSchema {
  return { type: 'boolean', default: false, description: `Remove ${what} before the request goes upstream.` };
}

/** `what` is what the caller has not. */
export function anonymousConsumer(what: string): JsonSchema {
  return {
    type: 'string',
    minLength: 1,
    description: `Consumer that stands in for a caller without ${what}.`,
  };
}

/** Nothing that would end the quoted text or the line. */
export const realmSchema = { type: 'string', pattern: '^[^"\\\\\\x00-\\x1f\\x7f]+$' };

export function realm(otherwise: string): JsonSchema {
  return { ...realmSchema, default: otherwise, description: 'Realm named in WWW-Authenticate.' };
}
