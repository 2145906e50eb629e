/**
 * Plugin runners: calls a second and CPU a call of the same plugin (it sets one request header) under our Python and Node runners,
 * one process each, and under Apache's Python runner where APACHE_PYTHON_RUNNER names a folder with it; and what a call costs the
 * gateway. The runner has core 0, its callers core 1.
 */
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { LOAD_CORE, SERVER_CORE, startChild, temporaryFolder, waitUntil, type Child } from './child.ts';
import { median } from './figures.ts';
import { routesAndConsumers, startGateway, type Resources } from './gateway.ts';
import { load } from './load.ts';
import { startUpstream } from './nginx.ts';
import { cpuMicroseconds } from './process-tree.ts';
import type { Options, Report, Scenario, Target } from './scenario.ts';

interface Load {
  /** With those of the warm-up, which the other figures leave out. */
  readonly calls: number;
  readonly callsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** How late the calling program itself was. */
  readonly lagP99Ms: number;
}

interface Measured {
  readonly name: string;
  readonly child: Child;
  readonly socket: string;
  readonly rounds: { readonly full: Load; readonly half: Load; readonly cpuPerCall: number }[];
}

const python = process.env['PYTHON'] ?? 'python3';
const apache = process.env['APACHE_PYTHON_RUNNER'];

/** Written for Apache's runner; ours runs it as it is. */
const PYTHON_PLUGIN = `
from apisix.runner.plugin.core import PluginBase

class Header(PluginBase):
    def name(self):
        return "header"
    def config(self, conf):
        return conf
    def filter(self, conf, request, response):
        request.set_header("X-Resp-A6-Runner", "Python")
`;
const NODE_PLUGIN = `
export default {
  name: 'header', priority: 1, schema: { type: 'object' },
  rewrite(_: unknown, exchange: any) { exchange.headers.set('X-Resp-A6-Runner', 'Node'); },
};
`;

export const runners: Scenario = {
  name: 'runners',
  what: 'calls of plugin runners',
  async run(options) {
    const { folder, remove } = await temporaryFolder();
    const measured: Measured[] = [];
    try {
      measured.push(await startPython(folder), await startNode(folder));
      if (apache !== undefined) measured.push(await startApache(folder, apache));
      for (const each of measured) await call(each.socket, options.quick ? 1 : 2, 0);
      for (let round = 1; round <= options.rounds; round++) {
        for (const each of measured) {
          options.progress(`round ${round} of ${options.rounds}: ${each.name}`);
          each.rounds.push(await measure(each, options.seconds));
        }
      }
      const gateway = await gatewayCosts(options, measured[1]?.socket ?? '');
      return report(measured, gateway);
    } finally {
      await Promise.all(measured.map(({ child }) => child.stop()));
      await remove();
    }
  },
};

async function measure({ child, socket }: Measured, seconds: number): Promise<Measured['rounds'][number]> {
  const before = cpuMicroseconds(child.pid);
  const full = await call(socket, seconds, 0);
  const used = cpuMicroseconds(child.pid) - before;
  return { full, cpuPerCall: used / full.calls, half: await call(socket, seconds, full.callsPerSecond / 2) };
}

async function call(socket: string, seconds: number, rate: number): Promise<Load> {
  const program = path.join(import.meta.dirname, 'runner-load.ts');
  const { stdout } = await promisify(execFile)('taskset', [
    ...['-c', String(LOAD_CORE), process.execPath, program],
    ...[socket, String(seconds), String(Math.round(rate))],
  ]);
  return JSON.parse(stdout) as Load;
}

async function startPython(folder: string): Promise<Measured> {
  const plugins = path.join(folder, 'python');
  await mkdir(plugins);
  await writeFile(path.join(plugins, 'header.py'), PYTHON_PLUGIN);
  const args = ['-m', 'gatewright_runner', '--plugins', plugins, '--processes', '1'];
  return start('our Python runner', folder, python, args, {
    PYTHONPATH: path.resolve(import.meta.dirname, '../runners/python'),
  });
}

async function startNode(folder: string): Promise<Measured> {
  const plugins = path.join(folder, 'node');
  await mkdir(plugins);
  await writeFile(path.join(plugins, 'header.ts'), NODE_PLUGIN);
  const main = path.resolve(import.meta.dirname, '../runners/node/main.ts');
  return start('our Node runner', folder, process.execPath, [main, '--plugins', plugins, '--processes', '1']);
}

