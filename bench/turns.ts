/**
 * Systems measured in turns: one after another in each round, so that whatever the machine does in the meantime falls on all
 * of them. All stand idle while another is measured.
 */
import { median, megabytes } from './figures.ts';
import { load, type LoadResult } from './load.ts';
import { startUpstream } from './nginx.ts';
import { cpuMicroseconds, residentBytes } from './process-tree.ts';
import type { Options } from './scenario.ts';
import type { RunningSystem, System } from './system.ts';

/** Enough for the JIT to have compiled the whole path. */
const FIRST_WARM_UP_SECONDS = 5;

export interface Round extends LoadResult {
  readonly cpuMicrosecondsPerRequest: number;
  readonly residentBytes: number;
}

export interface Measured {
  readonly system: System;
  readonly running: RunningSystem;
  readonly rounds: Round[];
}

export async function measureInTurns(systems: readonly System[], options: Options): Promise<Measured[]> {
  const upstream = await startUpstream();
  const measured: Measured[] = [];
  try {
    for (const system of systems) {
      options.progress(`starting ${system.name}`);
      const running = await system.start(upstream.port);
      measured.push({ system, running, rounds: [] });
      await load(running.port, options.quick ? 1 : FIRST_WARM_UP_SECONDS, system);
    }
    for (let round = 1; round <= options.rounds; round++) {
      for (const each of measured) {
        options.progress(`round ${round} of ${options.rounds}: ${each.system.name}`);
        await load(each.running.port, 1, each.system);
        each.rounds.push(await measure(each, options.seconds));
      }
    }
  } finally {
    await Promise.all(measured.map(({ running }) => running.stop()));
    await upstream.stop();
  }
  return measured;
}

async function measure({ system, running }: Measured, seconds: number): Promise<Round> {
  const before = cpuMicroseconds(running.pid);
  const result = await load(running.port, seconds, system);
  const used = cpuMicroseconds(running.pid) - before;
  return {
    ...result,
    cpuMicrosecondsPerRequest: used / result.requests,
    residentBytes: residentBytes(running.pid),
  };
}

/** Median CPU a request of the system of that name; NaN where there is none. */
export function costOf(measured: readonly Measured[], name: string): number {
  return median(roundsOf(measured, name).map((round) => round.cpuMicrosecondsPerRequest));
}

export function residentMegabytesOf(measured: readonly Measured[], name: string): number {
  return median(roundsOf(measured, name).map((round) => round.residentBytes / 1e6));
}

function roundsOf(measured: readonly Measured[], name: string): readonly Round[] {
  return measured.find(({ system }) => system.name === name)?.rounds ?? [];
}

export const HEAD = ['system', 'CPU µs', 'min–max', '× nginx', 'requests/s', 'p50 ms', 'p99 ms', 'RSS MB'];

export function rowsOf(measured: readonly Measured[]): string[][] {
  return measured.map(({ system, rounds }) => {
    const of = (pick: (round: Round) => number): number => median(rounds.map(pick));
    const costs = rounds.map((round) => round.cpuMicrosecondsPerRequest);
    const cost = costOf(measured, system.name);
    return [
      system.name,
      cost.toFixed(1),
      `${Math.min(...costs).toFixed(1)}–${Math.max(...costs).toFixed(1)}`,
      (cost / costOf(measured, 'nginx')).toFixed(2),
      of((round) => round.requestsPerSecond).toFixed(0),
      of((round) => round.p50Ms).toFixed(2),
      of((round) => round.p99Ms).toFixed(2),
      megabytes(of((round) => round.residentBytes)),
    ];
  });
}

export function dataOf(measured: readonly Measured[]): unknown {
  return measured.map(({ system, rounds }) => ({ system: system.name, what: system.what, rounds }));
}
