/** Plugins that fail: each ends its own request in bounded time, is named in the log with its line, and leaves others alone. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Gateway, startGateway } from '../gateway.ts';
import { request } from '../request.ts';
import { put, putRoute } from '../resources.ts';
import { until } from '../until.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';

/** What `phase` of the plugin `name` does is `body`, which begins in line 6. */
const plugin = (name: string, phase: string, body: string, more = ''): string => `
import { definePlugin } from 'gatewright/plugin';
export default definePlugin({
  name: '${name}', priority: 1, schema: { type: 'object' },${more}
  ${phase} {
    ${body}
  },
});
`;

const never = 'return new Promise<undefined>(() => undefined);';

const files: Readonly<Record<string, string>> = {
  'plugins/throws.ts': plugin('throws', 'access()', "throw new Error('broken');"),
  'plugins/rejects.ts': plugin('rejects', 'async access()', "await null; throw new Error('broken later');"),
  'plugins/never.ts': plugin('never', 'access()', never, ' timeoutMs: 50,'),
  'plugins/patient.ts': plugin('patient', 'access()', never),
  'plugins/nonsense.ts': plugin('nonsense', 'access()', 'return "no" as never;'),
  'plugins/head.ts': plugin('head', 'headerFilter()', "throw new Error('broken head');"),
  'plugins/stray.ts': plugin(
    'stray',
    'access()',
    "setTimeout(() => { throw new Error('stray timer'); }); void Promise.reject(new Error('stray promise'));",
  ),
  'plugins/interval.ts': plugin(
    'interval',
    'compile(_config, deps)',
    "deps.timers.setInterval(async () => { await fetch(String(deps.attributes['tell']) + deps.scope.slice(6)); }, 5); return 1;",
  ),
  'plugins/body.ts': plugin('body', 'bodyFilter(): Uint8Array', "throw new Error('broken body');"),
  'plugins/log.ts': plugin('log', 'log()', "throw new Error('broken log');"),
  ...Object.fromEntries(
    ['rewrite', 'beforeProxy', 'upstreamResponse'].flatMap((phase) => [
      [`plugins/throws-${phase}.ts`, plugin(`throws-${phase}`, `${phase}()`, "throw new Error('broken there');")],
      [`plugins/waits-${phase}.ts`, plugin(`waits-${phase}`, `async ${phase}()`, never, ' timeoutMs: 50,')],
    ]),
  ),
  'plugins/spins.ts': plugin('spins', 'access()', 'for (;;);'),
};