/** `folder` holds the runner's sources and its dependencies are installed; its plugins are in `apisix/plugins`. */
async function startApache(temporary: string, folder: string): Promise<Measured> {
  await writeFile(path.join(folder, 'apisix/plugins/header.py'), PYTHON_PLUGIN);
  return start('Apache’s Python runner', temporary, python, [path.join(folder, 'bin/py-runner'), 'start']);
}

async function start(
  name: string,
  folder: string,
  command: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<Measured> {
  const socket = path.join(folder, `${name.replaceAll(/\W/g, '')}.sock`);
  const child = startChild(SERVER_CORE, command, args, { APISIX_LISTEN_ADDRESS: `unix:${socket}`, ...env });
  await waitUntil(child, () =>
    call(socket, 0.1, 0).then(
      () => true,
      () => false,
    ),
  );
  return { name, child, socket, rounds: [] };
}

/** CPU of the gateway, µs a request: without and with a call of the runner at `socket`. */
async function gatewayCosts(options: Options, socket: string): Promise<{ without: number; with: number }> {
  const upstream = await startUpstream();
  const settings = { 'ext-plugin': { path_for_test: socket } };
  const routes = routesAndConsumers(1, 'none', upstream.port);
  const conf = { conf: [{ name: 'header', value: '{}' }] };
  const called: Resources = new Map(
    Array.from(routes, ([key, route]) => [key, { ...route, plugins: { 'ext-plugin-pre-req': conf } }]),
  );
  const gateways = [
    await startGateway({ store: 'standalone', resources: routes, settings }),
    await startGateway({ store: 'standalone', resources: called, settings }),
  ];
  const costs: number[][] = gateways.map(() => []);
  try {
    for (const { port } of gateways) await load(port, options.quick ? 1 : 3);
    for (let round = 1; round <= options.rounds; round++) {
      options.progress(`round ${round} of ${options.rounds}: the gateway without and with a call`);
      for (const [index, { pid, port }] of gateways.entries()) {
        const before = cpuMicroseconds(pid);
        const { requests } = await load(port, options.seconds);
        costs[index]?.push((cpuMicroseconds(pid) - before) / requests);
      }
    }
  } finally {
    await Promise.all(gateways.map((each) => each.stop()));
    await upstream.stop();
  }
  return { without: median(costs[0] ?? []), with: median(costs[1] ?? []) };
}

function report(measured: readonly Measured[], gateway: { without: number; with: number }): Report {
  const of = (name: string, pick: (round: Measured['rounds'][number]) => number): number =>
    median((measured.find((each) => each.name === name)?.rounds ?? []).map(pick));
  const rows = measured.map(({ name }) => [
    name,
    of(name, ({ full }) => full.callsPerSecond).toFixed(0),
    of(name, ({ cpuPerCall }) => cpuPerCall).toFixed(1),
    of(name, ({ full }) => full.p99Ms).toFixed(2),
    of(name, ({ half }) => half.p50Ms).toFixed(2),
    of(name, ({ half }) => half.p99Ms).toFixed(2),
    of(name, ({ half }) => half.lagP99Ms).toFixed(2),
  ]);
  const targets: Target[] = [
    {
      what: 'our Python runner at half load: p99',
      value: of('our Python runner', ({ half }) => half.p99Ms),
      limit: 3,
      unit: 'ms',
    },
    {
      what: 'the gateway’s CPU for a call of the Node runner',
      value: gateway.with - gateway.without,
      limit: 60,
      unit: 'µs',
    },
  ];
  if (apache !== undefined) {
    const calls = (name: string): number => of(name, ({ full }) => full.callsPerSecond);
    const value = calls('Apache’s Python runner') / calls('our Python runner');
    targets.push({ what: 'calls a second under Apache’s Python runner, to ours', value, limit: 0.5, unit: '×' });
  }
  return {
    title: 'A call of a plugin runner',
    head: [
      'runner',
      'calls/s',
      'CPU µs',
      'p99 ms',
      'p50 ms at half load',
      'p99 ms at half load',
      'caller late, p99 ms',
    ],
    rows,
    targets,
    data: { measured: measured.map(({ name, rounds }) => ({ name, rounds })), gateway },
  };
}
