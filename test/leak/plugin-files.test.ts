/** A plugin that is saved again and again takes no more memory: old versions are collected once nothing runs on them. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { test } from 'node:test';
import { createSnapshot } from '../wire/snapshot.ts';
import { readDefinition } from '../../src/plugin-files/definition.ts';
import { loadBundle } from '../../src/plugin-files/load-bundle.ts';
import { readBundle } from '../../src/plugin-files/read-bundle.ts';
import { createExchange } from '../../src/explain/stand-in.ts';

/** Reloads between two looks at the heap. */
const reloads = 400;
/** What each version holds: a version that leaked would show as this much. */
const held = 20_000;

const source = (version: number): string => `
  import { definePlugin } from 'gatewright/plugin';
  import { helper } from './_helper.ts';
  import { readFileSync } from 'node:fs';
  const big: number[] = new Array(${held}).fill(${version});
  export default definePlugin({
    name: 'again', priority: 1, schema: { type: 'object', properties: { a: { type: 'number', default: ${version} } } },
    compile(config, deps) {
      deps.timers.setInterval(() => void big.length, 60_000);
      return { config, cache: deps.cache<number>(), read: readFileSync };
    },
    rewrite(state, exchange) { exchange.headers.set('X-Again', helper(state.config.a, big)); },
  });
  // ${'The text itself is long enough to be seen. '.repeat(500)}`;

test(`the heap is flat over ${reloads} reloads of a plugin that a route uses`, { timeout: 120_000 }, async (t) => {
  const { gc } = globalThis as { gc?: () => void };
  if (gc === undefined) return t.skip('needs --expose-gc');
  const directory = mkdtempSync(join(tmpdir(), 'gatewright-leak-'));
  t.after(() => {
    rmSync(directory, { recursive: true });
  });
  const file = join(directory, 'again.ts');
  writeFileSync(
    join(directory, '_helper.ts'),
    'export const helper = (n: number, of: number[]): string => `${n} ${of.length}`;',
  );
  const load = async (version: number) => {
    writeFileSync(file, source(version));
    // As it comes to a worker: a copy of what the control plane has.
    return readDefinition((await loadBundle(structuredClone(readBundle(file, new Map(), new Map()))))['default']);
  };
  let current = await load(0);
  const snapshot = createSnapshot(
    {
      'routes/1': { uri: '/x', plugins: { again: {} }, upstream: { type: 'roundrobin', nodes: { '127.0.0.1:1': 1 } } },
    },
    [{ ...current, compile: (config, deps) => current.compile(config, deps) as unknown }],
  );
  const serve = (): void => {
    const exchange = createExchange({ method: 'GET', url: 'http://a.example/x', headers: [] }, trust);
    snapshot.match(exchange)?.value.ready();
  };
  const heapAfter = async (from: number, to: number): Promise<number> => {
    for (let version = from; version < to; version++) {
      current = await load(version);
      assert.deepEqual(snapshot.pluginsChanged(['again']), []);
      serve();
    }
    for (let i = 0; i < 3; i++) {
      await setImmediate();
      gc();
    }
    return process.memoryUsage().heapUsed;
  };
  const before = await heapAfter(1, 50);
  const after = await heapAfter(50, 50 + reloads);
  const grown = after - before;
  // A leak of whole versions would be 8 bytes × held × reloads = 64 MB; of their text alone, 8 MB.
  assert.ok(grown < 2_000_000, `${grown} bytes more after ${reloads} reloads`);
});

const trust = {
  realIpFrom: () => false,
  realIpHeader: 'x-real-ip',
  realIpRecursive: false,
  forwardedFrom: () => false,
  underscoresInHeaders: true,
};
