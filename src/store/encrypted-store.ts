/**
 * A store whose secret fields are encrypted underneath: whoever uses it meets plain text, what it stands on never does.
 * Revisions, preconditions and order are those of the store below.
 */
import type { PluginRegistry } from '../resources/plugin-check.ts';
import type { JsonObject } from '../resources/resource.ts';
import { createSecretSieve, mapSecrets, type MapSecret } from '../resources/secret-fields.ts';
import { createFieldCipher } from './field-cipher.ts';
import { unknownOrigin } from './history.ts';
import type {
  ChangeSet,
  CommitResult,
  Entry,
  HistoryQuery,
  Operation,
  Origin,
  Precondition,
  Store,
  StoreHistory,
} from './store.ts';

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
  // A PEM text is never base64 as a whole, so that one call serves certificates and plugins.
  const openText = (key: string, text: string): string => convert(key, text, (secret) => cipher.decrypt(secret));
  const sealText = (key: string, text: string): string => {
    // APISIX: of certificates it encrypts what looks like PEM, and takes anything else for ciphertext or a reference.
    const pemOnly = key.startsWith('ssls/');
    return convert(key, text, (secret) => (pemOnly && !secret.startsWith('---') ? secret : cipher.encrypt(secret)));
  };
  const open = (entry: Entry): Entry => {
    const value = openText(entry.key, entry.value);
    return value === entry.value ? entry : { ...entry, value };
  };
  const seal = (operation: Operation): Operation =>
    operation.type === 'put' ? { ...operation, value: sealText(operation.key, operation.value) } : operation;
  // What was stored before there was a keyring goes into the history encrypted, by the key that is the first now.
  const keep = (key: string, text: string): string => sealText(key, openText(key, text));
  return {
    get writable() {
      return inner.writable;
    },
    history: inner.history && openHistory(inner.history, openText),
    async get(key: string): Promise<Entry | undefined> {
      const entry = await inner.get(key);
      return entry === undefined ? undefined : open(entry);
    },
    async list(prefix: string): Promise<{ revision: number; entries: Entry[] }> {
      const { revision, entries } = await inner.list(prefix);
      return { revision, entries: entries.map(open) };
    },
    async commit(
      operations: readonly Operation[],
      preconditions?: readonly Precondition[],
      origin: Origin = unknownOrigin,
    ): Promise<CommitResult> {
      const result = await inner.commit(operations.map(seal), preconditions, { ...origin, keep });
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

function openHistory(inner: StoreHistory, openText: (key: string, text: string) => string): StoreHistory {
  const open = (key: string, text: string | undefined): string | undefined =>
    text === undefined ? undefined : openText(key, text);
  return {
    async find(query: HistoryQuery) {
      const { total, entries } = await inner.find(query);
      return {
        total,
        entries: entries.map((entry) => ({
          ...entry,
          before: open(entry.key, entry.before),
          after: open(entry.key, entry.after),
        })),
      };
    },
    async since(revision: number) {
      const state = await inner.since(revision);
      if (state.values === undefined) return state;
      return { ...state, values: new Map([...state.values].map(([key, text]) => [key, open(key, text)])) };
    },
    prune: () => inner.prune(),
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
