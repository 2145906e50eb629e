/**
 * The values behind references, in the control plane: one reader for all workers. Beside the request path; the feed asks it
 * when a resource goes to the workers, and is told which resources to send again when a value changed.
 * Invariants: a value is what its source said last, and stays while the source cannot be asked; where the source says that
 * there is none, there is none. Values and tokens reach neither logs nor errors.
 *
 *   source:  unread → read ⇄ (away: the last value stays, asked again sooner)
 *                       ↘ gone: no value, asked again sooner
 */
import { readAws } from './aws.ts';
import { readGcp } from './gcp.ts';
import { isObject, SecretSourceError } from './fetch-json.ts';
import { parseReference, type Reference } from './reference.ts';
import { readVault } from './vault.ts';

/** A secret as its manager keeps it: named members. */
export type SecretDocument = Readonly<Record<string, unknown>>;
type Config = Readonly<Record<string, unknown>>;
export type ReadSecret = (config: Config, path: string) => Promise<SecretDocument>;

export interface SecretsLog {
  error(message: string, fields?: Record<string, unknown>): void;
  warn(message: string, fields?: Record<string, unknown>): void;
  info(message: string, fields?: Record<string, unknown>): void;
}

export interface SecretsOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: SecretsLog;
  /** A value that is this old is read again; default 300,000 (APISIX's). */
  readonly ttlMs?: number;
  /** A source that failed is read again after this; default 10,000. */
  readonly retryMs?: number;
  /** How long `ready` waits for sources that were never read; default 3,000. */
  readonly waitMs?: number;
}

interface Source {
  readonly name: string;
  readonly reference: Reference;
  document: SecretDocument | undefined;
  /** Why there is no current document; undefined after a good read. */
  problem: string | undefined;
  reading: Promise<void> | undefined;
  /** performance.now() of the next read. */
  dueAt: number;
  /** Resources that refer to it. */
  readonly users: Set<string>;
  /** Counts up when its manager's configuration changes: an answer to an older question is dropped. */
  version: number;
}

const readers: ReadonlyMap<string, ReadSecret> = new Map([
  ['vault', readVault],
  ['aws', readAws],
  ['gcp', readGcp],
]);

/** Requests under way at once, so that a start with a thousand secrets does not flood a manager. */
const maxReads = 8;
const tickMs = 1000;

export class Secrets {
  readonly #options: SecretsOptions;
  readonly #managers = new Map<string, Config>();
  readonly #sources = new Map<string, Source>();
  /** Resource → the sources that it refers to. */
  readonly #usage = new Map<string, ReadonlySet<string>>();
  /** Managers that could not be asked, until when nobody waits for them. */
  readonly #away = new Map<string, number>();
  /** Said once, until it resolves again. */
  readonly #said = new Set<string>();
  readonly #timer: NodeJS.Timeout;
  #reads = 0;
  readonly #waitingReads: (() => void)[] = [];
  #onChange: ((resources: ReadonlySet<string>) => void) | undefined;

