/**
 * Header fields that say who a caller is. The gateway alone sets them: a client's are dropped, and so is every spelling that a
 * backend may fold onto one (GHSA-x677-9fxg-v5c5).
 */

/** Lower case. */
export const identityHeaders: readonly string[] = [
  'x-consumer-username',
  'x-consumer-custom-id',
  'x-consumer-group-id',
  'x-consumer-groups',
  'x-credential-identifier',
  'x-userinfo',
];

const known = new Set(identityHeaders);

/** In any case, and in any spelling that folds onto one: `X_Consumer.Username`. */
export function isIdentityHeader(name: string): boolean {
  return known.has(name.toLowerCase().replace(/[^a-z0-9]/g, '-'));
}
