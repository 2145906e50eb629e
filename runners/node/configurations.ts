/**
 * Configurations that the gateway announced, by token, in one process: compiled once, and again when plugins change.
 * The supervisor has them all: a token that another process gave is asked for.
 */
import { ConfigError } from '../../src/errors/gateway-error.ts';
import type { AnyPlugin } from '../../src/plugin/plugin.ts';
import { Chain } from './chain.ts';
import { decodePrepareConf, utf8 } from './messages.ts';
import type { Found } from './said.ts';

interface Configuration {
  readonly conf: readonly (readonly [name: string, value: string])[];
  readonly expires: number;
  readonly generation: number;
  readonly chain: Chain | ConfigError;
}

export interface AllTokens {
  register(message: Uint8Array): Promise<Found>;
  find(token: number): Promise<Found | undefined>;
}

const maxKept = 10_000;

export class Configurations {
  readonly #all: AllTokens;
  readonly #kept = new Map<number, Configuration>();
  #plugins: ReadonlyMap<string, AnyPlugin> = new Map();
  #generation = 0;

  constructor(all: AllTokens) {
    this.#all = all;
  }

  /** From the next call on; calls under way end on those that they began with. */
  setPlugins(plugins: ReadonlyMap<string, AnyPlugin>): void {
    this.#plugins = plugins;
    this.#generation++;
  }

  /** Rejects with ConfigError or ProtocolError. */
  async prepare(message: Buffer): Promise<number> {
    const conf = readConf(message);
    const chain = Chain.compile(conf, this.#plugins);
    const generation = this.#generation;
    const { token, expires } = await this.#all.register(message);
    this.#keep(token, { conf, expires, generation, chain });
    return token;
  }

  /** undefined: the token is not here; `find` may know it. Throws ConfigError where a plugin now refuses it. */
  get(token: number): Chain | undefined {
    const kept = this.#kept.get(token);
    if (kept === undefined || kept.expires < Date.now()) return undefined;
    if (kept.generation === this.#generation) return usable(kept.chain);
    return usable(this.#compile(token, kept.conf, kept.expires));
  }

  async find(token: number): Promise<Chain | undefined> {
    const found = await this.#all.find(token);
    if (found === undefined) return undefined;
    return usable(this.#compile(token, readConf(Buffer.from(found.message)), found.expires));
  }

  #compile(token: number, conf: Configuration['conf'], expires: number): Chain | ConfigError {
    let chain: Chain | ConfigError;
    try {
      chain = Chain.compile(conf, this.#plugins);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      chain = error;
    }
    this.#keep(token, { conf, expires, generation: this.#generation, chain });
    return chain;
  }

  #keep(token: number, configuration: Configuration): void {
    this.#drop(token);
    this.#kept.set(token, configuration);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > maxKept && oldest !== undefined) this.#drop(oldest);
  }

  #drop(token: number): void {
    const chain = this.#kept.get(token)?.chain;
    this.#kept.delete(token);
    if (chain instanceof Chain) chain.dispose();
  }
}

/** Throws ProtocolError. A missing value is an empty one. */
function readConf(message: Buffer): Configuration['conf'] {
  return decodePrepareConf(message).conf.map(([name, value = '']) => [utf8(name), utf8(value)]);
}

function usable(chain: Chain | ConfigError): Chain {
  if (chain instanceof ConfigError) throw chain;
  return chain;
}
