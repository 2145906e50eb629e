/**
 * Header fields that say who a caller is. The gateway alone sets them: a client's are dropped, and so is every spelling that a
 * backend may fold onto one (GHSA-x677-9fxg-v5c5).
 */
import type { HeaderFields } from './exchange.ts';

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

/** What a backend may read a header's name as, CGI's variables and the like: lower case, `-` for what is neither letter nor digit. */
export function foldedName(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, '-');
}

/** In any case, and in any spelling that folds onto one: `X_Consumer.Username`. */
export function isIdentityHeader(name: string): boolean {
  return known.has(foldedName(name));
}

/** For `removeSpellings`. */
export function foldedNames(names: Iterable<string>): ReadonlySet<string> {
  return new Set([...names].map(foldedName));
}

/** Removes what a client sent under names that only a plugin may set, in every spelling. */
export function removeSpellings(headers: HeaderFields, names: ReadonlySet<string>): void {
  if (names.size === 0) return;
  const sent: string[] = [];
  for (const [name] of headers.entries()) if (names.has(foldedName(name))) sent.push(name);
  for (const name of sent) headers.remove(name);
}
