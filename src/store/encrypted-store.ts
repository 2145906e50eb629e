/**
 * A store whose secret fields are encrypted underneath: whoever uses it meets plain text, what it stands on never does.
 * Revisions, preconditions and order are those of the store below.
 */
import type { PluginRegistry } from '../resources/plugin-check.ts';
import type { JsonObject } from '../resources/resource.ts';
import { createSecretSieve, mapSecrets, type MapSecret } from '../resources/secret-fields.ts';
import { createFieldCipher, type FieldCipher } from './field-cipher.ts';
import { unknownOrigin } from './history.ts';
import type {
  ChangeSet,
  CommitResult,
  Entry,
  HistoryEntry,
  HistoryQuery,
  Operation,
  Origin,
  Page,
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
  const history = inner.history && encryptHistory(inner.history, cipher, convert);
  const keep = history?.keep;
  return {
    get writable() {
      return inner.writable;
    },
    history: history?.opened,
    async get(key: string): Promise<Entry | undefined> {
      const entry = await inner.get(key);
      return entry === undefined ? undefined : open(entry);
    },
    async list(prefix: string, page?: Page): Promise<{ revision: number; entries: Entry[] }> {
      const { revision, entries } = await inner.list(prefix, page);
      return { revision, entries: entries.map(open) };
    },
    async commit(
      operations: readonly Operation[],
      preconditions?: readonly Precondition[],
      origin: Origin = unknownOrigin,
    ): Promise<CommitResult> {
      const result = await inner.commit(
        operations.map(seal),
        preconditions,
        keep === undefined ? origin : { ...origin, keep },
      );
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

type Convert = (key: string, text: string, map: MapSecret) => string;

/** Before a secret that no key opened when it was replaced: what it says may be another key's ciphertext. */
const unopenedMark = '$unopened:';

/**
 * The history: all of it encrypted by the first key, also what was stored before there was a keyring or by an older key. `keep`:
 * how the store below is to keep a value.
 */
function encryptHistory(
  inner: StoreHistory,
  cipher: FieldCipher,
  convert: Convert,
): { opened: StoreHistory; keep: (key: string, text: string) => string } {
  const keep = (key: string, text: string): string =>
    convert(key, text, (secret) => {
      if (secret.startsWith(unopenedMark))
        return unopenedMark + cipher.encrypt(cipher.decrypt(secret.slice(unopenedMark.length)));
      const opened = cipher.decrypt(secret);
      return (opened === secret && cipher.looksEncrypted(secret) ? unopenedMark : '') + cipher.encrypt(opened);
    });
  const open = (key: string, text: string | undefined, onUnopened?: () => void): string | undefined =>
    text === undefined
      ? undefined
      : convert(key, text, (secret) => {
          const marked = secret.startsWith(unopenedMark);
          const stored = marked ? secret.slice(unopenedMark.length) : secret;
          const opened = cipher.decrypt(stored);
          if (marked || (opened === stored && cipher.looksEncrypted(stored))) onUnopened?.();
          return opened;
        });
  void inner.reseal?.(keep, cipher.fingerprint);
  const opened: StoreHistory = {
    async find(query: HistoryQuery) {
      const { total, entries } = await inner.find(query);
      const openEntry = (entry: HistoryEntry): HistoryEntry => ({
        ...entry,
        before: open(entry.key, entry.before),
        after: open(entry.key, entry.after),
      });
      return { total, entries: entries.map(openEntry) };
    },
    async since(revision: number) {
      const state = await inner.since(revision);
      if (state.values === undefined) return state;
      const unopened = new Set<string>();
      const values = new Map(
        [...state.values].map(([key, text]) => [key, open(key, text, () => unopened.add(key))] as const),
      );
      return { ...state, values, unopened };
    },
    prune: () => inner.prune(),
  };
  return { opened, keep };
}

function parseObject(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;
  } catch {
    return undefined;
  }
}
