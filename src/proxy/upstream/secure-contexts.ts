/**
 * TLS contexts towards upstreams: one for each client certificate and way of verifying, made when first needed and kept.
 * Beside the pool, once for each new connection.
 */
import { readFileSync } from 'node:fs';
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls';

export interface ContextOptions {
  readonly verify: boolean;
  /** PEM. */
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

/** Certificates that change leave their contexts behind: past that all are made anew. */
const maxContexts = 256;

export class SecureContexts {
  readonly #contexts = new Map<string, SecureContext>();
  readonly #file: string | undefined;
  #authorities: string[] | undefined;

  /** `file`: PEM of the authorities that are trusted; undefined: the system's, and where it has none those that come with Node. */
  constructor(file: string | undefined) {
    this.#file = file;
  }

  /** Throws where the certificate and its key, or the file of authorities, cannot be used. */
  find({ verify, cert, key }: ContextOptions): SecureContext {
    const id = `${verify ? 'verify' : 'any'}\n${cert ?? ''}\n${key ?? ''}`;
    let context = this.#contexts.get(id);
    if (context === undefined) {
      context = createSecureContext({
        ...(verify ? { ca: (this.#authorities ??= this.#readAuthorities()) } : {}),
        ...(cert === undefined ? {} : { cert, key }),
      });
      if (this.#contexts.size >= maxContexts) this.#contexts.clear();
      this.#contexts.set(id, context);
    }
    return context;
  }

  #readAuthorities(): string[] {
    if (this.#file !== undefined) return [readFileSync(this.#file, 'utf8')];
    const system = getCACertificates('system');
    return system.length > 0 ? system : getCACertificates('bundled');
  }
}
