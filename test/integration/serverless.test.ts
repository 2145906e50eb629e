/** JavaScript functions in configurations, in a real gateway: off until the settings allow them, then in every phase. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { type Gateway, startGateway } from '../gateway.ts';
import { request } from '../request.ts';
import { putRoute, refusalOf } from '../resources.ts';
import { until } from '../until.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';

const pre = 'serverless-pre-function';
const post = 'serverless-post-function';

it('where the settings do not allow code in configurations, it is refused with the setting’s name', async () => {
  await using gateway = await startGateway({ settings: { plugin_attr: { [pre]: { code_in_config: true } } } });
  for (const plugin of [pre, post]) {
    assert.match(
      await refusalOf(gateway, { [plugin]: { functions: ['() => {}'] } }),
      /gatewright\.code_in_config: true in the settings allows it/,
    );
  }
});

describe('with gatewright.code_in_config', () => {
  let gateway: Gateway;
  let upstream: TestUpstream;

  before(async () => {
    upstream = await startUpstream();
    gateway = await startGateway({
      settings: {
        gatewright: { code_in_config: true },
        plugin_attr: { [pre]: { timeout_ms: 200 } },
      },
    });
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
  });

  const route = (id: string, plugins: object): Promise<void> => putRoute(gateway, upstream, id, plugins);

  it('the functions of each phase do their part', async () => {
    const phases: readonly (readonly [string, string])[] = [
      ['rewrite', "(conf, exchange) => exchange.headers.set('X-Rewrite', conf.phase)"],
      [
        'access',
        "(conf, exchange) => exchange.arg('no') === '1' ? { status: 403, body: { message: 'no' } } : undefined",
      ],
      ['before_proxy', "async (conf, exchange) => { exchange.upstream.path = '/changed'; }"],
      ['header_filter', "(conf, exchange) => { exchange.response.headers.set('X-Filtered', 'yes'); }"],
      ['body_filter', '(conf, exchange, chunk) => Buffer.from(chunk).toString().toUpperCase()'],
      ['log', "(conf, exchange) => deps.log.warn('served', { status: exchange.response.status })"],
    ];
    for (const [phase, source] of phases) {
      await route(phase, { [post]: { phase, functions: [source] } });
      assert.equal((await request(gateway, `/${phase}`)).status, 200, phase);
    }
    await request(gateway, '/rewrite');
    assert.equal(upstream.requests.at(-1)?.headers['x-rewrite'], 'rewrite');
    const refused = await request(gateway, '/access?no=1');
    assert.equal(refused.status, 403);
    assert.deepEqual(JSON.parse(refused.body), { message: 'no' });
    assert.equal((await request(gateway, '/before_proxy')).body, 'GET /changed\n');
    assert.equal((await request(gateway, '/header_filter')).headers['x-filtered'], 'yes');
    assert.equal((await request(gateway, '/body_filter')).body, 'GET /BODY_FILTER\n');
    await until(() => /served.*status=200/.test(gateway.output()));
  });

  it('the function that the docs print does what they say', async () => {
    const page = await readFile('docs/plugins-in-typescript.md', 'utf8');
    const printed = /```json\n([^]*?serverless[^]*?)```/.exec(page)?.[1] ?? '';
    await route('printed', JSON.parse(printed) as object);
    assert.equal((await request(gateway, '/printed')).status, 200);
    assert.equal((await request(gateway, '/printed?debug')).status, 403);
  });

  it('a function that throws is 500, one that never answers 504, and nothing goes upstream', async () => {
    await route('throws', { [pre]: { functions: ["() => { throw new Error('on purpose'); }"] } });
    await route('waits', { [pre]: { functions: ['() => new Promise(() => {})'] } });
    await route('slips', { [pre]: { functions: ["() => 'no'"] } });
    const before = upstream.requests.length;
    assert.equal((await request(gateway, '/throws')).status, 500);
    assert.equal((await request(gateway, '/slips')).status, 500);
    assert.equal((await request(gateway, '/waits')).status, 504);
    assert.equal(upstream.requests.length, before);
    await until(() => gateway.output().includes('on purpose'));
  });

  it('what cannot run is refused when it is written: syntax with its line, and Lua', async () => {
    const refusal = (source: string): Promise<string> =>
      refusalOf(gateway, { [pre]: { functions: ['() => {}', source] } });
    assert.match(await refusal('(conf, exchange) => {\n  return {;\n}'), /functions\[1\], line 2: Unexpected token/);
    assert.match(await refusal('return function(conf, ctx)\n  return 403\nend'), /functions\[1\]: is Lua/);
    assert.match(await refusal('for (;;);'), /did not end within 1000 ms/);
    assert.match(await refusalOf(gateway, { [pre]: { phase: 'content', functions: ['() => {}'] } }), /"phase"/);
  });

  it('one that loops without end: its request ends, the other worker goes on, the log names it', async () => {
    await route('spins', { [post]: { functions: ['() => { for (;;); }'] } });
    await route('fine', {});
    let over = false;
    const spinning = request(gateway, '/spins').finally(() => (over = true));
    spinning.catch(() => undefined);
    // Connections fall to both workers; those of the other one are served meanwhile.
    const others = Array.from({ length: 32 }, () => request(gateway, '/fine'));
    assert.equal((await Promise.any(others)).status, 200);
    assert.equal(over, false);
    await assert.rejects(spinning);
    await Promise.allSettled(others);
    await until(() =>
      /worker does not answer, ending it worker=\d plugin=serverless-post-function/.test(gateway.output()),
    );
    await until(async () => (await fetch(`http://127.0.0.1:${gateway.ports.status}/status/ready`)).ok);
    assert.equal((await request(gateway, '/fine')).status, 200);
  });
});
