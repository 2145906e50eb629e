/** From the start of the process to the first 200 of /status/ready, and memory then, by number of routes and consumers. */
import { setTimeout as delay } from 'node:timers/promises';
import { median, megabytes } from './figures.ts';
import { routesAndConsumers, startGateway, type GatewayOptions } from './gateway.ts';
import { load } from './load.ts';
import { startUpstream } from './nginx.ts';
import { residentBytes } from './process-tree.ts';
import type { Report, Scenario, Target } from './scenario.ts';

interface Case {
  readonly count: number;
  readonly store: NonNullable<GatewayOptions['store']>;
}

interface Started {
  readonly readyMs: number;
  readonly residentBytes: number;
  readonly residentUnderLoadBytes: number;
}

export const startTime: Scenario = {
  name: 'start',
  what: 'start time and memory with 10,000 and 100,000 routes and consumers',
  async run(options): Promise<Report> {
    const [few, many] = options.quick ? [6_000, 10_000] : [10_000, 100_000];
    const cases: Case[] = [
      { count: few, store: 'standalone' },
      { count: few, store: 'sqlite' },
      { count: many, store: 'standalone' },
      { count: many, store: 'sqlite' },
    ];
    const results: { case: Case; starts: Started[] }[] = cases.map((each) => ({ case: each, starts: [] }));
    const upstream = await startUpstream();
    try {
      for (let round = 1; round <= Math.min(options.rounds, 3); round++) {
        for (const result of results) {
          const { count, store } = result.case;
          options.progress(`round ${round}: ${count} in ${store}`);
          const resources = routesAndConsumers(count, 'key-auth', upstream.port);
          const gateway = await startGateway({ resources, store });
          await delay(1000);
          const resident = residentBytes(gateway.pid);
          // Its load asks for one of the routes: they do serve.
          await load(gateway.port, options.seconds);
          const underLoad = residentBytes(gateway.pid);
          result.starts.push({
            readyMs: gateway.readyMs,
            residentBytes: resident,
            residentUnderLoadBytes: underLoad,
          });
          await gateway.stop();
        }
      }
    } finally {
      await upstream.stop();
    }
    const of = (starts: readonly Started[], pick: (start: Started) => number): number => median(starts.map(pick));
    const targets: Target[] = results
      .filter((result) => result.case.count === few)
      .flatMap(({ case: { count, store }, starts }) => {
        const name = `${count.toLocaleString('en')} routes and consumers, ${store}`;
        return [
          { what: `${name}: start`, value: of(starts, (start) => start.readyMs / 1000), limit: 3, unit: 's' },
          {
            what: `${name}: resident`,
            value: of(starts, (start) => start.residentBytes / 1e6),
            limit: 200,
            unit: 'MB',
          },
        ];
      });
    return {
      title: 'Start',
      head: ['routes and consumers', 'ready s', 'RSS MB', 'RSS MB after load'],
      rows: results.map(({ case: { count, store }, starts }) => [
        `${count.toLocaleString('en')}, ${store}`,
        of(starts, (start) => start.readyMs / 1000).toFixed(2),
        megabytes(of(starts, (start) => start.residentBytes)),
        megabytes(of(starts, (start) => start.residentUnderLoadBytes)),
      ]),
      targets,
      data: results,
    };
  },
};