describe('plugin files that fail', () => {
  let gateway: Gateway | undefined;
  let upstream: TestUpstream | undefined;
  before(async () => {
    upstream = await startUpstream();
    gateway = await startGateway({
      settings: {
        plugin_dirs: ['plugins'],
        plugin_attr: { patient: { timeout_ms: 60 }, interval: { tell: `http://${upstream.node}/tick/` } },
        nginx_config: { worker_processes: 1 },
      },
      files,
    });
    const names = Object.keys(files).map((file) => file.slice('plugins/'.length, -'.ts'.length));
    for (const name of names) await putRoute(gateway, upstream, name, { [name]: {} });
    await putRoute(gateway, upstream, 'none', {});
  });
  after(async () => {
    await gateway?.[Symbol.asyncDispose]();
    await upstream?.[Symbol.asyncDispose]();
  });

  const get = async (path: string): Promise<{ status: number; body: string }> => {
    assert.ok(gateway);
    return request(gateway, path);
  };
  const logged = (pattern: RegExp): Promise<void> => until(() => pattern.test(gateway?.output() ?? ''));

  it('one that throws, or rejects: 500, and a log line with plugin, phase, file and line', async () => {
    assert.deepEqual(JSON.parse((await get('/throws')).body), { error_msg: '500 Internal Server Error' });
    await logged(/plugin failed plugin=throws phase=access error=.*broken.*throws\.ts:6:/);
    assert.equal((await get('/rejects')).status, 500);
    await logged(/plugin failed plugin=rejects phase=access error=.*rejects\.ts:6:/);
  });

  it('one that never answers: 504 by its own deadline, or by that of plugin_attr, while others go on', async () => {
    const waiting = get('/never');
    assert.equal((await get('/none')).status, 200);
    assert.deepEqual(JSON.parse((await waiting).body), { error_msg: '504 Gateway Time-out' });
    await logged(
      /plugin failed plugin=never phase=access error=.*PLUGIN_TIMEOUT: never, access, did not end within 50 ms/,
    );
    assert.equal((await get('/patient')).status, 504);
    await logged(/patient, access, did not end within 60 ms/);
  });

  it('one that returns what is no reply: 500, not the upstream', async () => {
    assert.equal((await get('/nonsense')).status, 500);
    await logged(/nonsense, access, returned what is no reply/);
  });

  it('one that fails at the response head: 500 in its place', async () => {
    assert.equal((await get('/head')).status, 500);
    await logged(/plugin=head phase=header_filter error=.*head\.ts:6:/);
  });

  it('one that fails at the response body: the connection is broken off, or 500 where nothing was sent yet', async () => {
    const answer = await get('/body').catch(() => undefined);
    assert.ok(answer === undefined || answer.status === 500);
    await logged(/plugin=body phase=body_filter error=.*body\.ts:6:/);
  });

  it('one that fails in its log phase: the answer stands', async () => {
    assert.equal((await get('/log')).status, 200);
    await logged(/plugin=log phase=log error=.*log\.ts:6:/);
  });

  for (const [phase, called, reached] of [
    ['rewrite', 'rewrite', 0],
    ['beforeProxy', 'before_proxy', 0],
    ['upstreamResponse', 'upstream_response', 1],
  ] as const)
    it(`in ${phase} too: 500 where it throws, 504 where it never answers`, async () => {
      const before = upstream?.requests.length ?? 0;
      assert.equal((await get(`/throws-${phase}`)).status, 500);
      await logged(new RegExp(`plugin=throws-${phase} phase=${called} error=.*throws-${phase}\\.ts:6:`));
      assert.equal((await get(`/waits-${phase}`)).status, 504);
      await logged(new RegExp(`PLUGIN_TIMEOUT: waits-${phase}, ${phase}, did not end within 50 ms`));
      assert.equal((upstream?.requests.length ?? 0) - before, 2 * reached);
    });

  it('one that a global rule brings fails closed for every route, and no more once the rule is gone', async () => {
    assert.ok(gateway);
    await put(gateway, '/global_rules/1', { plugins: { throws: {} } });
    assert.equal((await get('/none')).status, 500);
    assert.equal((await gateway.admin('DELETE', '/global_rules/1')).status, 200);
    assert.equal((await get('/none')).status, 200);
  });

  it('what it throws outside of a request is logged with its line, and the worker lives on', async () => {
    assert.equal((await get('/stray')).status, 200);
    await logged(/plugin failed phase=background at=.*stray\.ts:6 error=.*stray timer/);
    await logged(/plugin failed phase=background at=.*stray\.ts:6 error=.*stray promise/);
    assert.equal((await get('/none')).status, 200);
    assert.doesNotMatch(gateway?.output() ?? '', /worker (?:ended|failed)/);
  });

  it('its timers end with the configuration that started them', async () => {
    const ticks = (id: string): number => upstream?.requests.filter(({ url }) => url === `/tick/${id}`).length ?? 0;
    assert.equal((await get('/interval')).status, 200);
    await until(() => ticks('interval') > 2);
    assert.equal((await gateway?.admin('DELETE', '/routes/interval'))?.status, 200);
    const before = ticks('interval');
    assert.ok(gateway && upstream);
    await putRoute(gateway, upstream, 'other', { interval: {} });
    await get('/other');
    await until(() => ticks('other') > 10);
    // One may have been under way.
    assert.ok(ticks('interval') <= before + 1);
    await gateway.admin('DELETE', '/routes/other');
  });

  it('one that loops without end: its worker is replaced, and the log names it', { timeout: 40_000 }, async () => {
    await assert.rejects(get('/spins'));
    await logged(/worker does not answer, ending it worker=1 plugin=spins/);
    await until(async () => (await get('/none').catch(() => undefined))?.status === 200);
  });
});
