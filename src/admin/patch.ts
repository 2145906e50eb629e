/** The two forms of PATCH: a whole document that is merged (RFC 7386, as APISIX does), and one value at a sub-path. */
import type { Json, JsonObject } from '../resources/resource.ts';
import { AdminError } from './admin-error.ts';

/** Merges `patch` into a copy of `target`: null removes, arrays replace. */
export function mergePatch(target: Json | undefined, patch: Json): Json {
  if (!isObject(patch)) return patch;
  const merged = new Map(isObject(target) ? Object.entries(target) : []);
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) merged.delete(name);
    else merged.set(name, mergePatch(merged.get(name), value));
  }
  return Object.fromEntries(merged);
}

/**
 * Puts `value` at `subPath` (`nodes/127.0.0.1:80`, segments already decoded) in `document`, which it changes; null
 * removes. Objects on the way are made; array items are counted from 0. Throws AdminError 400 where there is no way.
 */
export function patchPath(document: JsonObject, subPath: string, value: Json): Json {
  const segments = subPath.replace(/^\/+|\/+$/g, '').split('/');
  const last = segments.pop() ?? '';
  let holder: Json = document;
  for (const [i, segment] of segments.entries()) {
    const next: Json | undefined = step(holder, segment);
    if (next === undefined && isObject(holder)) holder[segment] = {};
    const entered = step(holder, segment);
    if (entered === undefined || entered === null || typeof entered !== 'object') {
      throw new AdminError(400, `invalid sub-path: /${segments.slice(0, i + 1).join('/')}`);
    }
    holder = entered;
  }
  if (last === '__proto__' || !assign(holder, last, value)) throw new AdminError(400, `invalid sub-path: /${subPath}`);
  return document;
}

function step(holder: Json, segment: string): Json | undefined {
  if (Array.isArray(holder)) return /^\d{1,6}$/.test(segment) ? holder[Number(segment)] : undefined;
  // Own names only: `constructor` and `__proto__` lead nowhere.
  return isObject(holder) && Object.hasOwn(holder, segment) ? holder[segment] : undefined;
}

function assign(holder: Json, name: string, value: Json): boolean {
  if (Array.isArray(holder)) {
    const index = Number(name);
    if (!/^\d{1,6}$/.test(name) || index >= holder.length) return false;
    if (value === null) holder.splice(index, 1);
    else holder[index] = value;
    return true;
  }
  if (!isObject(holder)) return false;
  if (value === null) Reflect.deleteProperty(holder, name);
  else holder[name] = value;
  return true;
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
