/**
 * `$env://NAME` and `$secret://manager/id/key`: a value kept elsewhere. The control plane resolves references before a
 * worker sees the configuration (src/secrets), so one that is still met could not be resolved and is no secret at all.
 */
import type { Json } from '../resources/resource.ts';

const reference = /^\$(?:env|secret):\/\//i;

/** Such a value must never match what a client presents: the reference itself is no secret. */
export function isUnresolvedReference(value: string): boolean {
  return reference.test(value);
}

/** The first reference anywhere in `value`, or undefined. Object keys are not values. */
export function findReference(value: Json | undefined): string | undefined {
  if (typeof value === 'string') return reference.test(value) ? value : undefined;
  if (typeof value !== 'object' || value === null) return undefined;
  for (const member of Array.isArray(value) ? value : Object.values(value)) {
    const found = findReference(member);
    if (found !== undefined) return found;
  }
  return undefined;
}
