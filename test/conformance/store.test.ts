/** The suite of stores over every implementation. */
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createRegistry } from '../../src/plugins/registry.ts';
import { encryptStore } from '../../src/store/encrypted-store.ts';
import { openStore } from '../../src/store/open.ts';
import type { Operation, Store, StoreHooks } from '../../src/store/store.ts';
import { storeConformance, type OpenedStore } from './store.ts';

storeConformance('memory', {
  open: async (hooks) => ({ store: await openStore({ kind: 'memory' }, hooks) }),
});

storeConformance('sqlite', {
  durable: true,
  open: async (hooks) => {
    const dataDir = await mkdtemp(path.join(tmpdir(), 'gatewright-store-'));
    let store = await openStore({ kind: 'sqlite', dataDir }, hooks);
    return {
      store,
      reopen: async () => {
        await store.close();
        store = await openStore({ kind: 'sqlite', dataDir }, hooks);
        return store;
      },
      dispose: () => rm(dataDir, { recursive: true }),
    };
  },
});

storeConformance('memory, encrypted', {
  open: async (hooks) => ({
    store: encryptStore(await openStore({ kind: 'memory' }, hooks), ['0123456789abcdef'], createRegistry(undefined)),
  }),
});

storeConformance('sqlite, encrypted', {
  durable: true,
  open: async (hooks) => {
    const dataDir = await mkdtemp(path.join(tmpdir(), 'gatewright-store-'));
    const open = async (): Promise<Store> =>
      encryptStore(
        await openStore({ kind: 'sqlite', dataDir }, hooks),
        ['0123456789abcdef'],
        createRegistry(undefined),
      );
    let store = await open();
    return {
      store,
      reopen: async () => {
        await store.close();
        store = await open();
        return store;
      },
      dispose: () => rm(dataDir, { recursive: true }),
    };
  },
});

for (const extension of ['yaml', 'json'] as const) {
  storeConformance(`standalone .${extension}`, {
    readOnly: true,
    // Reading so much YAML takes many seconds; the same store runs it on JSON.
    ...(extension === 'yaml' && { slowToFill: true }),
    open: (hooks) => openStandalone(extension, hooks),
  });
}

/** Its user changes it by writing the file; JSON is YAML too, but for the last line. */
async function openStandalone(extension: 'yaml' | 'json', hooks: StoreHooks): Promise<OpenedStore> {
  const directory = await mkdtemp(path.join(tmpdir(), 'gatewright-store-'));
  const file = path.join(directory, `apisix.${extension}`);
  const values = new Map<string, string>();
  const write = async (): Promise<void> => {
    const sections = new Map<string, string[]>();
    for (const [key, value] of values) {
      const section = key.slice(0, key.indexOf('/'));
      const items = sections.get(section) ?? [];
      items.push(value);
      sections.set(section, items);
    }
    const text = [...sections].map(([section, items]) => `${JSON.stringify(section)}:[${items.join(',')}]`).join(',');
    await writeFile(`${file}.new`, `{${text}}${extension === 'yaml' ? '\n#END\n' : ''}`);
    await rename(`${file}.new`, file);
  };
  await write();
  const store = await openStore({ kind: 'yaml', file, substitute: (text) => text }, hooks);
  const change = async (operations: readonly Operation[]): Promise<void> => {
    for (const operation of operations) {
      if (operation.type === 'put') values.set(operation.key, operation.value);
      else values.delete(operation.key);
    }
    await write();
    await store.reload?.();
  };
  return { store, change, dispose: () => rm(directory, { recursive: true }) };
}
