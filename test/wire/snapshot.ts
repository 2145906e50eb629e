/** Resources as a person would write them → a snapshot as a worker has it: checked, defaults filled in, all built-in plugins. */
import type { AnyPlugin } from '../../src/plugin/plugin.ts';
import { TestSnapshot } from '../../src/plugin-kit/test-snapshot.ts';
import type { JsonObject } from '../../src/resources/resource.ts';
import type { Snapshot } from '../../src/snapshot/snapshot.ts';

/** Key as in the store (`routes/1`, `consumers/jack/credentials/c1`) → the resource. */
export type Resources = Readonly<Record<string, object>>;

export function createSnapshot(resources: Resources, added: readonly AnyPlugin[] = []): Snapshot {
  const log = { error: () => undefined, warn: () => undefined, info: () => undefined };
  const snapshot = new TestSnapshot({ plugins: added, attributes: {}, secrets: {}, log });
  for (const [key, resource] of Object.entries(resources)) snapshot.put(key, resource as JsonObject);
  return snapshot.table;
}
