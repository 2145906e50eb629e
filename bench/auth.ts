/**
 * Cost of authentication and restriction: each plugin with the credential that its callers repeat, beside nginx that checks
 * nothing, in turns.
 */
import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { createHashForm } from '../src/plugin/password-hash.ts';
import { startGateway, type Resources } from './gateway.ts';
import { nginx } from './nginx.ts';
import type { Options, Report, Scenario, Target } from './scenario.ts';
import { apiKey, REQUEST_HEADERS, REQUEST_PATH, routePath, TARGET, type System } from './system.ts';
import { costOf, dataOf, HEAD, measureInTurns, residentMegabytesOf, rowsOf, type Measured } from './turns.ts';

/** 2033: no token ends while it is measured. */
const FAR = 2_000_000_000;
const ONE = 'one consumer';

export const auth: Scenario = {
  name: 'auth',
  what: 'CPU a request of authentication plugins, and with 100,000 consumers',
  async run(options): Promise<Report> {
    const many = options.quick ? 10_000 : 100_000;
    return report(await measureInTurns([nginx, ...(await systems(many))], options), many, options);
  },
};

async function systems(many: number): Promise<System[]> {
  const password = 'correct horse battery staple';
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return [
    single('jwt-auth HS256', 'jwt-auth', { key: 'k', secret: 's'.repeat(32) }, (input) => ({
      Authorization: token('HS256', input, (text) => createHmac('sha256', 's'.repeat(32)).update(text).digest()),
    })),
    single(
      'jwt-auth RS256',
      'jwt-auth',
      { key: 'k', algorithm: 'RS256', public_key: rsa.publicKey.export({ type: 'spki', format: 'pem' }) },
      (input) => ({
        Authorization: token('RS256', input, (text) => sign('sha256', Buffer.from(text), rsa.privateKey)),
      }),
    ),
    single(
      'basic-auth, argon2id',
      'basic-auth',
      { username: 'u', password: await createHashForm('argon2id', password) },
      () => ({ Authorization: `Basic ${Buffer.from(`u:${password}`).toString('base64')}` }),
    ),
    single('hmac-auth', 'hmac-auth', { key_id: 'k', secret_key: 's'.repeat(32) }, signed, { clock_skew: 86_400 }),
    consumers(ONE, 1),
    consumers(consumersName(many), many),
    restricted(1),
    restricted(10_000),
  ];
}

const consumersName = (count: number): string => `${count.toLocaleString('en')} consumers`;
const restrictedName = (routes: number): string =>
  `key-auth, restriction, limit, metrics: ${routes.toLocaleString('en')} route${routes === 1 ? '' : 's'}`;

/** One route and one consumer with one credential. `headers`: what the consumer sends. */
function single(
  name: string,
  plugin: string,
  credential: object,
  headers: (payload: object) => Record<string, string>,
  config: object = {},
): System {
  return {
    name,
    what: `${plugin}, one route and consumer; every request bears the same credential`,
    headers: headers({ key: 'k', exp: FAR }),
    start: (upstreamPort) =>
      startGateway({
        store: 'sqlite',
        resources: new Map([
          ['consumers/c', { username: 'c', plugins: { [plugin]: credential } }],
          ['routes/1', route(TARGET, { [plugin]: config }, upstreamPort)],
        ]),
      }),
  };
}

/** One route with key-auth, and as many consumers, each with its key. */
function consumers(name: string, count: number): System {
  return {
    name,
    what: 'key-auth, one route',
    headers: REQUEST_HEADERS,
    start: (upstreamPort) => {
      const resources = new Map<string, object>();
      for (let i = 0; i < count; i++) addConsumer(resources, count === 1 ? TARGET : i);
      resources.set('routes/1', route(TARGET, { 'key-auth': {} }, upstreamPort));
      return startGateway({ store: 'sqlite', resources: resources as Resources });
    },
  };
}

/** As many routes and consumers; a limit that is never reached. */
function restricted(count: number): System {
  return {
    name: restrictedName(count),
    what: 'key-auth, consumer-restriction, limit-count (local), prometheus on each route, a consumer for each',
    headers: REQUEST_HEADERS,
    start: (upstreamPort) => {
      const resources = new Map<string, object>();
      const first = count === 1 ? TARGET : 0;
      for (let i = first; i < first + count; i++) {
        addConsumer(resources, i);
        const plugins = {
          'key-auth': {},
          'consumer-restriction': { whitelist: [`consumer_${i}`] },
          'limit-count': { count: 1_000_000_000, time_window: 60, key: 'consumer_name' },
          prometheus: {},
        };
        resources.set(`routes/${i}`, route(i, plugins, upstreamPort));
      }
      return startGateway({ store: 'sqlite', resources: resources as Resources });
    },
  };
}

function addConsumer(resources: Map<string, object>, index: number): void {
  const username = `consumer_${index}`;
  resources.set(`consumers/${username}`, { username, plugins: { 'key-auth': { key: apiKey(index) } } });
}

function route(index: number, plugins: object, upstreamPort: number): Record<string, unknown> {
  return {
    uri: routePath(index),
    plugins,
    upstream: { type: 'roundrobin', nodes: { [`127.0.0.1:${upstreamPort}`]: 1 } },
  };
}

function token(algorithm: string, payload: object, signature: (text: string) => Buffer): string {
  const [header, body] = [{ alg: algorithm, typ: 'JWT' }, payload].map((part) =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  );
  const text = `${header ?? ''}.${body ?? ''}`;
  return `${text}.${signature(text).toString('base64url')}`;
}

/** The same signature for the whole run: nothing is remembered of it, so each request costs what a fresh one does. */
function signed(): Record<string, string> {
  const date = new Date().toUTCString();
  const text = `k\nGET ${REQUEST_PATH}\ndate: ${date}\n`;
  const signature = createHmac('sha256', 's'.repeat(32)).update(text).digest('base64');
  return {
    Date: date,
    Authorization: `Signature keyId="k",algorithm="hmac-sha256",headers="@request-target date",signature="${signature}"`,
  };
}

function report(measured: readonly Measured[], many: number, { quick }: Options): Report {
  const ratio = (name: string, limit: number, to = 'nginx'): Target => ({
    what: `${name}: CPU a request, to ${to}`,
    value: costOf(measured, name) / costOf(measured, to),
    limit,
    unit: '×',
  });
  return {
    title: quick ? 'Authentication (a tenth of the consumers)' : 'Authentication',
    head: HEAD,
    rows: rowsOf(measured),
    targets: [
      ratio('jwt-auth HS256', 1.7),
      ratio('jwt-auth RS256', 1.7),
      ratio('basic-auth, argon2id', 1.6),
      ratio(consumersName(many), 1.05, ONE),
      {
        what: `${consumersName(many)} under load: resident`,
        value: residentMegabytesOf(measured, consumersName(many)),
        limit: 250,
        unit: 'MB',
      },
      ratio(restrictedName(1), 1.9),
      ratio(restrictedName(10_000), 1.9),
    ],
    data: dataOf(measured),
  };
}
