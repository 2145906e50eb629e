/**
 * Cost of custom verification: a verdict that is kept, beside key-auth, and a function that is asked for every request, beside none,
 * in turns; and what ten thousand kept verdicts take.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createVerdictMemory, VerdictCache, VerdictControl } from '../src/plugin/verdict-cache/verdict-cache.ts';
import { temporaryFolder } from './child.ts';
import { startGateway } from './gateway.ts';
import { nginx } from './nginx.ts';
import type { Report, Scenario, Target } from './scenario.ts';
import { apiKey, REQUEST_PATH, TARGET, type System } from './system.ts';
import { costOf, dataOf, HEAD, measureInTurns, rowsOf, type Measured } from './turns.ts';

const NO_PLUGIN = 'gatewright: no plugin';
const KEY_AUTH = 'gatewright: key-auth';
const KEPT = 'gatewright: custom-auth, kept verdict';
const ASKED = 'gatewright: custom-auth, module function';
const TOKEN = 'a-token-of-some-length-0123456789abcdef';
/** The default of `gatewright.verdicts.size`. */
const DEFAULT_BYTES = 8 * 1_048_576;
const KEYS = 10_000;

const source = `export default (event) => ({ 'api-auth': event.headers.authorization === '${TOKEN}' });`;

export const verdicts: Scenario = {
  name: 'verdicts',
  what: 'CPU a request of custom verification, kept and asked; memory of 10,000 kept verdicts',
  run: async (options) => report(await measureInTurns(systems, options), await residentMegabytesOfKeys()),
};

const systems: readonly System[] = [
  nginx,
  system(NO_PLUGIN, 'one route', {}),
  system(KEY_AUTH, 'key-auth, one route and consumer', { 'key-auth': {} }),
  system(KEPT, 'custom-auth with a verdict that is kept', { 'custom-auth': config(3600) }),
  system(ASKED, 'custom-auth that asks a function of the function directory each time', { 'custom-auth': config(0) }),
];

function config(cacheSeconds: number): object {
  return {
    cache_time: cacheSeconds,
    endpoint_timeout: 15,
    func_namespace: 'bench',
    func_name: 'verify',
    func_qualifier: '$LATEST',
    is_send_body: true,
    header_auth_parameters: ['Authorization'],
  };
}

function system(name: string, what: string, plugins: object): System {
  return {
    name,
    what,
    headers: { apikey: apiKey(TARGET), Authorization: TOKEN },
    async start(upstreamPort) {
      const { folder, remove } = await temporaryFolder();
      await mkdir(path.join(folder, 'bench'));
      await writeFile(path.join(folder, 'bench', 'verify.ts'), source);
      const gateway = await startGateway({
        store: 'sqlite',
        settings: { gatewright: { functions: { directory: folder } } },
        resources: new Map([
          ['consumers/c', { username: 'c', plugins: { 'key-auth': { key: apiKey(TARGET) } } }],
          [
            'routes/1',
            {
              uri: REQUEST_PATH,
              plugins: { ...plugins },
              upstream: { type: 'roundrobin', nodes: { [`127.0.0.1:${upstreamPort}`]: 1 } },
            },
          ],
        ]),
      });
      return {
        ...gateway,
        stop: async () => {
          await gateway.stop();
          await remove();
        },
      };
    },
  };
}

/** What this process grows by when it keeps them, each with a consumer and a header. */
async function residentMegabytesOfKeys(): Promise<number> {
  // The first time the heap grows, too, by what asking leaves behind.
  await keep();
  const before = process.memoryUsage.rss();
  const kept = await keep();
  const grown = (process.memoryUsage.rss() - before) / 1e6;
  return kept.evictions === 0 ? grown : NaN;
}

async function keep(): Promise<VerdictControl> {
  const text = JSON.stringify({ passes: true, consumer: 'consumer', headers: [['X-Tenant', 'tenant']] });
  const memory = createVerdictMemory(DEFAULT_BYTES);
  const cache = new VerdictCache(memory, 1);
  for (let i = 0; i < KEYS; i++) await cache.fetch(`key ${i}`, 1000, () => Promise.resolve({ text, ttlMs: 3_600_000 }));
  return new VerdictControl(memory);
}

function report(measured: readonly Measured[], megabytes: number): Report {
  const targets: Target[] = [
    {
      what: 'a kept verdict: CPU a request, to key-auth',
      value: costOf(measured, KEPT) / costOf(measured, KEY_AUTH),
      limit: 1.1,
      unit: '×',
    },
    {
      what: 'a module function: CPU that the call adds',
      value: costOf(measured, ASKED) - costOf(measured, NO_PLUGIN),
      limit: 60,
      unit: 'µs',
    },
    { what: '10,000 kept verdicts: resident', value: megabytes, limit: 10, unit: 'MB' },
  ];
  return {
    title: 'Custom verification',
    head: HEAD,
    rows: rowsOf(measured),
    targets,
    data: { systems: dataOf(measured), megabytes },
  };
}
