/**
 * Server certificates by SNI, and what each asks of clients: exact names before wildcards of one label (RFC 6125 §6.4.3).
 * Invariant: a name that one item asks client certificates for is never served by an item that asks for none: not because the item
 * cannot be used, nor because another claims the name too.
 */
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import { ConfigError } from '../../errors/gateway-error.ts';
import { asksForClientCertificates, covers, serverNames, type Ssl } from '../../resources/ssl.ts';
import { type ClientDemand, compileClientDemand, unmeetable } from './client-demand.ts';

/** What a server name is served with. */
export interface ServedItem {
  readonly id: string;
  /** As it was written; kept for the name that is assumed where a client sends none, and to judge what follows it. */
  readonly ssl: Ssl;
  readonly names: readonly string[];
  /** undefined: the item cannot be used, and its names are refused. */
  readonly context: SecureContext | undefined;
  readonly demand: ClientDemand | undefined;
  readonly problem: string | undefined;
}

export class Certificates {
  readonly #items = new Map<string, ServedItem>();
  /** The last one of a name is served. */
  readonly #byName = new Map<string, ServedItem[]>();
  readonly #options: SecureContextOptions;
  readonly #fallback: string | undefined;
  #demanding = 0;
  /** Counts changes of what is asked of clients, and of what a client without a server name is served. */
  revision = 0;

  /** `fallback`: the name assumed where a client sends no SNI. */
  constructor(options: SecureContextOptions, fallback: string | undefined) {
    this.#options = options;
    this.#fallback = fallback === undefined ? undefined : withoutDot(fallback.toLowerCase());
  }

  /** Some item asks clients for a certificate. */
  get demanding(): boolean {
    return this.#demanding > 0;
  }

  /** What serves a client that names no server. */
  get fallback(): ServedItem | undefined {
    return this.#fallback === undefined ? undefined : this.find(this.#fallback);
  }

  /**
   * Throws where certificate and key cannot be used together, or the authorities of clients cannot be read; the old ones stay then,
   * unless they do less than the item was to do: its names are refused then.
   */
  put(id: string, ssl: Ssl): void {
    let item: ServedItem;
    try {
      item = this.#compile(id, ssl);
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      const last = this.#items.get(id);
      const stays = last !== undefined && last.problem === undefined && covers(last.ssl, ssl);
      if (stays || !asksForClientCertificates(ssl)) throw error;
      this.refuse(id, ssl, problem);
      throw new ConfigError(`${problem}: its server names are refused`, { cause: error });
    }
    this.#replace(id, item);
  }

  /** An item that asks for client certificates and cannot be used: handshakes for its names end. */
  refuse(id: string, ssl: Ssl, problem: string): void {
    const names = serverNames(ssl);
    this.#replace(id, { id, ssl: {}, names, context: undefined, demand: unmeetable, problem });
  }

  remove(id: string): void {
    this.#replace(id, undefined);
  }

  /** A name with a NUL or any other byte that no host name holds finds nothing (CVE-2025-66220). */
  find(servername: string): ServedItem | undefined {
    const name = withoutDot(servername.toLowerCase());
    if (!/^[a-z0-9.\-_*]+$/.test(name)) return undefined;
    const dot = name.indexOf('.');
    return this.#served(name) ?? (dot < 0 ? undefined : this.#served(`*${name.slice(dot)}`));
  }

  /**
   * What is asked of clients that name this host in a request; lower case, no port. Goes further than `find`: a route's `*.a.test` also
   * takes `x.y.a.test`, and any byte that a Host may hold, so what `*.a.test` asks of clients holds for them too.
   */
  demandOf(host: string): ClientDemand | undefined {
    if (this.#demanding === 0) return undefined;
    let item = this.#served(host);
    for (let dot = host.indexOf('.'); item === undefined && dot >= 0; dot = host.indexOf('.', dot + 1))
      item = this.#served(`*${host.slice(dot)}`);
    return item?.demand;
  }

  #served(name: string): ServedItem | undefined {
    return this.#byName.get(name)?.at(-1);
  }

  #compile(id: string, ssl: Ssl): ServedItem {
    const demand = ssl.client === undefined ? undefined : compileClientDemand(ssl.client);
    const context = createSecureContext({
      ...this.#options,
      ...keyPairs(ssl),
      ...(demand === undefined ? {} : { ca: demand.authorities.map(String) }),
    });
    const names = serverNames(ssl);
    // PEM text is large, and needed again in two cases only.
    const keeps = demand !== undefined || (this.#fallback !== undefined && ssl.cert !== undefined);
    return { id, ssl: keeps ? ssl : {}, names, context, demand, problem: undefined };
  }

  #replace(id: string, item: ServedItem | undefined): void {
    const before = this.#items.get(id);
    const fallback = this.fallback;
    for (const name of before?.names ?? []) {
      const left = this.#byName.get(name)?.filter((other) => other !== before) ?? [];
      if (left.length === 0) this.#byName.delete(name);
      else this.#byName.set(name, left);
    }
    this.#items.delete(id);
    if (item !== undefined) {
      this.#items.set(id, item);
      for (const name of item.names) {
        const claims = [...(this.#byName.get(name) ?? []), item];
        // The strictest is served, and of those the one that came last.
        this.#byName.set(
          name,
          claims.sort((a, b) => strictness(a) - strictness(b)),
        );
      }
    }
    this.#demanding += Number(item?.demand !== undefined) - Number(before?.demand !== undefined);
    if (demandText(before) !== demandText(item) || this.fallback !== fallback) this.revision++;
  }
}

export function keyPairs({ cert, certs, key, keys }: Ssl): { cert: string[]; key: string[] } {
  return {
    cert: [cert, ...(certs ?? [])].filter((item) => item !== undefined),
    key: [key, ...(keys ?? [])].filter((item) => item !== undefined),
  };
}

function strictness({ demand, problem }: ServedItem): number {
  return problem !== undefined ? 2 : demand !== undefined ? 1 : 0;
}

/** Of which names what is asked; '' where nothing is. */
function demandText(item: ServedItem | undefined): string {
  return item?.demand === undefined ? '' : [item.demand.key, ...item.names].join(' ');
}

export function withoutDot(name: string): string {
  return name.endsWith('.') ? name.slice(0, -1) : name;
}
