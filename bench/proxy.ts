/**
 * Cost of a proxied request: nginx, nginx + Lua and the gateway's set-ups, one after another in each round, so that
 * whatever the machine does in the meantime falls on all of them. All stand idle while another is measured.
 */
import { cpuMicroseconds, residentBytes } from './process-tree.ts';
import { median, megabytes } from './figures.ts';
import { gateways } from './gateway.ts';
import { load, type LoadResult } from './load.ts';
import { nginx, nginxLua, startUpstream } from './nginx.ts';
import type { Report, Scenario, Target } from './scenario.ts';
import type { RunningSystem, System } from './system.ts';

const systems: readonly System[] = [nginx, nginxLua, ...gateways];

/** Enough for the JIT to have compiled the whole path. */
const FIRST_WARM_UP_SECONDS = 5;

interface Round extends LoadResult {
  readonly cpuMicrosecondsPerRequest: number;
  readonly residentBytes: number;
}

interface Measured {
  readonly system: System;
  readonly running: RunningSystem;
  readonly rounds: Round[];
}

export const proxy: Scenario = {
  name: 'proxy',
  what: 'CPU a request, beside nginx',
  async run(options) {
    const upstream = await startUpstream();
    const measured: Measured[] = [];
    try {
      for (const system of systems) {
        options.progress(`starting ${system.name}`);
        const running = await system.start(upstream.port);
        measured.push({ system, running, rounds: [] });
        await load(running.port, options.quick ? 1 : FIRST_WARM_UP_SECONDS);
      }
      for (let round = 1; round <= options.rounds; round++) {
        for (const each of measured) {
          options.progress(`round ${round} of ${options.rounds}: ${each.system.name}`);
          await load(each.running.port, 1);
          each.rounds.push(await measure(each.running, options.seconds));
        }
      }
    } finally {
      await Promise.all(measured.map(({ running }) => running.stop()));
      await upstream.stop();
    }
    return report(measured);
  },
};

async function measure(running: RunningSystem, seconds: number): Promise<Round> {
  const before = cpuMicroseconds(running.pid);
  const result = await load(running.port, seconds);
  const used = cpuMicroseconds(running.pid) - before;
  return {
    ...result,
    cpuMicrosecondsPerRequest: used / result.requests,
    residentBytes: residentBytes(running.pid),
  };
}

function report(measured: readonly Measured[]): Report {
  const cpu = new Map(
    measured.map(({ system, rounds }) => [system.name, median(rounds.map((round) => round.cpuMicrosecondsPerRequest))]),
  );
  const costOf = (name: string): number => cpu.get(name) ?? Number.NaN;
  const rows = measured.map(({ system, rounds }) => {
    const of = (pick: (round: Round) => number): number => median(rounds.map(pick));
    const costs = rounds.map((round) => round.cpuMicrosecondsPerRequest);
    return [
      system.name,
      costOf(system.name).toFixed(1),
      `${Math.min(...costs).toFixed(1)}–${Math.max(...costs).toFixed(1)}`,
      (costOf(system.name) / costOf('nginx')).toFixed(2),
      of((round) => round.requestsPerSecond).toFixed(0),
      of((round) => round.p50Ms).toFixed(2),
      of((round) => round.p99Ms).toFixed(2),
      megabytes(of((round) => round.residentBytes)),
    ];
  });
  const ratio = (name: string, to: string, limit: number): Target => ({
    what: `${name}: CPU a request, to ${to}`,
    value: costOf(name) / costOf(to),
    limit,
    unit: '×',
  });
  const large = measured.find(({ system }) => system.name === 'gatewright: key-auth, 10,000');
  return {
    title: 'A proxied request',
    head: ['system', 'CPU µs', 'min–max', '× nginx', 'requests/s', 'p50 ms', 'p99 ms', 'RSS MB'],
    rows,
    targets: [
      ratio('gatewright: proxy', 'nginx', 1.35),
      ratio('gatewright: key-auth', 'nginx', 1.5),
      ratio('gatewright: key-auth, metrics, log', 'nginx', 1.7),
      ratio('gatewright: key-auth, 10,000', 'gatewright: key-auth', 1.05),
      {
        what: '10,000 routes and consumers under load: resident',
        value: median(large?.rounds.map((round) => round.residentBytes / 1e6) ?? []),
        limit: 200,
        unit: 'MB',
      },
    ],
    data: measured.map(({ system, rounds }) => ({ system: system.name, what: system.what, rounds })),
  };
}
