/**
 * An issuer's public keys (RFC 7517), fetched from `jwks_uri` or from where `discovery` points to.
 * The first token waits for them; after that they are renewed in the background while the old ones serve.
 *
 *   none ──find──▶ fetching ──ok──▶ fresh ──ttl──▶ ageing (serves, renews) ──maximum age──▶ none
 *                     └──failed──▶ none (Unavailable for a second, then tries again)
 *
 * Bounded: one fetch at a time, a pause between fetches that an unknown kid asks for, one megabyte an answer.
 */
import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { GatewayError } from '../../errors/gateway-error.ts';
import type { HttpClient, HttpClientOptions, HttpClients } from '../../plugin/http-client/index.ts';
import type { PluginLog, Shared, SharedResources } from '../../plugin/index.ts';
import { fits, publicKey, type PublicKeyAlgorithm, type VerifyKey } from './algorithms.ts';

/** How the issuer's server is verified, and who asks. */
export type IssuerTls = Pick<HttpClientOptions, 'ssl_verify' | 'ssl_ca' | 'ssl_cert' | 'ssl_key' | 'ssl_server_name'>;

export interface IssuerKeysOptions {
  readonly jwksUri: string | undefined;
  readonly discovery: string | undefined;
  /** What a token of this issuer may be signed with. */
  readonly algorithms: readonly PublicKeyAlgorithm[];
  /** Age at which the keys are renewed. */
  readonly ttlMs: number;
  readonly timeoutMs: number;
  readonly tls: IssuerTls;
  readonly http: HttpClients;
  readonly log: PluginLog;
  /** Milliseconds of a clock that never goes back; by default performance.now. */
  readonly now?: () => number;
}

/** Age beyond which keys that could not be renewed serve no more. */
const maxAgeMs = 3_600_000;
/** Between fetches that unknown key ids ask for: a forger may ask as often as he likes. */
const unknownKeyPauseMs = 10_000;
/** After a failure; until then the failure stands. */
const failurePauseMs = 1000;
const maxAnswerBytes = 1_048_576;
/** RFC 7518 §3.3. */
const minRsaBits = 2048;

interface KeySet {
  readonly text: string;
  readonly issuer: string | undefined;
  /** `kid` → its key for each algorithm that it fits; '' for keys without an id. */
  readonly keys: ReadonlyMap<string, ReadonlyMap<string, VerifyKey>>;
  readonly count: number;
}

export class IssuerKeys {
  readonly #options: IssuerKeysOptions;
  readonly #now: () => number;
  readonly #closed = new AbortController();
  readonly #client: HttpClient;
  #set: KeySet | undefined;
  #fetchedAt = -Infinity;
  #attemptedAt = -Infinity;
  #pending: Promise<void> | undefined;

  constructor(options: IssuerKeysOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#client = createClient(options);
  }

  /** What `discovery` says the issuer is. */
  get issuer(): string | undefined {
    return this.#set?.issuer;
  }

