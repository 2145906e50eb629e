/**
 * Where a resource stands in the store and in the Admin API: `routes/1`, `consumers/jack`,
 * `consumers/jack/credentials/c1`, `secrets/vault/1`, `plugin_metadata/key-auth`.
 * Invariant: no part holds a slash, so no key of one kind can be taken for another.
 */
import { resourceKinds, type ResourceKind } from './resource.ts';

export interface ResourceKey {
  readonly kind: ResourceKind;
  readonly id: string;
  /** credentials: the consumer's name; secrets: the manager; otherwise undefined. */
  readonly parent: string | undefined;
}

const part = /^[a-zA-Z0-9-_.]{1,100}$/;
const kinds: ReadonlySet<string> = new Set(resourceKinds);

/** Can `text` be an id or a name in a key? `.` and `..` cannot: they would be dot segments of a path. */
export function isKeyPart(text: string): boolean {
  return part.test(text) && text !== '.' && text !== '..';
}

export function formatKey({ kind, id, parent }: ResourceKey): string {
  if (kind === 'credentials') return `consumers/${parent ?? ''}/credentials/${id}`;
  if (kind === 'secrets') return `secrets/${parent ?? ''}/${id}`;
  return `${kind}/${id}`;
}

/** undefined where the key is none of a resource. */
export function parseKey(key: string): ResourceKey | undefined {
  const [kind = '', first = '', second, third, ...more] = key.split('/');
  if (!kinds.has(kind) || kind === 'credentials' || more.length > 0 || first === '') return undefined;
  if (kind === 'consumers' && second === 'credentials' && third !== undefined) {
    return { kind: 'credentials', id: third, parent: first };
  }
  if (kind === 'secrets') {
    return second !== undefined && third === undefined ? { kind, id: second, parent: first } : undefined;
  }
  return second === undefined ? { kind: kind as ResourceKind, id: first, parent: undefined } : undefined;
}
