/** The id rules of a write, in APISIX's words: what the path says, what the body says, and what is then stored. */
import type { JsonObject, ResourceKind } from './resource.ts';
import type { ResourceKey } from './resource-key.ts';
import { isKeyPart } from './resource-key.ts';
import { kindNames } from './schemas.ts';

export type Identified = { readonly key: ResourceKey } | { readonly error: string };

/** These are named by their content or by the path alone; `id` is no field of theirs. */
const withoutId: ReadonlySet<ResourceKind> = new Set<ResourceKind>(['consumers', 'plugin_metadata']);

/**
 * The key of a PUT or PATCH. `pathId` is undefined where the path ends at the kind. Writes the id into `value`, as
 * APISIX stores it. Whether the id has the form of one is left to the schema, except where it has none.
 */
export function identify(
  kind: ResourceKind,
  pathId: string | undefined,
  parent: string | undefined,
  value: JsonObject,
): Identified {
  if (kind === 'consumers') {
    const username = value['username'];
    // The schema says what is wrong with the name; a key is only made of a good one.
    if (typeof username !== 'string' || !isKeyPart(username)) return { key: { kind, id: '', parent } };
    if (pathId !== undefined && pathId !== username) return { error: 'wrong username' };
    return { key: { kind, id: username, parent } };
  }
  if (kind === 'plugin_metadata') {
    return pathId === undefined ? { error: 'missing plugin name' } : { key: { kind, id: pathId, parent } };
  }
  const name = kindNames[kind];
  const bodyId = value['id'];
  const full = pathId !== undefined && kind === 'secrets' ? `${parent ?? ''}/${pathId}` : pathId;
  const id = full ?? bodyId;
  if (id === undefined || id === null) return { error: `missing ${name} id` };
  if (bodyId !== undefined && idText(bodyId) !== idText(id) && !(kind === 'secrets' && idText(bodyId) === pathId)) {
    return { error: `wrong ${name} id` };
  }
  if (kind === 'secrets' && !isKeyPart(pathId ?? '')) return { error: `wrong ${name} id` };
  if (id === '.' || id === '..') return { error: `wrong ${name} id` };
  value['id'] = id;
  return { key: { kind, id: pathId ?? idText(id), parent } };
}

/** Why a POST may not say its id, or undefined. */
export function refuseOwnId(kind: ResourceKind, pathId: string | undefined, value: JsonObject): string | undefined {
  if (withoutId.has(kind) || (pathId === undefined && value['id'] === undefined)) return undefined;
  return `wrong ${kindNames[kind]} id, do not need it`;
}

function idText(id: unknown): string {
  return typeof id === 'string' ? id : JSON.stringify(id);
}
