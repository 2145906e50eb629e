/**
 * Who a client is on a connection and whom it believes: certificate, key, authorities, as one TLS context. Those that are files are
 * looked at again, so that a certificate that was renewed on the disk is used without a restart.
 * Invariant: certificate and key of a context belong together; while new files cannot be used, the last good context stays.
 */
import { stat } from 'node:fs/promises';
import type { X509Certificate } from 'node:crypto';
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls';
import type { PluginLog } from '../plugin.ts';
import { HttpClientError } from './http-client-error.ts';
import type { CheckedOptions } from './options.ts';
import { certificatesOf, pairOf, privateKeyOf, textOf, type KeyPair, type PemSource } from './pem-source.ts';

export interface TlsContext {
  readonly secure: SecureContext;
  readonly verify: boolean;
  readonly serverName: string | undefined;
  /** The client's own; undefined: it has none. */
  readonly certificate: X509Certificate | undefined;
}

export type IdentityOptions = Pick<CheckedOptions, 'verify' | 'cert' | 'key' | 'ca' | 'serverName' | 'protocols'>;

/** Idle connections of an identity whose files have changed are used for so long at most. */
const recheckMs = 1000;

export class Identity {
  readonly #options: IdentityOptions;
  readonly #log: PluginLog;
  readonly #files: readonly PemSource[];
  /** undefined: the system's. */
  readonly #authorities: PemSource | undefined;
  #context: TlsContext | undefined;
  /** What the files looked like when they were last read, whether they were good or not. */
  #seen = '';
  #checkedAt = -Infinity;
  #checking: Promise<TlsContext> | undefined;

  /** `authorities`: where the options name none. */
  constructor(options: IdentityOptions, authorities: PemSource | undefined, log: PluginLog) {
    this.#options = options;
    this.#log = log;
    this.#authorities = options.ca ?? authorities;
    this.#files = [options.cert, options.key, options.verify ? this.#authorities : undefined].filter(
      (source): source is PemSource => source?.kind === 'file',
    );
  }

  /** As of a second ago at most. Rejects with HttpClientError CERTIFICATE_UNUSABLE. */
  current(): TlsContext | Promise<TlsContext> {
    if (this.#context === undefined) return this.latest();
    return this.#files.length === 0 || performance.now() - this.#checkedAt < recheckMs ? this.#context : this.latest();
  }

  /** As the files are now. Rejects with HttpClientError CERTIFICATE_UNUSABLE. */
  latest(): TlsContext | Promise<TlsContext> {
    if (this.#context !== undefined && this.#files.length === 0) return this.#context;
    this.#checking ??= this.#check().finally(() => {
      this.#checking = undefined;
    });
    return this.#checking;
  }

  async #check(): Promise<TlsContext> {
    const seen = (await Promise.all(this.#files.map(look))).join('\n');
    this.#checkedAt = performance.now();
    if (this.#context !== undefined && seen === this.#seen) return this.#context;
    try {
      this.#context = await this.#read();
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      if (this.#context === undefined)
        throw new HttpClientError('CERTIFICATE_UNUSABLE', `the http client cannot be used: ${message}`, {
          cause: error,
        });
      this.#log.error('a changed certificate of the http client cannot be used, the last good one stays', {
        error: message,
      });
    }
    this.#seen = seen;
    return this.#context;
  }

  async #read(): Promise<TlsContext> {
    const { verify, serverName, protocols } = this.#options;
    const pair = await this.#readPair();
    return {
      secure: createSecureContext({
        ...(pair === undefined ? {} : { cert: pair.cert, key: pair.key }),
        ca: verify ? await this.#readAuthorities() : [],
        minVersion: protocols.includes('TLSv1.2') ? 'TLSv1.2' : 'TLSv1.3',
        maxVersion: protocols.includes('TLSv1.3') ? 'TLSv1.3' : 'TLSv1.2',
      }),
      verify,
      serverName,
      certificate: pair?.certificate,
    };
  }

  async #readPair(): Promise<KeyPair | undefined> {
    const { cert, key } = this.#options;
    if (cert === undefined || key === undefined) return undefined;
    return pairOf(certificatesOf(cert, await textOf(cert)), privateKeyOf(key, await textOf(key)));
  }

  async #readAuthorities(): Promise<string[]> {
    const source = this.#authorities;
    if (source === undefined) return systemAuthorities();
    return certificatesOf(source, await textOf(source)).map((certificate) => certificate.toString());
  }
}

/** What changes when a file does; a replaced link leads to another inode. */
async function look({ value }: PemSource): Promise<string> {
  try {
    const { ino, size, mtimeNs, ctimeNs } = await stat(value, { bigint: true });
    return `${ino} ${size} ${mtimeNs} ${ctimeNs}`;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unreadable';
  }
}

/** Where the machine has none, those that come with Node. */
function systemAuthorities(): string[] {
  const system = getCACertificates('system');
  return system.length > 0 ? system : getCACertificates('bundled');
}
