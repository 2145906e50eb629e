/**
 * What becomes of a request that an authoriser lets pass: the consumer that it named, the headers that it set. Invariant: what a client
 * sent under a name that is the authoriser's to set does not go upstream, however it is spelt.
 */
import { ConfigError } from '../../errors/gateway-error.ts';
import type { Exchange } from '../exchange.ts';
import { foldedNames, removeSpellings } from '../identity-headers.ts';
import type { PluginDeps } from '../plugin.ts';
import { headerProblem, type Verdict } from './verdict.ts';

export class Admission {
  readonly #consumers: Pick<PluginDeps['credentials'], 'consumer'>;
  /** Folded. */
  readonly #own: ReadonlySet<string>;

  /** `names`: headers that never come from a client; throws ConfigError that names `field`. */
  constructor(field: string, names: readonly string[], consumers: Pick<PluginDeps['credentials'], 'consumer'>) {
    for (const name of names) {
      const problem = headerProblem(name, '');
      if (problem !== undefined) throw new ConfigError(`${field}: ${problem}`);
    }
    this.#own = foldedNames(names);
    this.#consumers = consumers;
  }

  /** False: it named a consumer that does not exist, and nothing was set. `verdict`: one that passes. */
  admit(exchange: Exchange, { consumer: username, headers = [] }: Pick<Verdict, 'consumer' | 'headers'>): boolean {
    const consumer = username === undefined ? undefined : this.#consumers.consumer(username);
    if (username !== undefined && consumer === undefined) return false;
    removeSpellings(exchange.headers, this.#own);
    if (headers.length > 0) {
      removeSpellings(exchange.headers, foldedNames(headers.map(([name]) => name)));
      for (const [name, value] of headers) exchange.headers.append(name, value);
    }
    // Last: who the caller is says the gateway, not a header of the authoriser's.
    if (consumer !== undefined) exchange.authenticate(consumer);
    return true;
  }
}
