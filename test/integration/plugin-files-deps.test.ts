/** What a plugin file is given beside the request, through a whole gateway: `deps`, each part doing what the docs say of it. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { startManager } from '../../src/secrets/manager.fixture.ts';
import { startGateway } from '../gateway.ts';
import { request } from '../request.ts';
import { put, putRoute, refusalOf, reloadPlugins } from '../resources.ts';
import { until } from '../until.ts';
import { startUpstream } from '../upstream.ts';

const plugin = (name: string, members: string): string => `
import { definePlugin, reply } from 'gatewright/plugin';
export default definePlugin({ name: '${name}', priority: 100, ${members} });
`;
const settings = { plugin_dirs: ['plugins'] };

test('secrets.resolve: from the environment and from Vault, as they are now; what nothing resolves rejects with the reference', async (t) => {
  const manager = await startManager(t);
  manager.kv1.set('apisix/mail', { password: 'first-password' });
  await using gateway = await startGateway({
    settings,
    env: { MAIL_USER: 'mail-user-name' },
    files: {
      'plugins/asks.ts': plugin(
        'asks',
        `schema: { type: 'object' },
         compile: (_config, { secrets }) => secrets,
         async access(secrets, exchange) {
           try {
             return reply(200, await secrets.resolve(exchange.headers.get('reference') ?? ''));
           } catch (error) {
             return reply(500, String(error));
           }
         },`,
      ),
    },
  });
  const manage = (prefix: string): Promise<void> =>
    put(gateway, '/secrets/vault/1', { uri: manager.url, prefix, token: manager.token });
  await manage('apisix');
  await put(gateway, '/routes/1', { uri: '/', plugins: { asks: {} } });
  const resolve = async (reference: string): Promise<string> => (await request(gateway, '/', { reference })).body;

  assert.equal(await resolve('$env://MAIL_USER'), 'mail-user-name');
  assert.equal(await resolve('$ENV://MAIL_USER'), 'mail-user-name');
  assert.equal(await resolve('$secret://vault/1/mail/password'), 'first-password');
  for (const none of [
    '$env://NOBODY',
    '$secret://vault/1/mail/none',
    '$secret://vault/2/mail/password',
    'plain text',
    '',
  ])
    assert.equal(await resolve(none), `Error: ${none} cannot be resolved`);

  // Another place at the manager: the plugin, which keeps nothing, reads what is there.
  manager.kv1.set('other/mail', { password: 'second-password' });
  await manage('other');
  await until(async () => (await resolve('$secret://vault/1/mail/password')) === 'second-password');
  for (const secret of ['mail-user-name', 'first-password', 'second-password', manager.token])
    assert.ok(!gateway.output().includes(secret), secret);
});

test('a reference in its configuration is resolved before compile, and stays a reference in what is stored', async () => {
  await using gateway = await startGateway({
    settings,
    env: { GREETING: 'resolved' },
    files: {
      'plugins/greets.ts': plugin(
        'greets',
        `schema: { type: 'object', properties: { text: { type: 'string' } } }, access: ({ text }) => reply(200, text),`,
      ),
    },
  });
  await put(gateway, '/routes/1', { uri: '/', plugins: { greets: { text: '$env://GREETING' } } });
  assert.equal((await request(gateway, '/')).body, 'resolved');
  assert.match(JSON.stringify((await gateway.admin('GET', '/routes/1')).body), /\$env:\/\/GREETING/);
});

test('log: a line bears the plugin’s name, where it is configured, and its fields', async () => {
  await using gateway = await startGateway({
    settings,
    files: {
      'plugins/notes.ts': plugin(
        'notes',
        `schema: { type: 'object' }, compile: (_config, { log }) => log,
         access: () => ({ status: 204 }),
         log(log, exchange) { log.warn('served', { path: exchange.path, status: exchange.response.status }); },`,
      ),
    },
  });
  await put(gateway, '/routes/noted', { uri: '/*', plugins: { notes: {} } });
  await request(gateway, '/here');
  await until(() => /warn +served plugin=notes scope=route#noted path=\/here status=204/.test(gateway.output()));
});

test('cache: what is asked for at once is made once, kept for its time, and bounded', async () => {
  await using service = await startUpstream((asked, response) => void setImmediate(() => response.end(asked.url)));
  await using gateway = await startGateway({
    settings: { ...settings, nginx_config: { worker_processes: 1 } },
    files: {
      'plugins/keeps.ts': plugin(
        'keeps',
        `schema: { type: 'object', properties: { url: { type: 'string' }, ttl: { type: 'integer' } } },
         compile: ({ url, ttl }, deps) => ({ url, kept: deps.cache<string>({ max: 2, ttlMs: ttl ?? 60_000 }) }),
         async access({ url, kept }, exchange) {
           const text = await kept.load(exchange.path, async (key) => (await fetch(url + key)).text());
           return reply(200, { text, size: kept.size });
         },`,
      ),
    },
  });
  const write = (ttl: number): Promise<void> =>
    put(gateway, '/routes/1', { uri: '/*', plugins: { keeps: { url: `http://${service.node}`, ttl } } });
  const ask = async (path: string): Promise<unknown> => JSON.parse((await request(gateway, path)).body);
  await write(60_000);
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask('/a')));
  assert.deepEqual(new Set(answers.map((answer) => JSON.stringify(answer))), new Set(['{"text":"/a","size":1}']));
  assert.equal(service.requests.length, 1);
  await ask('/b');
  assert.deepEqual(await ask('/c'), { text: '/c', size: 2 });
  await ask('/c');
  assert.deepEqual(
    service.requests.map(({ url }) => url),
    ['/a', '/b', '/c'],
  );
  // The least recently used had to go.
  await ask('/a');
  assert.equal(service.requests.length, 4);
  await write(1);
  await ask('/a');
  const before = service.requests.length;
  await until(async () => (await ask('/a'), service.requests.length > before));
});

test('counters: exactly as many pass as are allowed, over all workers', async () => {
  await using upstream = await startUpstream();
  await using gateway = await startGateway({
    settings,
    files: {
      'plugins/allows.ts': plugin(
        'allows',
        `schema: { type: 'object', properties: { most: { type: 'integer', default: 1 } } },
         compile: ({ most }, { counters }) => ({ most, counters }),
         access({ most, counters }) {
           const count = counters.update('allows', (numbers, at) => {
             numbers[at] = counters.now() + 60_000;
             return (numbers[at + 1] = (numbers[at + 1] ?? 0) + 1);
           });
           return count > most ? reply(429) : undefined;
         },`,
      ),
    },
  });
  await putRoute(gateway, upstream, 'counted', { allows: { most: 25 } });
  const answers = await Promise.all(Array.from({ length: 60 }, () => request(gateway, '/counted')));
  assert.equal(answers.filter(({ status }) => status === 200).length, 25);
  assert.equal(answers.filter(({ status }) => status === 429).length, 35);
});

test('timers die with the version of the file that started them', async () => {
  await using told = await startUpstream();
  const ticks = (version: string): string =>
    plugin(
      'ticks',
      `schema: { type: 'object' },
       compile(_config, { timers, attributes }) {
         timers.setInterval(async () => { await fetch(attributes['tell'] + '/${version}'); }, 5);
         return 1;
       },
       access: () => reply(200),`,
    );
  await using gateway = await startGateway({
    settings: {
      ...settings,
      nginx_config: { worker_processes: 1 },
      plugin_attr: { ticks: { tell: `http://${told.node}` } },
    },
    files: { 'plugins/ticks.ts': ticks('old') },
  });
  const heard = (version: string): number => told.requests.filter(({ url }) => url === `/${version}`).length;
  await put(gateway, '/routes/1', { uri: '/', plugins: { ticks: {} } });
  await request(gateway, '/');
  await until(() => heard('old') > 2);
  await writeFile(join(gateway.directory, 'plugins/ticks.ts'), ticks('new'));
  await reloadPlugins(gateway);
  const before = heard('old');
  await request(gateway, '/');
  await until(() => heard('new') > 10);
  // One may have been under way.
  assert.ok(heard('old') <= before + 1);
});

test('metrics: counted in every worker, added up where they are scraped', async () => {
  await using gateway = await startGateway({
    settings,
    files: {
      'plugins/counts.ts': plugin(
        'counts',
        `schema: { type: 'object' },
         compile: (_config, { metrics }) => ({
           seen: metrics.counter('counts_seen_total', 'Requests that were seen.', ['method']),
           size: metrics.gauge('counts_size', 'As set last.', []),
           took: metrics.histogram('counts_took_seconds', 'How long.', [], [0.1, 1]),
         }),
         access({ seen, size, took }, exchange) {
           seen.with([exchange.method]).add(1);
           size.with([]).set(7);
           took.with([]).observe(0.5);
           return reply(200);
         },`,
      ),
    },
  });
  await put(gateway, '/routes/1', { uri: '/', plugins: { counts: {}, prometheus: {} } });
  await Promise.all(Array.from({ length: 20 }, () => request(gateway, '/')));
  const scraped = await fetch(`http://127.0.0.1:${gateway.ports.metrics}/apisix/prometheus/metrics`);
  const text = await scraped.text();
  assert.match(text, /^# HELP counts_seen_total Requests that were seen\.$/m);
  assert.match(text, /^counts_seen_total\{method="GET"\} 20$/m);
  assert.match(text, /^counts_took_seconds_bucket\{le="0\.1"\} 0$/m);
  assert.match(text, /^counts_took_seconds_bucket\{le="1"\} 20$/m);
  // Of each worker that was asked.
  assert.match(text, /^counts_size (?:7|14)$/m);
});

test('metadata: checked by metadataSchema when it is written, read as it is now', async () => {
  await using gateway = await startGateway({
    settings,
    files: {
      'plugins/says.ts': plugin(
        'says',
        `schema: { type: 'object' },
         metadataSchema: { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] },
         compile: (_config, { metadata }) => metadata,
         access: (metadata) => reply(200, { metadata: metadata() ?? null }),`,
      ),
    },
  });
  await put(gateway, '/routes/1', { uri: '/', plugins: { says: {} } });
  const said = async (): Promise<unknown> => JSON.parse((await request(gateway, '/')).body);
  assert.deepEqual(await said(), { metadata: null });
  const { status, body } = await gateway.admin('PUT', '/plugin_metadata/says', { text: 5 });
  assert.equal(status, 400);
  assert.match(String(body['error_msg']), /property "text" validation failed: wrong type: expected string, got number/);
  await put(gateway, '/plugin_metadata/says', { text: 'hello' });
  assert.deepEqual(await said(), { metadata: { text: 'hello' } });
});

test('apis: reached by nobody but through a route with public-api, with the plugin’s own deps', async () => {
  await using gateway = await startGateway({
    settings: { ...settings, plugins: ['offers', 'public-api'], plugin_attr: { offers: { greeting: 'hello' } } },
    files: {
      'plugins/offers.ts': plugin(
        'offers',
        `schema: { type: 'object' },
         apis: [{
           methods: ['POST'], uri: '/apisix/plugin/offers/greet',
           async handler(exchange, { attributes }) {
             return reply(200, { greeting: attributes['greeting'], who: await exchange.json(1000) });
           },
         }],`,
      ),
    },
  });
  const greet = (path: string, method = 'POST') => request(gateway, path, {}, { method, body: '"ann"' });
  assert.equal((await greet('/apisix/plugin/offers/greet')).status, 404);
  await put(gateway, '/routes/1', { uri: '/greet', plugins: { 'public-api': { uri: '/apisix/plugin/offers/greet' } } });
  assert.deepEqual(JSON.parse((await greet('/greet')).body), { greeting: 'hello', who: 'ann' });
  assert.equal((await greet('/greet', 'PUT')).status, 404);
  assert.match(await refusalOf(gateway, { offers: 'no object' }), /expected object, got string/);
});
