/**
 * Consumers and their credentials, indexed by auth plugin and index key: what authentication looks up in O(1).
 * A consumer's or credential's change touches its own entries alone.
 *
 * They are held as JSON text and compiled when they are first presented: of 100,000 consumers few call at once.
 */
import { ConfigError } from '../errors/gateway-error.ts';
import type { AuthenticatedConsumer } from '../plugin/exchange.ts';
import type { AnyPlugin, CredentialIndex, IndexedCredential } from '../plugin/plugin.ts';
import { findReference } from '../plugin/secret-reference.ts';
import type { Consumer } from '../resources/consumer.ts';
import type { Credential } from '../resources/credential.ts';
import { defaultsOf } from '../resources/defaults.ts';
import type { PluginConfigs } from '../resources/resource.ts';

/** A consumer, or one of its credentials. Replaced, never changed, when the resource is. */
class Holder {
  readonly text: string;
  /** Itself where it is a consumer. */
  readonly consumer: Holder;
  readonly credentialId: string | undefined;
  /** Milliseconds since 1970. */
  readonly expiresAt: number | undefined;
  #identity: AuthenticatedConsumer | undefined;

  constructor(text: string, credential?: { of: Holder; id: string; expires: number | undefined }) {
    this.text = text;
    this.consumer = credential?.of ?? this;
    this.credentialId = credential?.id;
    this.expiresAt = credential?.expires === undefined ? undefined : credential.expires * 1000;
  }

  /** Who is attached to a request. A consumer's resource is one object for all its credentials. */
  get identity(): AuthenticatedConsumer {
    this.#identity ??= identity(
      this.consumer === this ? (JSON.parse(this.text) as Consumer) : this.consumer.identity.resource,
      this.credentialId,
    );
    return this.#identity;
  }
}

/** What a holder turned into when it was first presented. */
interface Presented extends IndexedCredential {
  readonly holder: Holder;
}

interface Owned {
  readonly plugin: string;
  readonly indexKey: string;
  readonly state: unknown;
}

export type FindPlugin = (name: string) => AnyPlugin | undefined;

const noLabels: Readonly<Record<string, string>> = Object.freeze({});

/** Told where two consumers turn out to hold one key, which nobody is let in by then. */
export type OnContested = (plugin: string, usernames: readonly string[]) => void;

export class CredentialTable {
  readonly #byPlugin = new Map<string, Map<string, Holder | Presented>>();
  /**
   * Plugin and index key → its owners, where there is more than one. The Admin API refuses a second one, but two references
   * to secrets may turn out to be the same, and a store may have been written by others. Who comes last must not win.
   */
  readonly #contested = new Map<string, Set<Holder>>();
  readonly #onContested: OnContested;
  readonly #consumers = new Map<string, Holder>();
  /** Username → credential id → resource; kept while the consumer is missing, too (order of arrival is free). */
  readonly #credentials = new Map<
    string,
    Map<string, { readonly resource: Credential; readonly holder: Holder | undefined }>
  >();
  readonly #findPlugin: FindPlugin;

  constructor(findPlugin: FindPlugin, onContested: OnContested = () => undefined) {
    this.#findPlugin = findPlugin;
    this.#onContested = onContested;
  }

  /** The view that one auth plugin gets. */
  indexOf(plugin: string): CredentialIndex {
    const index = this.#index(plugin);
    return {
      find: (key) => {
        const found = index.get(key);
        if (found?.expiresAt !== undefined && Date.now() >= found.expiresAt) return undefined;
        return found instanceof Holder ? this.#present(plugin, key, found) : found;
      },
      expired: (key) => Date.now() >= (index.get(key)?.expiresAt ?? Infinity),
      consumer: (username) => this.#consumers.get(username)?.identity,
    };
  }

  /** `text`: the resource's JSON. Throws ConfigError, and leaves the old consumer in place then. */
  putConsumer(username: string, resource: Consumer, text = JSON.stringify(resource)): void {
    const holder = new Holder(text);
    const owned = this.#compile(resource.plugins);
    this.#drop(this.#consumers.get(username));
    this.#consumers.set(username, holder);
    this.#insert(holder, owned);
    const credentials = this.#credentials.get(username);
    // The credentials carry the consumer's identity: group, labels and custom id may have changed.
    if (credentials !== undefined)
      for (const [id, credential] of credentials) this.putCredential(username, id, credential.resource);
  }

  removeConsumer(username: string): void {
    this.#drop(this.#consumers.get(username));
    this.#consumers.delete(username);
    const credentials = this.#credentials.get(username);
    if (credentials === undefined) return;
    for (const [id, { resource, holder }] of credentials) {
      this.#drop(holder);
      credentials.set(id, { resource, holder: undefined });
    }
  }

