/**
 * `npm run bench`: the figures, with the peers beside, on one machine in one run. Loopback only.
 *
 *   npm run bench                              everything, 5 rounds of 5 seconds
 *   npm run bench -- --only proxy,churn        some scenarios: proxy, auth, churn, admin, start, idle, verdicts, runners, plugin
 *   npm run bench -- --rounds 9 --seconds 10
 *   npm run bench -- --quick                   a round of a second at a tenth of the sizes: that it works, not figures
 *   npm run bench -- --record                  also puts the tables into bench/README.md
 *
 * Everything measured goes to bench/results/. Exit code: 1 when a target is missed (never with --quick).
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { installRequirements, type Requirement } from '../test/services/requirements.ts';
import { adminWrites } from './admin-writes.ts';
import { auth } from './auth.ts';
import { killChildren } from './child.ts';
import { churn } from './churn.ts';
import { table } from './figures.ts';
import { idle } from './idle.ts';
import { machine, type Machine } from './machine.ts';
import { plugin } from './plugin.ts';
import { proxy } from './proxy.ts';
import { runners } from './runners.ts';
import type { Report, Scenario } from './scenario.ts';
import { startTime } from './start-time.ts';
import { verdicts } from './verdicts.ts';

const scenarios: readonly Scenario[] = [proxy, auth, churn, adminWrites, startTime, idle, verdicts, runners, plugin];

const REQUIREMENTS: readonly Requirement[] = [
  { command: 'nginx', package: 'nginx-light' },
  { command: '/usr/lib/nginx/modules/ngx_http_lua_module.so', package: 'libnginx-mod-http-lua' },
  { command: 'wrk', package: 'wrk' },
  { command: 'taskset', package: 'util-linux' },
];

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      only: { type: 'string' },
      quick: { type: 'boolean', default: false },
      record: { type: 'boolean', default: false },
    },
  });
  const { quick } = values;
  const wanted = values.only?.split(',');
  const chosen = scenarios.filter((scenario) => wanted === undefined || wanted.includes(scenario.name));
  if (chosen.length === 0) throw new Error(`--only takes ${scenarios.map((scenario) => scenario.name).join(', ')}`);
  const missing = installRequirements(REQUIREMENTS);
  if (missing.length > 0) throw new Error(`missing: ${missing.map((requirement) => requirement.package).join(' ')}`);

  const about = machine();
  if (about.loadBefore > 0.5) {
    process.stderr.write(`the machine is not quiet (load ${about.loadBefore}): the figures will be off\n`);
  }
  const sections: string[] = [];
  const data: Record<string, unknown> = {};
  let missed = 0;
  for (const scenario of chosen) {
    process.stderr.write(`${scenario.name}: ${scenario.what}\n`);
    const report = await scenario.run({
      rounds: quick ? 1 : positive(values.rounds, 5),
      seconds: quick ? 1 : positive(values.seconds, 5),
      quick,
      progress: (text) => process.stderr.write(`  ${text}\n`),
    });
    missed += report.targets.filter((target) => !(target.value <= target.limit)).length;
    const section = sectionOf(report);
    process.stdout.write(`\n${section}\n\n`);
    sections.push(section);
    data[scenario.name] = report.data;
  }
  await record(about, sections, data, values.record && !quick);
  return missed > 0 && !quick ? 1 : 0;
}

function positive(text: string | undefined, initial: number): number {
  const value = text === undefined ? initial : Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`expected a whole number from 1, not ${String(text)}`);
  return value;
}

function sectionOf(report: Report): string {
  const targets = report.targets.map((target) => [
    target.what,
    `${target.value.toFixed(2)} ${target.unit}`,
    `≤ ${target.limit} ${target.unit}`,
    target.value <= target.limit ? 'yes' : 'NO',
  ]);
  return [
    `### ${report.title}`,
    table(report.head, report.rows),
    table(['target', 'measured', 'limit', 'met'], targets),
  ].join('\n\n');
}

async function record(about: Machine, sections: readonly string[], data: unknown, inReadme: boolean): Promise<void> {
  const folder = path.join(import.meta.dirname, 'results');
  await mkdir(folder, { recursive: true });
  const time = new Date().toISOString();
  const file = path.join(folder, `${time.replaceAll(':', '-')}.json`);
  await writeFile(file, `${JSON.stringify({ time, machine: about, data }, null, 1)}\n`);
  process.stderr.write(`everything measured: ${path.relative('', file)}\n`);
  if (!inReadme) return;
  const readme = path.join(import.meta.dirname, 'README.md');
  const text = await readFile(readme, 'utf8');
  const where =
    `${time.slice(0, 10)}, commit ${about.commit}. ${about.cpu}, ${about.cores} cores, ${about.memoryGb} GB, ` +
    `Linux ${about.kernel}; Node ${about.node}, nginx ${about.nginx}, wrk ${about.wrk}; load average before: ${about.loadBefore}.`;
  const marked = /(<!-- results -->\n)[^]*(<!-- end of results -->)/;
  if (!marked.test(text)) throw new Error('bench/README.md has lost its marks for the results');
  await writeFile(
    readme,
    text.replace(marked, (_, from: string, to: string) => `${from}\n${[where, ...sections].join('\n\n')}\n\n${to}`),
  );
}

process.once('exit', killChildren);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
process.exitCode = await main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  return 1;
});
