/** Cost of an in-process TypeScript plugin that sets a header, loaded from its file: the same route with and without it, in turns. */
import path from 'node:path';
import { routesAndConsumers, startGateway } from './gateway.ts';
import { nginx } from './nginx.ts';
import type { Report, Scenario } from './scenario.ts';
import type { System } from './system.ts';
import { costOf, dataOf, HEAD, measureInTurns, rowsOf, type Measured } from './turns.ts';

const WITHOUT = 'gatewright: no plugin';
const WITH = 'gatewright: TypeScript plugin';

export const plugin: Scenario = {
  name: 'plugin',
  what: 'CPU a request of a TypeScript plugin that sets a header',
  run: async (options) =>
    report(
      await measureInTurns(
        [nginx, system(WITHOUT, {}), system(WITH, { 'tenant-header': { tenants: { '*': 'public' } } })],
        options,
      ),
    ),
};

function system(name: string, plugins: object): System {
  return {
    name,
    what: 'one route; examples/plugins is in plugin_dirs',
    start: (upstreamPort) =>
      startGateway({
        resources: new Map(
          [...routesAndConsumers(1, 'none', upstreamPort)].map(([key, route]) => [key, { ...route, plugins }]),
        ),
        settings: { plugin_dirs: [path.resolve(import.meta.dirname, '../examples/plugins')] },
      }),
  };
}

function report(measured: readonly Measured[]): Report {
  return {
    title: 'A TypeScript plugin that sets a header',
    head: HEAD,
    rows: rowsOf(measured),
    targets: [
      {
        what: 'CPU a request with the plugin, to without',
        value: costOf(measured, WITH) / costOf(measured, WITHOUT),
        limit: 1.03,
        unit: '×',
      },
    ],
    data: dataOf(measured),
  };
}