  putCredential(username: string, id: string, resource: Credential): void {
    const consumer = this.#consumers.get(username);
    const holder =
      consumer === undefined
        ? undefined
        : new Holder(JSON.stringify(resource), { of: consumer, id, expires: resource.expires_at });
    const owned = holder === undefined ? [] : this.#compile(resource.plugins);
    let credentials = this.#credentials.get(username);
    if (credentials === undefined)
      this.#credentials.set(
        username,
        (credentials = new Map<string, { readonly resource: Credential; readonly holder: Holder | undefined }>()),
      );
    this.#drop(credentials.get(id)?.holder);
    credentials.set(id, { resource, holder });
    if (holder !== undefined) this.#insert(holder, owned);
  }

  removeCredential(username: string, id: string): void {
    const credentials = this.#credentials.get(username);
    this.#drop(credentials?.get(id)?.holder);
    credentials?.delete(id);
    if (credentials?.size === 0) this.#credentials.delete(username);
  }

  /** These plugins are others now: their credentials are compiled anew. Returns key → why one can no longer be used. */
  pluginsChanged(names: readonly string[]): Map<string, string> {
    const refused = new Map<string, string>();
    for (const name of names) {
      this.#byPlugin.get(name)?.clear();
      for (const place of [...this.#contested.keys()]) if (place.startsWith(`${name}\0`)) this.#contested.delete(place);
      for (const [key, holder] of this.#holders()) {
        if (!holder.text.includes(JSON.stringify(name))) continue;
        try {
          const owned = this.#ownedBy(holder).filter(({ plugin }) => plugin === name);
          this.#insert(holder, owned);
        } catch (error) {
          refused.set(key, error instanceof Error ? error.message : String(error));
        }
      }
    }
    return refused;
  }

  *#holders(): Iterable<readonly [key: string, holder: Holder]> {
    for (const [username, holder] of this.#consumers) yield [`consumers/${username}`, holder];
    for (const [username, credentials] of this.#credentials)
      for (const [id, { holder }] of credentials)
        if (holder !== undefined) yield [`consumers/${username}/credentials/${id}`, holder];
  }

  #index(plugin: string): Map<string, Holder | Presented> {
    let index = this.#byPlugin.get(plugin);
    if (index === undefined) this.#byPlugin.set(plugin, (index = new Map<string, Holder | Presented>()));
    return index;
  }

  /** From now on this very object is found, until the resource changes. */
  #present(plugin: string, key: string, holder: Holder): Presented | undefined {
    const owned = this.#ownedBy(holder).find((one) => one.plugin === plugin && one.indexKey === key);
    if (owned === undefined) return undefined;
    const presented = { consumer: holder.identity, state: owned.state, expiresAt: holder.expiresAt, holder };
    this.#index(plugin).set(key, presented);
    return presented;
  }

  /** As it was compiled when it was put: the same text gives the same keys. */
  #ownedBy(holder: Holder): Owned[] {
    return this.#compile((JSON.parse(holder.text) as { plugins?: PluginConfigs }).plugins);
  }

  #compile(plugins: PluginConfigs | undefined): Owned[] {
    const compiled: Owned[] = [];
    for (const [name, config] of Object.entries(plugins ?? {})) {
      const plugin = this.#findPlugin(name);
      const definition = plugin?.credential;
      // A credential with a secret that nobody could read matches nothing, whatever the plugin makes of it.
      if (definition === undefined || findReference(config) !== undefined) continue;
      try {
        if (plugin?.consumerSchema !== undefined) defaultsOf(plugin.consumerSchema)(config);
        const own: { indexKey: string; state: unknown } = definition.compile(config);
        compiled.push({ plugin: name, indexKey: own.indexKey, state: own.state });
      } catch (error) {
        throw new ConfigError(`plugin ${name}: ${error instanceof Error ? error.message : String(error)}`, {
          cause: error,
        });
      }
    }
    return compiled;
  }

  #insert(holder: Holder, owned: readonly Owned[]): void {
    for (const { plugin, indexKey } of owned) {
      const index = this.#index(plugin);
      const place = `${plugin}\0${indexKey}`;
      const owner = holderOf(index.get(indexKey));
      let owners = this.#contested.get(place);
      if (owner === undefined && owners === undefined) {
        index.set(indexKey, holder);
        continue;
      }
      if (owners === undefined) {
        owners = new Set(owner === undefined ? [] : [owner]);
        this.#contested.set(place, owners);
        index.delete(indexKey);
        // One change of a file may hand a key over: then it is settled when the change has been applied.
        setImmediate(() => {
          const now = this.#contested.get(place);
          if (now !== undefined) this.#onContested(plugin, [...now].map((one) => one.identity.username).sort());
        });
      }
      owners.add(holder);
    }
  }

  #drop(holder: Holder | undefined): void {
    if (holder === undefined) return;
    for (const { plugin, indexKey } of this.#ownedBy(holder)) {
      const index = this.#index(plugin);
      if (holderOf(index.get(indexKey)) === holder) index.delete(indexKey);
      const place = `${plugin}\0${indexKey}`;
      const owners = this.#contested.get(place);
      if (owners?.delete(holder) !== true || owners.size > 1) continue;
      this.#contested.delete(place);
      for (const last of owners) index.set(indexKey, last);
    }
  }
}

function holderOf(found: Holder | Presented | undefined): Holder | undefined {
  return found instanceof Holder ? found : found?.holder;
}

function identity(resource: Consumer, credentialId: string | undefined): AuthenticatedConsumer {
  return {
    username: resource.username,
    groupId: resource.group_id === undefined ? undefined : String(resource.group_id),
    customId: resource.custom_id ?? resource.labels?.['custom_id'],
    credentialId,
    labels: resource.labels ?? noLabels,
    resource,
  };
}
