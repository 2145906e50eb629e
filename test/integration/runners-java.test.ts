/** Apache's Java plugin runner beside a real gateway. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { startGateway } from '../gateway.ts';
import { request } from '../request.ts';
import { javaRunner } from '../runners/java-runner.ts';
import { conf, putRoute } from '../runners/route.ts';
import { skipUnless } from '../services/requirements.ts';
import { startUpstream } from '../upstream.ts';

describe('the Java runner', { skip: skipUnless('javac'), timeout: 300_000 }, () => {
  it('answers, rewrites, and changes responses; is given variables and bodies', async () => {
    await using upstream = await startUpstream();
    await using gateway = await startGateway({
      settings: { 'ext-plugin': { cmd: javaRunner(), start_timeout: '15s' }, nginx_config: { worker_processes: 1 } },
    });
    const route = (id: string, plugin: string, value: string, name = 'GatewayFilter'): Promise<void> =>
      putRoute(gateway, id, upstream.node, { [plugin]: conf(name, value) });
    await route('stop', 'ext-plugin-pre-req', 'stop');
    await route('rewrite', 'ext-plugin-post-req', 'rewrite');
    await route('response', 'ext-plugin-post-resp', '');
    await route('status', 'ext-plugin-post-resp', '', 'StatusFilter');

    const stopped = await request(gateway, '/stop?a=1', { 'X-A': '2' }, { method: 'PUT', body: 'body' });
    assert.equal(stopped.status, 201, stopped.body);
    assert.equal(stopped.headers['x-resp-a6-runner'], 'Java');
    assert.equal(stopped.body, 'PUT /stop 1 2 body');
    assert.equal(upstream.requests.length, 0);

    assert.equal((await request(gateway, '/rewrite?a=1')).status, 200);
    const seen = upstream.requests.at(-1);
    assert.equal(seen?.url, '/from/java?a=1&b=2');
    assert.equal(seen.headers['x-from'], 'Java');

    const changed = await request(gateway, '/response');
    assert.equal(changed.status, 203);
    assert.equal(changed.body, 'GET /RESPONSE\n');

    await assert.rejects(route('unknown', 'ext-plugin-pre-req', '', 'NoFilter'), /does not know the plugin NoFilter/);

    // The runner reads status and headers as they were sent, where it reads them before another frame (docs/runners.md).
    const status = await request(gateway, '/status');
    assert.equal(status.headers['x-status'], '200');
    assert.equal(status.headers['x-type'], 'text/plain');
  });
});
