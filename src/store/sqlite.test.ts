import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { storeConformance } from '../../test/conformance/store.ts';
import { openSqliteStore } from './sqlite.ts';

storeConformance('sqlite', {
  open: async (hooks) => {
    const dataDir = await mkdtemp(path.join(tmpdir(), 'gatewright-store-'));
    let store = openSqliteStore({ dataDir }, hooks);
    return {
      store,
      reopen: async () => {
        await store.close();
        store = openSqliteStore({ dataDir }, hooks);
        return store;
      },
      dispose: () => rm(dataDir, { recursive: true }),
    };
  },
});
