/**
 * Store → workers: everything at a worker's start, each commit after that, in order. Between them stands the check of every
 * item that did not come through the Admin API (item-check.ts).
 * References to secrets are resolved here; a change that must wait for a secret holds up those after it.
 */
import { ItemCheck } from './item-check.ts';
import type { Logger } from './observability/error-log.ts';
import type { HealthMonitor } from './proxy/upstream/health/health-monitor.ts';
import type { PluginRegistry } from './resources/plugin-check.ts';
import { SecretResolver } from './secrets/resolver.ts';
import type { Secrets } from './secrets/secrets.ts';
import type { Upstream } from './resources/upstream.ts';
import type { SnapshotChange } from './snapshot/snapshot.ts';
import { inPages } from './store/in-pages.ts';
import type { Change, Store } from './store/store.ts';

export interface FeedOptions {
  readonly store: Store;
  readonly registry: PluginRegistry;
  /** undefined: nothing is watched (check). */
  readonly monitor: HealthMonitor | undefined;
  readonly log: Logger;
  readonly healthChecks: boolean;
  /** undefined: references stay as they are (check). */
  readonly secrets: Secrets | undefined;
}

export class Feed {
  readonly #options: FeedOptions;
  /** undefined: the Admin API has checked what is stored. */
  readonly #itemCheck: ItemCheck | undefined;
  #loaded = 0;
  readonly #routes = new Set<string>();
  readonly #resolver: SecretResolver | undefined;
  #resend: ((changes: readonly SnapshotChange[]) => void) | undefined;
  /** Ends when the last change that waits for a secret has been sent; undefined: none waits. */
  #sending: Promise<void> | undefined;

  constructor(options: FeedOptions) {
    this.#options = options;
    const { store, secrets, registry, log } = options;
    this.#itemCheck = store.writable ? undefined : new ItemCheck(registry, log);
    this.#resolver = secrets === undefined ? undefined : new SecretResolver(secrets, registry, log);
  }

  /** Resources that the last load brought. */
  get loaded(): number {
    return this.#loaded;
  }

  get routeCount(): number {
    return this.#routes.size;
  }

  /** What the last load refused, and what refers to something that is not there; a sentence each. */
  async problems(): Promise<string[]> {
    return [...(this.#itemCheck?.problems ?? []), ...((await this.#itemCheck?.missingReferences()) ?? [])];
  }

  /**
   * Everything, in pieces small enough that neither side holds it twice; what others refer to comes first. `revision`: as of
   * the first piece; later pieces may be newer, and `follow` brings what changed meanwhile.
   */
  async *load(): AsyncGenerator<{ revision: number; changes: SnapshotChange[] }> {
    this.#itemCheck?.forgetProblems();
    this.#loaded = 0;
    let first: number | undefined;
    for (const kind of kindOrder) {
      for await (const { revision, entries } of inPages(this.#options.store, `${kind}/`, pieceSize)) {
        first ??= revision;
        this.#loaded += entries.length;
        const piece = entries.map((entry) => ({ key: entry.key, entry }));
        yield { revision: first, changes: await this.#resolve(this.#accept(piece)) };
      }
    }
    yield { revision: first ?? 0, changes: [] };
  }

  /** `resend`: resources as they are stored already, whose secrets have changed. */
  follow(
    send: (revision: number, changes: readonly SnapshotChange[]) => void,
    resend: (changes: readonly SnapshotChange[]) => void,
  ): () => void {
    const { store, secrets } = this.#options;
    this.#resend = resend;
    secrets?.onChange((keys) => {
      this.#inOrder(() => {
        resend(this.#resolver?.again(keys) ?? []);
        return undefined;
      });
    });
    return store.watch(({ revision, changes }) => {
      const accepted = this.#accept(changes);
      this.#inOrder(() => {
        const resolved = this.#resolve(accepted);
        if (!(resolved instanceof Promise)) {
          send(revision, resolved);
          return undefined;
        }
        return resolved.then((late) => {
          send(revision, late);
        });
      });
    });
  }

  /** Plugins are others now: what was refused for one may be good. */
  judgeAgain(): void {
    this.#inOrder(() => {
      const accepted = this.#accept([]);
      if (accepted.length === 0) return undefined;
      const resolved = this.#resolve(accepted);
      if (!(resolved instanceof Promise)) {
        this.#resend?.(resolved);
        return undefined;
      }
      return resolved.then((late) => this.#resend?.(late));
    });
  }

  #resolve(changes: SnapshotChange[]): SnapshotChange[] | Promise<SnapshotChange[]> {
    return this.#resolver === undefined ? changes : this.#resolver.resolve(changes);
  }

  /** At once where nothing waits. */
  #inOrder(task: () => Promise<void> | undefined): void {
    const sending = this.#sending === undefined ? task() : this.#sending.then(task);
    if (!(sending instanceof Promise)) return;
    const settled: Promise<void> = sending
      .catch((error: unknown) => {
        this.#options.log.error('a change could not be sent to the workers', { error: String(error) });
      })
      .then(() => {
        if (this.#sending === settled) this.#sending = undefined;
      });
    this.#sending = settled;
  }

  #accept(changes: readonly Change[]): SnapshotChange[] {
    const accepted: SnapshotChange[] =
      this.#itemCheck === undefined
        ? changes.map(({ key, entry }) => ({ key, value: entry?.value }))
        : Array.from(this.#itemCheck.accept(changes), ([key, item]) => ({ key, ...item }));
    for (const { key, value } of accepted) this.#note(key, value);
    return accepted;
  }

  #note(key: string, value: string | undefined): void {
    const [kind, id = ''] = key.split('/');
    if (kind === 'routes') {
      if (value === undefined) this.#routes.delete(id);
      else this.#routes.add(id);
    }
    const { monitor, healthChecks } = this.#options;
    if (monitor === undefined || !healthChecks || (kind !== 'routes' && kind !== 'services' && kind !== 'upstreams'))
      return;
    if (!value?.includes('"checks"')) {
      monitor.remove(key);
      return;
    }
    const resource = JSON.parse(value) as { upstream?: Upstream } & Upstream;
    const upstream = kind === 'upstreams' ? resource : resource.upstream;
    if (upstream === undefined) monitor.remove(key);
    else monitor.put(key, upstream);
  }
}

/** What others refer to comes first. Credentials are under their consumers. */
const kindOrder = [
  'secrets',
  'ssls',
  'protos',
  'plugin_metadata',
  'upstreams',
  'services',
  'plugin_configs',
  'consumer_groups',
  'consumers',
  'global_rules',
  'routes',
];
/** Resources in one message to a worker. */
const pieceSize = 1000;
