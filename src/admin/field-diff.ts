/** Which fields of a resource differ between two versions, for people: `uri`, `plugins.key-auth.key`, `hosts.1`. */
import { isDeepStrictEqual } from 'node:util';
import type { Json, JsonObject } from '../resources/resource.ts';

export interface ChangedField {
  readonly path: string;
  /** As it may be shown; undefined: the field was not there, or is not any more. */
  readonly from: Json | undefined;
  readonly to: Json | undefined;
}

/** One side of a comparison: what is compared, and the same with its secrets masked, which is what is shown. */
export interface Side {
  readonly value: JsonObject;
  readonly shown: JsonObject;
}

/** It changes with every write and says nothing of what was changed. */
const unspoken = 'update_time';

/** Objects are compared field by field, and so are arrays of one length; in the order of `before`, then of `after`. */
export function changedFields(before: Side, after: Side): ChangedField[] {
  const found: ChangedField[] = [];
  const compare = (
    path: string,
    one: Json | undefined,
    other: Json | undefined,
    shown: readonly [Shown, Shown],
  ): void => {
    if (isDeepStrictEqual(one, other)) return;
    const both = holders(one, other);
    if (both === undefined) {
      found.push({ path, from: shown[0], to: shown[1] });
      return;
    }
    for (const name of new Set(both.flatMap((holder) => Object.keys(holder)))) {
      if (path === '' && name === unspoken) continue;
      const at = path === '' ? name : `${path}.${name}`;
      compare(at, member(one, name), member(other, name), [member(shown[0], name), member(shown[1], name)]);
    }
  };
  compare('', before.value, after.value, [before.shown, after.shown]);
  return found;
}

type Shown = Json | undefined;
type Holder = JsonObject | Json[];

/** Both, where they can be compared field by field. */
function holders(one: Json | undefined, other: Json | undefined): [Holder, Holder] | undefined {
  if (Array.isArray(one)) return Array.isArray(other) && one.length === other.length ? [one, other] : undefined;
  return isObject(one) && isObject(other) ? [one, other] : undefined;
}

function member(holder: Json | undefined, name: string): Json | undefined {
  if (Array.isArray(holder)) return holder[Number(name)];
  return isObject(holder) && Object.hasOwn(holder, name) ? holder[name] : undefined;
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
