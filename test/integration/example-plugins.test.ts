/** The plugins of examples/plugins, loaded from their folder by a real gateway, each doing what its header says. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Gateway, startGateway } from '../gateway.ts';
import { request } from '../request.ts';
import { put, putRoute, refusalOf } from '../resources.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';

const folder = resolve(import.meta.dirname, '../../examples/plugins');
const names = ['daily-quota', 'order-body', 'replace-text', 'tenant-header', 'token-check'];

describe('the example plugins', () => {
  let gateway: Gateway;
  let upstream: TestUpstream;
  /** The rest of the body of `/text`. */
  let sendRest: () => void = () => undefined;

  before(async () => {
    upstream = await startUpstream((asked, response) => {
      response.setHeader('Content-Type', 'text/plain');
      response.setHeader('ETag', '"1"');
      response.write('see http://orders.internal/1 and http://orders.in');
      const finish = (): void => void response.end(`ternal${asked.url ?? ''}`);
      if (asked.url === '/text') sendRest = finish;
      else finish();
    });
    gateway = await startGateway({
      settings: { plugin_dirs: [folder], plugins: [...names, 'key-auth', 'public-api'] },
    });
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
  });

  const route = (id: string, plugins: object): Promise<void> => putRoute(gateway, upstream, id, plugins);
  const refused = (plugin: string, config: object): Promise<string> => refusalOf(gateway, { [plugin]: config });

  it('all load, are at most 80 lines long and stand in the docs', async () => {
    const answer = await fetch(`http://127.0.0.1:${gateway.ports.control}/v1/plugins/files`);
    const files = (await answer.json()) as { name: string; state: string }[];
    assert.deepEqual(
      files.map(({ name, state }) => [name, state]),
      names.map((name) => [name, 'loaded']),
    );
    const page = await readFile(resolve(folder, '../../docs/plugins-in-typescript.md'), 'utf8');
    for (const file of await readdir(folder)) {
      if (file.endsWith('.test.ts')) continue;
      const lines = (await readFile(join(folder, file), 'utf8')).trimEnd().split('\n').length;
      assert.ok(lines <= 80, `${file}: ${lines} lines`);
      assert.ok(page.includes(`../examples/plugins/${file}`), file);
    }
  });

  it('tenant-header tells the upstream whose request it is, and refuses a host of nobody', async () => {
    await route('tenant', { 'tenant-header': { tenants: { 'shop.example.com': 'acme' } } });
    const ours = await request(gateway, '/tenant', { Host: 'Shop.example.com', 'X-Tenant': 'forged' });
    assert.equal(ours.status, 200);
    assert.equal(upstream.requests.at(-1)?.headers['x-tenant'], 'acme');
    assert.equal((await request(gateway, '/tenant', { Host: 'other.example.com' })).status, 404);
    assert.match(await refused('tenant-header', { tenants: { a: 1 } }), /tenants/);
  });

  it('token-check asks the service once for a token, and lets nobody in without a verdict', async () => {
    await using service = await startUpstream((asked, response) => {
      const token = asked.headers['x-token'];
      response.statusCode = token === 'good' ? 200 : token === 'bad' ? 403 : 500;
      response.end(JSON.stringify({ user: 'jack' }));
    });
    await route('token', { 'token-check': { url: `http://${service.node}/check` } });
    const ask = (token?: string) =>
      request(gateway, '/token', token === undefined ? {} : { Authorization: `Bearer ${token}` });
    assert.equal((await ask()).status, 401);
    assert.equal((await ask('good')).status, 200);
    const { headers } = upstream.requests.at(-1) ?? {};
    assert.equal(headers?.['x-user'], 'jack');
    assert.equal(headers.authorization, undefined);
    assert.equal((await ask('good')).status, 200);
    assert.equal((await ask('bad')).status, 401);
    assert.equal((await ask('broken')).status, 503);
    assert.equal((await ask('broken')).status, 503);
    const asked = (token: string): number => service.requests.filter((one) => one.headers['x-token'] === token).length;
    // Once in each worker at most; a failure is not kept.
    assert.ok(asked('good') <= 2);
    assert.equal(asked('broken'), 2);
    assert.ok(!gateway.output().includes('Bearer'));
    assert.match(await refused('token-check', { url: 'http://x/', ssl_client_cert: 'x' }), /ssl_cert/);
  });

  it('order-body refuses what is no order, and fills in the total', async () => {
    await route('order', { 'order-body': { max_items: 2, max_bytes: 1000 } });
    const post = (body: string) => request(gateway, '/order', {}, { method: 'POST', body });
    assert.equal((await post('{"items":[')).status, 400);
    assert.equal((await post('null')).status, 400);
    assert.equal((await post('{"items":[{"sku":"a","quantity":0,"price":1}]}')).status, 400);
    assert.equal((await post(`{"items":[{"sku":"${'a'.repeat(1000)}"}]}`)).status, 413);
    const before = upstream.requests.length;
    const items = '"items":[{"sku":"a","quantity":3,"price":0.1},{"sku":"b","quantity":1,"price":2}]';
    assert.equal((await post(`{${items},"total":0,"total":1}`)).status, 400);
    const good = `{${items},"total":1}`;
    assert.equal((await post(good)).status, 200);
    assert.equal(upstream.requests.length, before + 1);
    const sent = JSON.parse(upstream.requests.at(-1)?.body ?? '') as { total: number };
    assert.equal(sent.total, 2.3);
    assert.equal((await request(gateway, '/order')).status, 200);
  });

  it('replace-text replaces what lies across two pieces of the body', async () => {
    await route('text', {
      'replace-text': { search: 'http://orders.internal', replacement: 'https://api.example.com' },
    });
    const response = await fetch(`${gateway.url}/text`);
    const pieces = response.body?.getReader();
    const read = async (): Promise<string> => Buffer.from((await pieces?.read())?.value ?? new Uint8Array()).toString();
    // No more is held back than may be the beginning of the text.
    assert.equal(await read(), 'see https://api.example.com/1');
    sendRest();
    let rest = '';
    for (let piece = await read(); piece !== ''; piece = await read()) rest += piece;
    assert.equal(rest, ' and https://api.example.com/text');
    assert.equal(response.headers.get('etag'), null);
  });

  it('daily-quota counts each consumer over all workers, and public-api shows what is used', async () => {
    await put(gateway, '/consumers/jack', { username: 'jack', plugins: { 'key-auth': { key: 'jacks' } } });
    await put(gateway, '/consumers/rose', { username: 'rose', plugins: { 'key-auth': { key: 'roses' } } });
    await route('quota', { 'key-auth': {}, 'daily-quota': { requests: 3 } });
    await put(gateway, '/routes/usage', {
      uri: '/usage',
      plugins: { 'key-auth': {}, 'public-api': { uri: '/apisix/plugin/daily-quota/usage' } },
    });
    const ask = (path: string, key: string) => request(gateway, path, { apikey: key });
    // Tomorrow begins a new count: once at most while this runs.
    for (let attempt = 0; attempt < 2; attempt++) {
      const day = new Date().getUTCDate();
      const statuses: number[] = [];
      for (let i = 0; i < 4; i++) statuses.push((await ask('/quota', 'jacks')).status);
      const usage = JSON.parse((await ask('/usage', 'jacks')).body) as { used: number };
      const roses = (await ask('/quota', 'roses')).status;
      if (new Date().getUTCDate() !== day) continue;
      assert.deepEqual(statuses, [200, 200, 200, 429]);
      assert.equal(usage.used, 4);
      assert.equal(roses, 200);
      return;
    }
  });
});
