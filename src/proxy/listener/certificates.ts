/** Server certificates by SNI: exact names before wildcards of one label (RFC 6125 §6.4.3). */
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import type { Ssl } from '../../resources/ssl.ts';

interface Loaded {
  readonly context: SecureContext;
  readonly names: readonly string[];
}

export class Certificates {
  readonly #bySsl = new Map<string, Loaded>();
  readonly #byName = new Map<string, { readonly id: string; readonly context: SecureContext }>();
  readonly #options: SecureContextOptions;
  readonly #fallback: string | undefined;

  /** `fallback`: the name assumed where a client sends no SNI. */
  constructor(options: SecureContextOptions, fallback: string | undefined) {
    this.#options = options;
    this.#fallback = fallback;
  }

  /** Throws where certificate and key cannot be used together; the old ones stay then. */
  put(id: string, ssl: Ssl): void {
    const names = (ssl.snis ?? (ssl.sni === undefined ? [] : [ssl.sni])).map((name) => name.toLowerCase());
    const cert = [ssl.cert, ...(ssl.certs ?? [])].filter((item) => item !== undefined);
    const key = [ssl.key, ...(ssl.keys ?? [])].filter((item) => item !== undefined);
    const context = createSecureContext({ ...this.#options, cert, key });
    this.remove(id);
    this.#bySsl.set(id, { context, names });
    for (const name of names) this.#byName.set(name, { id, context });
  }

  remove(id: string): void {
    for (const name of this.#bySsl.get(id)?.names ?? [])
      if (this.#byName.get(name)?.id === id) this.#byName.delete(name);
    this.#bySsl.delete(id);
  }

  /** A name with a NUL or any other byte that no host name holds finds nothing (CVE-2025-66220). */
  find(servername: string | undefined): SecureContext | undefined {
    const name = (servername === undefined || servername === '' ? this.#fallback : servername)?.toLowerCase();
    if (name === undefined || !/^[a-z0-9.\-_*]+$/.test(name)) return undefined;
    const exact = this.#byName.get(name);
    if (exact !== undefined) return exact.context;
    const dot = name.indexOf('.');
    return dot < 0 ? undefined : this.#byName.get(`*${name.slice(dot)}`)?.context;
  }
}