  constructor(options: SecretsOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.refreshDue(), tickMs);
    this.#timer.unref();
  }

  /** `listener` gets the keys of the resources whose values changed. */
  onChange(listener: (resources: ReadonlySet<string>) => void): void {
    this.#onChange = listener;
  }

  dispose(): void {
    clearInterval(this.#timer);
    this.#onChange = undefined;
    this.#sources.clear();
  }

  /** `name`: `vault/1`. What was read through an older configuration is read again; its values stay until then. */
  setManager(name: string, config: Config | undefined): void {
    if (JSON.stringify(config) === JSON.stringify(this.#managers.get(name))) return;
    if (config === undefined) this.#managers.delete(name);
    else this.#managers.set(name, config);
    this.#away.delete(name);
    for (const source of this.#sources.values()) {
      if (source.reference.manager !== name) continue;
      source.version++;
      source.reading = undefined;
      source.dueAt = 0;
    }
    void this.refreshDue();
  }

  /** From now on, `resource` refers to `references` and to nothing else. */
  use(resource: string, references: readonly string[]): void {
    const sources = new Set<string>();
    for (const text of references) {
      const reference = parseReference(text);
      if (reference?.manager === undefined) continue;
      sources.add(reference.source);
      this.#source(reference).users.add(resource);
    }
    for (const name of this.#usage.get(resource) ?? []) {
      const source = this.#sources.get(name);
      if (source === undefined || sources.has(name)) continue;
      source.users.delete(resource);
      if (source.users.size === 0) this.#sources.delete(name);
    }
    if (sources.size === 0) this.#usage.delete(resource);
    else this.#usage.set(resource, sources);
  }

  /**
   * Undefined where everything that `resources` refer to was asked for already; else a promise that ends when it was, or
   * after `waitMs`. Never rejects.
   */
  ready(resources: Iterable<string>): Promise<void> | undefined {
    const now = performance.now();
    const reads: Promise<void>[] = [];
    for (const resource of resources) {
      for (const name of this.#usage.get(resource) ?? []) {
        const source = this.#sources.get(name);
        if (source === undefined || source.document !== undefined || source.problem !== undefined) continue;
        const reading = this.#read(source);
        if ((this.#away.get(source.reference.manager ?? '') ?? 0) <= now) reads.push(reading);
      }
    }
    if (reads.length === 0) return undefined;
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, this.#options.waitMs ?? 3000);
    });
    return Promise.race([Promise.all(reads), patience]).then(() => {
      clearTimeout(timer);
    });
  }

  /** The value behind a reference; undefined where there is none, which is said in the log, once. An empty value is none. */
  value(text: string): string | undefined {
    const result = this.#lookUp(text);
    if ('value' in result) {
      if (this.#said.delete(text)) this.#options.log.info('secret reference is resolved', { reference: text });
      return result.value;
    }
    if (!this.#said.has(text)) {
      this.#said.add(text);
      this.#options.log.error('secret reference cannot be resolved: what needs it refuses requests', {
        reference: text,
        reason: result.problem,
      });
    }
    return undefined;
  }

  /** Reads what is due. Ends when all of it has been read or has failed. */
  async refreshDue(now = performance.now()): Promise<void> {
    const due = [...this.#sources.values()].filter((source) => source.dueAt <= now && source.reading === undefined);
    await Promise.all(due.map((source) => this.#read(source)));
  }

  #source(reference: Reference): Source {
    let source = this.#sources.get(reference.source);
    if (source === undefined) {
      source = {
        name: reference.source,
        reference,
        document: undefined,
        problem: undefined,
        reading: undefined,
        dueAt: 0,
        users: new Set(),
        version: 0,
      };
      this.#sources.set(reference.source, source);
    }
    return source;
  }

  #lookUp(text: string): { value: string } | { problem: string } {
    const reference = parseReference(text);
    if (reference === undefined) return { problem: 'it is malformed' };
    if (reference.manager === undefined) return lookUpVariable(reference, this.#options.env);
    const source = this.#sources.get(reference.source);
    if (source?.document === undefined) return { problem: source?.problem ?? 'its manager has not answered yet' };
    const value = textOf(source.document, reference.key ?? '');
    return value === undefined ? { problem: 'the secret has no such member, or an empty one' } : { value };
  }

  #read(source: Source): Promise<void> {
    source.reading ??= this.#readOnce(source);
    return source.reading;
  }

  async #readOnce(source: Source): Promise<void> {
    const { version } = source;
    const { ttlMs = 300_000, retryMs = 10_000 } = this.#options;
    const manager = source.reference.manager ?? '';
    source.dueAt = Infinity;
    let document: SecretDocument | undefined;
    let failure: SecretSourceError | undefined;
    try {
      document = await this.#ask(manager, source.reference.path);
    } catch (error) {
      failure = error instanceof SecretSourceError ? error : new SecretSourceError('its manager answered nonsense');
    }
    if (source.version !== version || this.#sources.get(source.name) !== source) return;
    source.reading = undefined;
    source.dueAt = performance.now() + (failure === undefined ? ttlMs : retryMs);
    if (failure === undefined || failure.gone) this.#answered(manager);
    else this.#failed(manager, failure, retryMs);
    const before = source.document;
    source.problem = failure?.message;
    if (failure === undefined || failure.gone) source.document = document;
    // Also where a first read failed: whoever did not wait for it now knows why.
    if (!sameDocument(before, source.document)) this.#onChange?.(new Set(source.users));
  }

  async #ask(manager: string, path: string): Promise<SecretDocument> {
    const config = this.#managers.get(manager);
    if (config === undefined) throw new SecretSourceError(`secrets/${manager} does not exist`, true);
    const kind = manager.slice(0, manager.indexOf('/'));
    const read = readers.get(kind);
    if (read === undefined) throw new SecretSourceError(`secrets of ${kind} cannot be read`, true);
    const resolved = this.#withVariables(config, manager);
    await this.#readSlot();
    try {
      return await read(resolved, path);
    } finally {
      this.#reads--;
      this.#waitingReads.shift()?.();
    }
  }

  /** A manager's own fields, also those within others, may refer to the environment. */
  #withVariables(config: Readonly<Record<string, unknown>>, manager: string): Record<string, unknown> {
    const resolved: Record<string, unknown> = {};
    for (const [name, value] of Object.entries(config)) {
      const reference = typeof value === 'string' ? parseReference(value) : undefined;
      if (reference === undefined) {
        resolved[name] = isObject(value) ? this.#withVariables(value, manager) : value;
        continue;
      }
      const found = reference.manager === undefined ? lookUpVariable(reference, this.#options.env) : undefined;
      if (found === undefined || !('value' in found))
        throw new SecretSourceError(`${name} of secrets/${manager} refers to what is not in the environment`);
      resolved[name] = found.value;
    }
    return resolved;
  }

  async #readSlot(): Promise<void> {
    while (this.#reads >= maxReads) await new Promise<void>((resolve) => this.#waitingReads.push(resolve));
    this.#reads++;
  }

  #answered(manager: string): void {
    if (this.#away.delete(manager)) this.#options.log.info('secret manager answers again', { manager });
  }

  #failed(manager: string, failure: SecretSourceError, retryMs: number): void {
    if (!this.#away.has(manager))
      this.#options.log.warn('secret manager cannot be used, the last values stay', {
        manager,
        reason: failure.message,
      });
    this.#away.set(manager, performance.now() + retryMs);
  }
}

function lookUpVariable(
  { path, key }: Reference,
  env: Readonly<Record<string, string | undefined>>,
): { value: string } | { problem: string } {
  const text = env[path];
  if (text === undefined || text === '') return { problem: 'the environment has no such variable, or an empty one' };
  if (key === undefined) return { value: text };
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    document = undefined;
  }
  if (!isObject(document)) return { problem: 'the variable is not a JSON object' };
  const value = textOf(document, key);
  return value === undefined ? { problem: "the variable's object has no such member, or an empty one" } : { value };
}

function textOf(document: SecretDocument, key: string): string | undefined {
  if (!Object.hasOwn(document, key)) return undefined;
  const value = document[key];
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function sameDocument(a: SecretDocument | undefined, b: SecretDocument | undefined): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
