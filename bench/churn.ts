/**
 * Latency while the configuration changes: one of 50,000 routes is put through the Admin API each 100 ms,
 * beside the same load without updates, in turns. The whole gateway (control plane included) shares one core.
 */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { temporaryFolder } from './child.ts';
import { median } from './figures.ts';
import { ADMIN_KEY, routesAndConsumers, startGateway } from './gateway.ts';
import { load, loadScripted, type LoadResult } from './load.ts';
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
    const updates: LoadResult[] = [];
    const { folder, remove } = await temporaryFolder();
    const script = path.join(folder, 'updates.lua');
    await writeFile(script, updatesScript(upstream.port));
    try {
      await load(gateway.port, options.quick ? 1 : 5);
      for (let round = 1; round <= options.rounds; round++) {
        options.progress(`round ${round} of ${options.rounds}`);
        still.push(await load(gateway.port, options.seconds));
        const [loaded, updated] = await Promise.all([
          load(gateway.port, options.seconds),
          loadScripted(gateway.adminPort, options.seconds, script),
        ]);
        changing.push(loaded);
        updates.push(updated);
      }
    } finally {
      await gateway.stop();
      await upstream.stop();
      await remove();
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
        {
          what: 'an update under load, until answered: p99',
          value: median(updates.map((result) => result.p99Ms)),
          limit: 50,
          unit: 'ms',
        },
      ],
      data: { routes, still, changing, updates },
    };
  },
};

/**
 * Puts one route anew, something in it different, 100 ms after the last answer. By wrk, too: a client in this process would take
 * milliseconds of the load's core for each write, and the load would wait for that.
 */
const updatesScript = (upstreamPort: number): string => `
local version = 0
request = function()
  version = version + 1
  local body = string.format(
    '{"uri":"${routePath(1)}","desc":"version %d","upstream":{"type":"roundrobin","nodes":{"127.0.0.1:${upstreamPort}":%d}}}',
    version, 1 + version % 2)
  return wrk.format('PUT', '/apisix/admin/routes/1', { ['X-API-KEY'] = '${ADMIN_KEY}', ['Content-Type'] = 'application/json' }, body)
end
delay = function() return ${UPDATE_EVERY_MS} end
`;