  /**
   * The key of that id for that algorithm; undefined: the issuer has none. Rejects with GatewayError PLUGIN_UNAVAILABLE
   * where no keys are to be had.
   */
  find(keyId: string | undefined, algorithm: string): VerifyKey | undefined | Promise<VerifyKey | undefined> {
    const now = this.#now();
    const set = this.#set;
    if (set === undefined || now - this.#fetchedAt > this.#options.ttlMs + maxAgeMs) {
      this.#set = undefined;
      return this.#afterFetch(keyId, algorithm, failurePauseMs);
    }
    if (now - this.#fetchedAt > this.#options.ttlMs) void this.#refresh(failurePauseMs);
    const key = lookUp(set, keyId, algorithm);
    if (key !== undefined || (this.#pending === undefined && now - this.#attemptedAt < unknownKeyPauseMs)) return key;
    return this.#afterFetch(keyId, algorithm, unknownKeyPauseMs);
  }

  /** The issuer still has this very key. */
  has(key: VerifyKey, keyId: string | undefined): boolean {
    return this.find(keyId, key.algorithm) === key;
  }

  close(): void {
    this.#closed.abort();
    this.#client.close();
  }

  async #afterFetch(keyId: string | undefined, algorithm: string, pauseMs: number): Promise<VerifyKey | undefined> {
    await this.#refresh(pauseMs);
    if (this.#set === undefined) throw new GatewayError('PLUGIN_UNAVAILABLE', "the issuer's keys could not be fetched");
    return lookUp(this.#set, keyId, algorithm);
  }

  /** Never rejects: a failure is logged and leaves the keys as they are. */
  #refresh(pauseMs: number): Promise<void> {
    if (this.#pending !== undefined) return this.#pending;
    if (this.#now() - this.#attemptedAt < pauseMs || this.#closed.signal.aborted) return Promise.resolve();
    this.#attemptedAt = this.#now();
    this.#pending = this.#fetch().finally(() => {
      this.#pending = undefined;
    });
    return this.#pending;
  }

  async #fetch(): Promise<void> {
    try {
      let { jwksUri } = this.#options;
      let issuer: string | undefined;
      if (this.#options.discovery !== undefined) {
        const document = parseObject(await this.#get(this.#options.discovery));
        issuer = textField(document, 'issuer');
        jwksUri ??= textField(document, 'jwks_uri');
      }
      if (jwksUri === undefined || !/^https?:\/\//.test(jwksUri))
        throw new Error('the discovery document has no jwks_uri');
      const text = await this.#get(jwksUri);
      // The same answer keeps the same keys, and with them what was verified by them.
      if (this.#set?.text !== text || this.#set.issuer !== issuer) {
        this.#set = readKeySet(text, issuer, this.#options.algorithms);
        if (this.#set.count === 0) this.#options.log.warn('the issuer has no key that fits the algorithms');
      }
      this.#fetchedAt = this.#now();
    } catch (error) {
      if (this.#closed.signal.aborted) return;
      this.#options.log.error('fetching the keys of the issuer failed', {
        error: error instanceof Error ? error.message : String(error),
      });
    }
  }

  async #get(url: string): Promise<string> {
    const headers = { Accept: 'application/json' };
    const response = await this.#client.request({ url, headers, signal: this.#closed.signal });
    if (response.status !== 200) throw new Error(`${new URL(url).host} answered ${response.status}`);
    return response.text();
  }
}

/** Redirects are not followed: who may name the keys is configured. Throws ConfigError for what is no certificate or key. */
function createClient({ http, tls, timeoutMs }: IssuerKeysOptions): HttpClient {
  return http.client({
    ...tls,
    timeout: timeoutMs,
    connect_timeout: timeoutMs,
    max_response_body: maxAnswerBytes,
    keepalive: false,
    retries: 0,
  });
}

function lookUp(set: KeySet, keyId: string | undefined, algorithm: string): VerifyKey | undefined {
  if (keyId !== undefined) return set.keys.get(keyId)?.get(algorithm);
  // Without an id only the one key there is can be meant.
  return set.count === 1 ? set.keys.values().next().value?.get(algorithm) : undefined;
}

/** Keys that cannot be used here are left out: an issuer may publish others beside ours. Exported for tests. */
export function readKeySet(
  text: string,
  issuer: string | undefined,
  algorithms: readonly PublicKeyAlgorithm[],
): KeySet {
  const list = parseObject(text)['keys'];
  if (!Array.isArray(list)) throw new Error('the key set has no keys');
  const keys = new Map<string, ReadonlyMap<string, VerifyKey>>();
  for (const item of list as unknown[]) {
    if (typeof item !== 'object' || item === null) continue;
    const jwk = item as Record<string, unknown>;
    const keyId = typeof jwk['kid'] === 'string' ? jwk['kid'] : '';
    const key = forSignatures(jwk) ? readKey(jwk) : undefined;
    if (key === undefined || keys.has(keyId)) continue;
    const fitting = algorithms.filter(
      (algorithm) => (jwk['alg'] === undefined || jwk['alg'] === algorithm) && fits(algorithm, key),
    );
    if (fitting.length > 0)
      keys.set(keyId, new Map(fitting.map((algorithm) => [algorithm, publicKey(algorithm, key)])));
  }
  return { text, issuer, keys, count: keys.size };
}

/** RFC 7517 §4.2, §4.3. */
function forSignatures(jwk: Readonly<Record<string, unknown>>): boolean {
  const { use, key_ops: operations } = jwk;
  return (use === undefined || use === 'sig') && (!Array.isArray(operations) || operations.includes('verify'));
}

function readKey(jwk: Readonly<Record<string, unknown>>): KeyObject | undefined {
  try {
    const key = createPublicKey({ key: jwk, format: 'jwk' });
    return (key.asymmetricKeyDetails?.modulusLength ?? minRsaBits) < minRsaBits ? undefined : key;
  } catch {
    return undefined;
  }
}

function parseObject(text: string): Record<string, unknown> {
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null) throw new Error('the answer is not a JSON object');
  return value as Record<string, unknown>;
}

function textField(object: Readonly<Record<string, unknown>>, name: string): string | undefined {
  const value = object[name];
  return typeof value === 'string' ? value : undefined;
}

/** One IssuerKeys for all configurations that name the same issuer in the same way, opened by the first token. */
export class IssuerKeysUse {
  readonly #options: IssuerKeysOptions;
  readonly #resources: SharedResources;
  #held: Shared<IssuerKeys> | undefined;

  constructor(options: IssuerKeysOptions, resources: SharedResources) {
    this.#options = options;
    this.#resources = resources;
    // The first token would be too late to hear of a damaged certificate.
    createClient(options).close();
  }

  get keys(): IssuerKeys {
    this.#held ??= this.#resources.acquire(this.#name(), () => {
      const value = new IssuerKeys(this.#options);
      return {
        value,
        close: () => {
          value.close();
        },
      };
    });
    return this.#held.value;
  }

  release(): void {
    this.#held?.release();
  }

  #name(): string {
    const { jwksUri, discovery, algorithms, ttlMs, timeoutMs, tls } = this.#options;
    const identity = createHash('sha256').update(JSON.stringify(tls)).digest('base64url');
    return `jwt-auth issuer ${JSON.stringify([jwksUri, discovery, algorithms, ttlMs, timeoutMs, identity])}`;
  }
}
