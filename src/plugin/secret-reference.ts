/**
 * `$env://NAME` and `$secret://manager/id/key`: a value kept elsewhere. Whoever resolves references does it before a
 * plugin sees the configuration, so one that a plugin still meets could not be resolved and is no secret at all.
 */
const reference = /^\$(?:env|secret):\/\//i;

/** Such a value must never match what a client presents: the reference itself is no secret. */
export function isUnresolvedReference(value: string): boolean {
  return reference.test(value);
}
