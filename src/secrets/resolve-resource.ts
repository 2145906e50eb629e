/**
 * Where a stored resource may refer to secrets, and the resource with the values in their place: every string in its
 * plugins' configuration (and metadata), certificates and keys. Nothing else of a resource is looked at.
 */
import { isUnresolvedReference } from '../plugin/secret-reference.ts';
import type { Json, JsonObject } from '../resources/resource.ts';

/** Cheap look at the stored text: false for nearly every resource. JSON may write `/` as `\/`. */
const mayRefer = /"\$(?:env|secret):(?:\\?\/){2}/i;

export function mayHoldReferences(text: string): boolean {
  return mayRefer.test(text);
}

/** `key` as in the store. Every reference of the resource, once. */
export function referencesIn(key: string, value: JsonObject): string[] {
  const found = new Set<string>();
  resolveResource(key, value, (reference) => {
    found.add(reference);
    return undefined;
  });
  return [...found];
}

/** A copy with the values that `lookUp` gives; a reference that it does not know stays as it is. */
export function resolveResource(
  key: string,
  value: JsonObject,
  lookUp: (reference: string) => string | undefined,
): JsonObject {
  const kind = key.split('/', 1)[0];
  const resolve = (part: Json): Json => mapStrings(part, (text) => (isUnresolvedReference(text) ? lookUp(text) : text));
  if (kind === 'plugin_metadata') return resolve(value) as JsonObject;
  const copy = { ...value };
  for (const field of kind === 'ssls' ? ['cert', 'key', 'certs', 'keys', 'client'] : ['plugins', 'tls']) {
    if (copy[field] !== undefined) copy[field] = resolve(copy[field]);
  }
  const { upstream } = copy;
  if (isJsonObject(upstream) && upstream['tls'] !== undefined)
    copy['upstream'] = { ...upstream, tls: resolve(upstream['tls']) };
  return copy;
}

function mapStrings(value: Json, map: (text: string) => string | undefined): Json {
  if (typeof value === 'string') return map(value) ?? value;
  if (Array.isArray(value)) return value.map((member) => mapStrings(member, map));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, mapStrings(member, map)]));
}

function isJsonObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
