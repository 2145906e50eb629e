/** Opens the store that the settings name. The caller closes it. */
import type { Retention } from './history.ts';
import { MemoryStore } from './memory.ts';
import type { Substitute } from './resource-file.ts';
import { openSqliteStore } from './sqlite.ts';
import type { Store, StoreHooks } from './store.ts';
import { openYamlStore } from './yaml.ts';

export type StoreKind =
  | { readonly kind: 'memory'; readonly history?: Retention }
  /** `busyTimeoutMs`: see sqlite.ts. */
  | {
      readonly kind: 'sqlite';
      readonly dataDir: string;
      readonly history?: Retention;
      readonly busyTimeoutMs?: number;
    }
  /** `file` may be JSON (`.json`). `substitute` replaces environment variables; the store does not know the settings' rules. */
  | { readonly kind: 'yaml'; readonly file: string; readonly substitute: Substitute };

/** `reload` (only a store that reads a file has it): read it now, as on SIGHUP. Rejects with StoreError. */
export async function openStore(config: StoreKind, hooks: StoreHooks): Promise<Store & { reload?(): Promise<void> }> {
  switch (config.kind) {
    case 'memory':
      return new MemoryStore(hooks, config.history);
    case 'sqlite':
      return openSqliteStore(config, hooks);
    case 'yaml':
      return openYamlStore(config, hooks);
  }
}
