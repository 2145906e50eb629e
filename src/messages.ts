/** What the control plane and its workers say to each other. All of it is structured-cloneable. */
import type { PluginBundle } from './plugin-files/bundle.ts';
import type { HealthMessage } from './proxy/upstream/health/health-view.ts';
import type { MetricsSnapshot } from './observability/metrics.ts';
import type { ExplainReport, ExplainRequest } from './explain/report.ts';
import type { PassiveOutcome } from './proxy/upstream/health/health-monitor.ts';
import type { SnapshotChange, SnapshotError } from './snapshot/snapshot.ts';

export type ToWorker =
  | { readonly type: 'changes'; readonly revision: number; readonly changes: readonly SnapshotChange[] }
  /** Plugin files: versions to use from now on, and names to forget. Answered once it is so. */
  | {
      readonly type: 'plugins';
      readonly id: number;
      readonly bundles: readonly PluginBundle[];
      readonly removed: readonly string[];
    }
  /** Of what a plugin asked for; undefined: it cannot be resolved. */
  | { readonly type: 'secret'; readonly id: number; readonly value: string | undefined }
  | { readonly type: 'ping' }
  | { readonly type: 'listen' }
  | { readonly type: 'health'; readonly message: HealthMessage }
  | { readonly type: 'metrics'; readonly id: number }
  | { readonly type: 'explain'; readonly id: number; readonly request: ExplainRequest }
  /** The plugin runner of that name listens at `path` from now on; undefined: it is gone. */
  | { readonly type: 'runner'; readonly id: number; readonly name: string; readonly path: string | undefined }
  | { readonly type: 'reopen-logs' }
  /** Stop accepting, finish what is in flight within `timeoutMs`, exit. */
  | { readonly type: 'stop'; readonly timeoutMs: number };

export type FromWorker =
  /** A plugin runner did not answer, or not sensibly. */
  | { readonly type: 'runner-silent'; readonly name: string }
  /** No call is with the runner's former process any more. */
  | { readonly type: 'runner-moved'; readonly id: number }
  | { readonly type: 'applied'; readonly revision: number; readonly errors: readonly SnapshotError[] }
  | { readonly type: 'plugins-loaded'; readonly id: number; readonly errors: readonly SnapshotError[] }
  | { readonly type: 'secret'; readonly id: number; readonly reference: string }
  | { readonly type: 'pong' }
  | { readonly type: 'listening' }
  | { readonly type: 'listen-failed'; readonly setting: string; readonly message: string }
  | { readonly type: 'metrics'; readonly id: number; readonly metrics: MetricsSnapshot }
  | { readonly type: 'explained'; readonly id: number; readonly report: ExplainReport }
  | { readonly type: 'outcome'; readonly key: string; readonly label: string; readonly outcome: PassiveOutcome }
  | { readonly type: 'log'; readonly line: string };
