/** What supervisor and processes say to each other over Node's IPC (structured clone). */
import type { PluginBundle } from '../../src/plugin-files/bundle.ts';

/** A socket comes with `connection`, as its handle. */
export type ToProcess =
  | { readonly type: 'plugins'; readonly bundles: readonly PluginBundle[] }
  | { readonly type: 'connection'; readonly number: number }
  | { readonly type: 'token'; readonly question: number; readonly found: Found | undefined }
  | { readonly type: 'stop' };

export type ToSupervisor =
  /** The plugins that came last are loaded. */
  | { readonly type: 'loaded' }
  /** The connection of that number is the process's own now. */
  | { readonly type: 'taken'; readonly number: number }
  | { readonly type: 'register'; readonly question: number; readonly message: Uint8Array }
  | { readonly type: 'find'; readonly question: number; readonly token: number };

export interface Found {
  readonly token: number;
  readonly message: Uint8Array;
  /** By Date.now(). */
  readonly expires: number;
}
