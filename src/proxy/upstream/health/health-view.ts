/**
 * A worker's picture of which nodes are healthy, fed by the control plane's messages. Read when a target rebuilds its
 * balancers, not per request: `version` and `versionOf` tell a target whether anything changed.
 * Invariant: only what differs from "healthy, nothing counted" is stored, so an unknown node is healthy.
 */

/** What the control plane tells its workers. Structured-cloneable. */
export interface HealthMessage {
  readonly type: 'health';
  /** The resource that holds the upstream: `upstreams/1`, `routes/1`. */
  readonly key: string;
  /** `host:port` of the node. */
  readonly label: string;
  readonly healthy: boolean;
  /** False while failures (or successes) are counted that may change `healthy`: then passive reports of either kind matter. */
  readonly settled: boolean;
}

export interface HealthView {
  /** Grows with every change of a node's health. */
  readonly version: number;
  /** The same, of one key alone; 0 where nothing ever changed. */
  versionOf(key: string): number;
  isHealthy(key: string, label: string): boolean;
  /** See HealthMessage; true for a node that nothing is known of. */
  isSettled(key: string, label: string): boolean;
  set(key: string, label: string, healthy: boolean, settled?: boolean): void;
  apply(message: HealthMessage): void;
  /** The resource is gone or has no checks any more. */
  forget(key: string): void;
}

interface KeyState {
  version: number;
  readonly labels: Map<string, { readonly healthy: boolean; readonly settled: boolean }>;
}

export function createHealthView(): HealthView {
  const keys = new Map<string, KeyState>();
  let version = 0;

  function set(key: string, label: string, healthy: boolean, settled = true): void {
    let state = keys.get(key);
    if (state === undefined) {
      if (healthy && settled) return;
      state = { version: 0, labels: new Map() };
      keys.set(key, state);
    }
    const before = state.labels.get(label)?.healthy ?? true;
    if (healthy && settled) state.labels.delete(label);
    else state.labels.set(label, { healthy, settled });
    if (before !== healthy) state.version = ++version;
  }

  return {
    get version() {
      return version;
    },
    versionOf: (key) => keys.get(key)?.version ?? 0,
    isHealthy: (key, label) => keys.get(key)?.labels.get(label)?.healthy ?? true,
    isSettled: (key, label) => keys.get(key)?.labels.get(label)?.settled ?? true,
    set,
    apply({ key, label, healthy, settled }) {
      set(key, label, healthy, settled);
    },
    forget(key) {
      if (keys.delete(key)) version++;
    },
  };
}
