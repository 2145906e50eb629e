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

export class CredentialTable {
  readonly #byPlugin = new Map<string, Map<string, IndexedCredential>>();
  readonly #consumers = new Map<string, ConsumerEntry>();
  /** Username → credential id → resource; kept while the consumer is missing, too (order of arrival is free). */
  readonly #credentials = new Map<string, Map<string, { readonly resource: Credential; owned: Owned[] }>>();
  readonly #findPlugin: FindPlugin;

  constructor(findPlugin: FindPlugin) {
    this.#findPlugin = findPlugin;
  }

  get size(): number {
    return this.#consumers.size;
  }

  resource(username: string): Consumer | undefined {
    return this.#consumers.get(username)?.resource;
  }

  /** The view that one auth plugin gets. */
  indexOf(plugin: string): CredentialIndex {
    const index = this.#index(plugin);
    return {
      find: (key) => index.get(key),
      consumer: (username) => this.#consumers.get(username)?.anonymous,
    };
  }

  /** Throws ConfigError, and leaves the old consumer in place then. */
  putConsumer(username: string, resource: Consumer): void {
    const compiled = this.#compile(resource.plugins, identity(resource, undefined));
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
    const compiled = consumer === undefined ? [] : this.#compile(resource.plugins, identity(consumer.resource, id));
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

  #compile(plugins: PluginConfigs | undefined, consumer: AuthenticatedConsumer): Owned[] {
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
        credential: { consumer, state: result.state as unknown },
      });
    }
    return compiled;
  }

  #insert(compiled: Owned[]): Owned[] {
    for (const { plugin, indexKey, credential } of compiled) this.#index(plugin).set(indexKey, credential);
    return compiled;
  }

  /** A key that has another owner by now stays: one change of a file may hand it over. */
  #drop(owned: readonly Owned[] | undefined): void {
    for (const { plugin, indexKey, credential } of owned ?? []) {
      const index = this.#index(plugin);
      if (index.get(indexKey) === credential) index.delete(indexKey);
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
