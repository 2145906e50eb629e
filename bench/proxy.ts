/** Cost of a proxied request: nginx, nginx + Lua and the gateway's set-ups, in turns. */
import { gateways } from './gateway.ts';
import { nginx, nginxLua } from './nginx.ts';
import type { Report, Scenario, Target } from './scenario.ts';
import type { System } from './system.ts';
import { costOf, dataOf, HEAD, measureInTurns, residentMegabytesOf, rowsOf, type Measured } from './turns.ts';

const systems: readonly System[] = [nginx, nginxLua, ...gateways];

export const proxy: Scenario = {
  name: 'proxy',
  what: 'CPU a request, beside nginx',
  run: async (options) => report(await measureInTurns(systems, options)),
};

function report(measured: readonly Measured[]): Report {
  const ratio = (name: string, to: string, limit: number): Target => ({
    what: `${name}: CPU a request, to ${to}`,
    value: costOf(measured, name) / costOf(measured, to),
    limit,
    unit: '×',
  });
  return {
    title: 'A proxied request',
    head: HEAD,
    rows: rowsOf(measured),
    targets: [
      ratio('gatewright: proxy', 'nginx', 1.35),
      ratio('gatewright: key-auth', 'nginx', 1.5),
      ratio('gatewright: key-auth, metrics, log', 'nginx', 1.7),
      ratio('gatewright: key-auth, 10,000', 'gatewright: key-auth', 1.05),
      {
        what: '10,000 routes and consumers under load: resident',
        value: residentMegabytesOf(measured, 'gatewright: key-auth, 10,000'),
        limit: 200,
        unit: 'MB',
      },
    ],
    data: dataOf(measured),
  };
}
