/**
 * Latency while the configuration changes: one of 50,000 routes is put through the Admin API each 100 ms,
 * beside the same load without updates, in turns. The whole gateway (control plane included) shares one core.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { putResource } from './admin-client.ts';
import { median, percentile } from './figures.ts';
import { routesAndConsumers, startGateway } from './gateway.ts';
import { load, type LoadResult } from './load.ts';
import { startUpstream } from './nginx.ts';
import type { Scenario } from './scenario.ts';
import { routePath } from './system.ts';

const UPDATE_EVERY_MS = 100;

export const churn: Scenario = {
  name: 'churn',
  what: 'p99 latency while one route among 50,000 changes each 100 ms',
  async run(options) {
    const routes = options.quick ? 6_000 : 50_000;
    const upstream = await startUpstream();
    options.progress(`starting with ${routes} routes`);
    const resources = routesAndConsumers(routes, 'none', upstream.port);
    const gateway = await startGateway({ resources, store: 'sqlite' });
    const still: LoadResult[] = [];
    const changing: LoadResult[] = [];
    const writesMs: number[] = [];
    try {
      await load(gateway.port, options.quick ? 1 : 5);
      for (let round = 1; round <= options.rounds; round++) {
        options.progress(`round ${round} of ${options.rounds}`);
        still.push(await load(gateway.port, options.seconds));
        const end = new AbortController();
        const updates = update(gateway.adminPort, upstream.port, end.signal, writesMs);
        changing.push(await load(gateway.port, options.seconds));
        end.abort();
        await updates;
      }
    } finally {
      await gateway.stop();
      await upstream.stop();
    }
    const row = (name: string, results: readonly LoadResult[]): string[] => [
      name,
      median(results.map((result) => result.p50Ms)).toFixed(2),
      median(results.map((result) => result.p99Ms)).toFixed(2),
      median(results.map((result) => result.requestsPerSecond)).toFixed(0),
    ];
    const p99 = (results: readonly LoadResult[]): number => median(results.map((result) => result.p99Ms));
    return {
      title: `One route among ${routes.toLocaleString('en')} updated each ${UPDATE_EVERY_MS} ms`,
      head: ['load', 'p50 ms', 'p99 ms', 'requests/s'],
      rows: [row('without updates', still), row('with updates', changing)],
      targets: [
        { what: 'p99 with updates, to p99 without', value: p99(changing) / p99(still), limit: 1.2, unit: '×' },
        { what: 'an update under load, until answered: p99', value: percentile(writesMs, 0.99), limit: 50, unit: 'ms' },
      ],
      data: { routes, still, changing, writesMs },
    };
  },
};

/** Puts one route anew each 100 ms, with something that differs, until told to stop. */
async function update(adminPort: number, upstreamPort: number, end: AbortSignal, writesMs: number[]): Promise<void> {
  for (let version = 0; !end.aborted; version++) {
    const from = performance.now();
    await putResource(adminPort, 'routes/1', {
      uri: routePath(1),
      desc: `version ${version}`,
      upstream: { type: 'roundrobin', nodes: { [`127.0.0.1:${upstreamPort}`]: 1 + (version % 2) } },
    });
    const took = performance.now() - from;
    writesMs.push(took);
    await delay(Math.max(0, UPDATE_EVERY_MS - took));
  }
}
