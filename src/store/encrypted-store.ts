/**
 * A store whose secret fields are encrypted underneath: whoever uses it meets plain text, what it stands on never does.
 * Revisions, preconditions and order are those of the store below.
 */
import type { PluginRegistry } from '../resources/plugin-check.ts';
import type { JsonObject } from '../resources/resource.ts';
import { createSecretSieve, mapSecrets, type MapSecret } from '../resources/secret-fields.ts';
import { createFieldCipher } from './field-cipher.ts';
import type { ChangeSet, CommitResult, Entry, Operation, Precondition, Store } from './store.ts';

/** `keyring`: see field-cipher.ts. The new store closes the one below. */
export function encryptStore(inner: Store, keyring: readonly string[], registry: PluginRegistry): Store {
  const cipher = createFieldCipher(keyring);
  const mayHold = createSecretSieve(registry);
  const convert = (key: string, text: string, map: MapSecret): string => {
    if (!mayHold(key, text)) return text;
    const value = parseObject(text);
    if (value === undefined) return text;
    const replaced = new Set<string>();
    mapSecrets(key, value, registry, 'stored', (secret, path) => {
      const result = map(secret, path);
      if (result !== secret) replaced.add(path);
      return result;
    });
    return replaced.size > 0 ? JSON.stringify(value) : text;
  };
  const open = (entry: Entry): Entry => {
    // A PEM text is never base64 as a whole, so that one call serves certificates and plugins.
    const value = convert(entry.key, entry.value, (secret) => cipher.decrypt(secret));
    return value === entry.value ? entry : { ...entry, value };
  };
  const seal = (operation: Operation): Operation => {
    if (operation.type !== 'put') return operation;
    // APISIX: of certificates it encrypts what looks like PEM, and takes anything else for ciphertext or a reference.
    const pemOnly = operation.key.startsWith('ssls/');
    const value = convert(operation.key, operation.value, (secret) =>
      pemOnly && !secret.startsWith('---') ? secret : cipher.encrypt(secret),
    );
    return { ...operation, value };
  };
  return {
    get writable() {
      return inner.writable;
    },
    async get(key: string): Promise<Entry | undefined> {
      const entry = await inner.get(key);
      return entry === undefined ? undefined : open(entry);
    },
    async list(prefix: string): Promise<{ revision: number; entries: Entry[] }> {
      const { revision, entries } = await inner.list(prefix);
      return { revision, entries: entries.map(open) };
    },
    async commit(operations: readonly Operation[], preconditions?: readonly Precondition[]): Promise<CommitResult> {
      const result = await inner.commit(operations.map(seal), preconditions);
      return result.ok ? { ...result, entries: result.entries.map(open) } : result;
    },
    watch: (listener: (changes: ChangeSet) => void) =>
      inner.watch(({ revision, changes }) => {
        listener({
          revision,
          changes: changes.map((change) =>
            change.entry === undefined ? change : { ...change, entry: open(change.entry) },
          ),
        });
      }),
    close: () => inner.close(),
  };
}

function parseObject(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;
  } catch {
    return undefined;
  }
}
