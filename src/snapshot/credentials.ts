/**
 * Consumers and their credentials, indexed by auth plugin and index key: what authentication looks up in O(1).
 * A consumer's or credential's change touches its own entries alone.
 */
import { ConfigError } from '../errors/gateway-error.ts';
import type { AuthenticatedConsumer } from '../plugin/exchange.ts';
import type { AnyPlugin, CredentialIndex, IndexedCredential } from '../plugin/plugin.ts';
import { findReference } from '../plugin/secret-reference.ts';
import type { Consumer } from '../resources/consumer.ts';
import type { Credential } from '../resources/credential.ts';
import { defaultsOf } from '../resources/defaults.ts';
import type { PluginConfigs } from '../resources/resource.ts';

interface Owned {
  readonly plugin: string;
  readonly indexKey: string;
  readonly credential: IndexedCredential;
}

interface ConsumerEntry {
  readonly resource: Consumer;
  readonly anonymous: AuthenticatedConsumer;
  owned: Owned[];
}

export type FindPlugin = (name: string) => AnyPlugin | undefined;

const noLabels: Readonly<Record<string, string>> = Object.freeze({});

/** Told where two consumers turn out to hold one key, which nobody is let in by then. */
export type OnContested = (plugin: string, usernames: readonly string[]) => void;

export class CredentialTable {
  readonly #byPlugin = new Map<string, Map<string, IndexedCredential>>();
  /**
   * Plugin and index key → its owners, where there is more than one. The Admin API refuses a second one, but two references
   * to secrets may turn out to be the same, and a store may have been written by others. Who comes last must not win.
   */
  readonly #contested = new Map<string, Set<IndexedCredential>>();
  readonly #onContested: OnContested;
  readonly #consumers = new Map<string, ConsumerEntry>();
  /** Username → credential id → resource; kept while the consumer is missing, too (order of arrival is free). */
  readonly #credentials = new Map<string, Map<string, { readonly resource: Credential; owned: Owned[] }>>();
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
        return found?.expiresAt === undefined || Date.now() < found.expiresAt ? found : undefined;
      },
      expired: (key) => Date.now() >= (index.get(key)?.expiresAt ?? Infinity),
      consumer: (username) => this.#consumers.get(username)?.anonymous,
    };
  }

  /** Throws ConfigError, and leaves the old consumer in place then. */
  putConsumer(username: string, resource: Consumer): void {
    const compiled = this.#compile(resource.plugins, identity(resource, undefined), undefined);
    this.#drop(this.#consumers.get(username)?.owned);
    this.#consumers.set(username, {
      resource,
      anonymous: identity(resource, undefined),
      owned: this.#insert(compiled),
    });
    const credentials = this.#credentials.get(username);
    // The credentials carry the consumer's identity: group, labels and custom id may have changed.
    if (credentials !== undefined)
      for (const [id, credential] of credentials) this.putCredential(username, id, credential.resource);
  }

  removeConsumer(username: string): void {
    this.#drop(this.#consumers.get(username)?.owned);
    this.#consumers.delete(username);
    for (const credential of this.#credentials.get(username)?.values() ?? []) {
      this.#drop(credential.owned);
      credential.owned = [];
    }
  }

  putCredential(username: string, id: string, resource: Credential): void {
    const consumer = this.#consumers.get(username);
    const compiled =
      consumer === undefined
        ? []
        : this.#compile(resource.plugins, identity(consumer.resource, id), resource.expires_at);
    let credentials = this.#credentials.get(username);
    if (credentials === undefined)
      this.#credentials.set(
        username,
        (credentials = new Map<string, { readonly resource: Credential; owned: Owned[] }>()),
      );
    this.#drop(credentials.get(id)?.owned);
    credentials.set(id, { resource, owned: this.#insert(compiled) });
  }

  removeCredential(username: string, id: string): void {
    const credentials = this.#credentials.get(username);
    this.#drop(credentials?.get(id)?.owned);
    credentials?.delete(id);
    if (credentials?.size === 0) this.#credentials.delete(username);
  }

  #index(plugin: string): Map<string, IndexedCredential> {
    let index = this.#byPlugin.get(plugin);
    if (index === undefined) this.#byPlugin.set(plugin, (index = new Map<string, IndexedCredential>()));
    return index;
  }

  /** `expires`: seconds since 1970. */
  #compile(plugins: PluginConfigs | undefined, consumer: AuthenticatedConsumer, expires: number | undefined): Owned[] {
    const expiresAt = expires === undefined ? undefined : expires * 1000;
    const compiled = [];
    for (const [name, config] of Object.entries(plugins ?? {})) {
      const plugin = this.#findPlugin(name);
      const definition = plugin?.credential;
      // A credential with a secret that nobody could read matches nothing, whatever the plugin makes of it.
      if (definition === undefined || findReference(config) !== undefined) continue;
      let result;
      try {
        if (plugin?.consumerSchema !== undefined) defaultsOf(plugin.consumerSchema)(config);
        result = definition.compile(config);
      } catch (error) {
        throw new ConfigError(`plugin ${name}: ${error instanceof Error ? error.message : String(error)}`, {
          cause: error,
        });
      }
      compiled.push({
        plugin: name,
        indexKey: result.indexKey,
        credential: { consumer, state: result.state as unknown, expiresAt },
      });
    }
    return compiled;
  }

  #insert(compiled: Owned[]): Owned[] {
    for (const { plugin, indexKey, credential } of compiled) {
      const index = this.#index(plugin);
      const place = `${plugin}\0${indexKey}`;
      const owner = index.get(indexKey);
      let owners = this.#contested.get(place);
      if (owner === undefined && owners === undefined) {
        index.set(indexKey, credential);
        continue;
      }
      if (owners === undefined) {
        owners = new Set(owner === undefined ? [] : [owner]);
        this.#contested.set(place, owners);
        index.delete(indexKey);
        // One change of a file may hand a key over: then it is settled when the change has been applied.
        setImmediate(() => {
          const now = this.#contested.get(place);
          if (now !== undefined) this.#onContested(plugin, [...now].map(({ consumer }) => consumer.username).sort());
        });
      }
      owners.add(credential);
    }
    return compiled;
  }

  #drop(owned: readonly Owned[] | undefined): void {
    for (const { plugin, indexKey, credential } of owned ?? []) {
      const index = this.#index(plugin);
      if (index.get(indexKey) === credential) index.delete(indexKey);
      const place = `${plugin}\0${indexKey}`;
      const owners = this.#contested.get(place);
      if (owners?.delete(credential) !== true || owners.size > 1) continue;
      this.#contested.delete(place);
      for (const last of owners) index.set(indexKey, last);
    }
  }
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
