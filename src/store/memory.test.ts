import { storeConformance } from '../../test/conformance/store.ts';
import { MemoryStore } from './memory.ts';

storeConformance('memory', {
  open: async (hooks) => ({ store: new MemoryStore(hooks) }),
});
