import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ConfigError } from '../errors/gateway-error.ts';
import { definePlugin, type PluginDeps } from '../plugin/index.ts';
import { startPlugin, startServer, TestExchange } from './index.ts';

const stamp = definePlugin({
  name: 'stamp',
  priority: 500,
  schema: {
    type: 'object',
    properties: { value: { type: 'string', minLength: 1 } },
    required: ['value'],
    additionalProperties: false,
  },
  compile: ({ value }, deps) => ({
    value,
    log: deps.log,
    stamped: deps.metrics.counter('stamped_total', 'Requests that were stamped.', ['value']),
  }),
  rewrite({ value, stamped }, exchange) {
    if (exchange.arg('refuse') !== undefined) return { status: 403, reason: 'stamp.refused', body: { message: 'no' } };
    if (exchange.arg('throw') !== undefined) throw new Error('on purpose');
    stamped.with([value]).add(1);
    exchange.headers.set('X-Stamp', value);
    return undefined;
  },
  log({ log }, exchange) {
    log.info('stamped', { path: exchange.path });
  },
});

describe('startPlugin', () => {
  it('drives the plugin through real HTTP, and shows what went upstream, was logged and was counted', async () => {
    await using gateway = await startPlugin(stamp, { value: 'one' });
    const response = await gateway.fetch('/orders?x=1', { method: 'POST', body: 'hello' });
    assert.equal(response.status, 200);
    assert.equal(await response.text(), 'ok');
    assert.equal(gateway.upstream.requests.length, 1);
    assert.equal(gateway.upstream.last.method, 'POST');
    assert.equal(gateway.upstream.last.url, '/orders?x=1');
    assert.equal(gateway.upstream.last.headers['x-stamp'], 'one');
    assert.equal(gateway.upstream.last.text(), 'hello');
    await gateway.idle();
    assert.deepEqual(gateway.logged, [{ level: 'info', message: 'stamped', fields: { path: '/orders' } }]);
    assert.equal(gateway.metrics.value('stamped_total', '{value="one"}'), 1);
  });

  it('shows the reason of a refusal, and the failure of a plugin that throws', async () => {
    await using gateway = await startPlugin(stamp, { value: 'one' });
    assert.equal((await gateway.fetch('/?refuse')).status, 403);
    assert.deepEqual(gateway.refusals, [{ status: 403, reason: 'stamp.refused', detail: undefined }]);
    assert.equal((await gateway.fetch('/?throw')).status, 500);
    const failure = gateway.logged.find(({ level }) => level === 'error');
    assert.equal(failure?.fields['plugin'], 'stamp');
    assert.match(String(failure.fields['error']), /on purpose/);
    assert.equal(gateway.upstream.requests.length, 0);
  });

  it('refuses a configuration in the words of the Admin API, at the start and later', async () => {
    await assert.rejects(startPlugin(stamp, {}), (error: Error) => {
      assert.ok(error instanceof ConfigError);
      assert.match(
        error.message,
        /failed to check the configuration of plugin stamp err: property "value" is required/,
      );
      return true;
    });
    await using gateway = await startPlugin(stamp, { value: 'one' });
    assert.throws(() => {
      gateway.configure({ value: '' });
    }, ConfigError);
    gateway.configure({ value: 'two' });
    await gateway.fetch('/');
    assert.equal(gateway.upstream.last.headers['x-stamp'], 'two');
  });

  it('refuses what is no plugin, with advice', async () => {
    await assert.rejects(startPlugin({ ...stamp, onRequest: () => undefined }), /onRequest is no part of a plugin/);
    await assert.rejects(startPlugin({ ...stamp, name: 'key-auth' }, { value: 'x' }), /replacesBuiltIn/);
  });

  it('runs it beside other plugins and consumers, with secrets and attributes', async () => {
    const tell = definePlugin({
      name: 'tell',
      priority: 10,
      schema: { type: 'object', properties: { token: { type: 'string', default: '$env://TOKEN' } } },
      compile: ({ token }, { attributes }: PluginDeps) => ({ token, region: attributes['region'] }),
      access: ({ token, region }, exchange) => ({
        status: 200,
        body: { token, region, consumer: exchange.consumer?.username },
      }),
    });
    await using gateway = await startPlugin(
      tell,
      {},
      {
        plugins: { 'key-auth': {} },
        consumers: { jack: { 'key-auth': { key: 'k' } } },
        secrets: { '$env://TOKEN': 't0k' },
        attributes: { tell: { region: 'north' } },
      },
    );
    assert.equal((await gateway.fetch('/')).status, 401);
    const response = await gateway.fetch('/', { headers: { apikey: 'k' } });
    assert.deepEqual(await response.json(), { token: 't0k', region: 'north', consumer: 'jack' });
  });

  it('the upstream answers as the test says, piece by piece too', async () => {
    await using gateway = await startPlugin(
      stamp,
      { value: 'one' },
      { upstream: ({ url }) => ({ status: 201, headers: { 'X-Path': url }, body: { url } }) },
    );
    const response = await gateway.fetch('/a');
    assert.equal(response.status, 201);
    assert.equal(response.headers.get('x-path'), '/a');
    assert.deepEqual(await response.json(), { url: '/a' });
    gateway.upstream.answer = () => ({
      body: (async function* () {
        yield 'one ';
        yield 'two';
      })(),
    });
    assert.equal(await (await gateway.fetch('/b')).text(), 'one two');
  });

  it('disposes of every state: of a configuration that was changed, and of the last one at the end', async () => {
    const disposed: string[] = [];
    const tells = definePlugin({
      name: 'tells',
      priority: 10,
      schema: { type: 'object', properties: { of: { type: 'string' } }, required: ['of'] },
      compile: ({ of }) => of,
      dispose: (of) => void disposed.push(of),
      access: (of) => ({ status: 200, body: of }),
    });
    {
      await using gateway = await startPlugin(tells, { of: 'first' });
      disposed.length = 0; // a configuration that is checked is compiled, too
      await gateway.fetch('/');
      gateway.configure({ of: 'second' });
      await gateway.fetch('/');
      assert.ok(disposed.includes('first'));
      disposed.length = 0;
    }
    assert.deepEqual(disposed, ['second']);
  });

  it('a server of its own stands in for a service that the plugin asks', async () => {
    await using service = await startServer(() => ({ body: { allowed: true } }));
    const ask = definePlugin({
      name: 'ask',
      priority: 10,
      schema: { type: 'object', properties: { url: { type: 'string' } }, required: ['url'] },
      compile: ({ url }, { http }) => ({ url, client: http.client() }),
      dispose: ({ client }) => {
        client.close();
      },
      access: async ({ url, client }) => {
        const { allowed } = (await client.request({ url })).json() as { allowed: boolean };
        return allowed ? undefined : { status: 403 };
      },
    });
    await using gateway = await startPlugin(ask, { url: `${service.url}/may` });
    assert.equal((await gateway.fetch('/')).status, 200);
    assert.equal(service.last.url, '/may');
  });
});

describe('TestExchange', () => {
  it('bounds a body, and reads it as JSON, as the gateway does', async () => {
    const exchange = new TestExchange({ method: 'POST', body: '{"a":1}' });
    assert.deepEqual(await exchange.json(7), { a: 1 });
    await assert.rejects(exchange.json(6), { code: 'REQUEST_BODY_TOO_LARGE' });
    await assert.rejects(exchange.body(6), { code: 'REQUEST_BODY_TOO_LARGE' });
    await assert.rejects(new TestExchange({ body: '{"a":1,"a":2}' }).json(20), { code: 'REQUEST_MALFORMED' });
  });
});
