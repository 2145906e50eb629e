import assert from 'node:assert/strict';
import { test } from 'node:test';
import { definePlugin } from '../../plugin/plugin.ts';
import { compilePlugin, TestExchange } from '../../plugin/testing/index.ts';
import { publicApi } from './index.ts';

const clock = definePlugin<object, undefined>({
  name: 'clock',
  priority: 1,
  schema: { type: 'object' },
  apis: [
    { methods: ['GET'], uri: '/apisix/plugin/clock', handler: () => ({ status: 200, body: 'noon' }) },
    {
      methods: ['PUT', 'POST'],
      uri: '/apisix/plugin/clock',
      handler: async (exchange, { scope }) => ({ status: 202, body: `${exchange.method} ${scope}` }),
    },
  ],
  compile: () => undefined,
});

async function call(config: object, init: ConstructorParameters<typeof TestExchange>[0], enabled = [clock]) {
  const { state } = compilePlugin(publicApi, config, { others: enabled.map((plugin) => ({ plugin })) });
  return await publicApi.access?.(state, new TestExchange(init));
}

test("serves the API at the route's own path, with any query", async () => {
  assert.deepEqual(await call({}, { target: '/apisix/plugin/clock?zone=utc' }), { status: 200, body: 'noon' });
});

test('serves the API of `uri` whatever the path', async () => {
  assert.deepEqual(await call({ uri: '/apisix/plugin/clock' }, { target: '/time' }), { status: 200, body: 'noon' });
});

test('several methods of one path are told apart, and each API is given what its own plugin is given', async () => {
  const reply = await call({ uri: '/apisix/plugin/clock' }, { target: '/time', method: 'PUT' });
  assert.deepEqual(reply, { status: 202, body: 'PUT route#1' });
});

test('an unknown path, another method and a plugin that is not enabled are 404', async () => {
  for (const reply of [
    await call({}, { target: '/elsewhere' }),
    await call({ uri: '/elsewhere' }, { target: '/apisix/plugin/clock' }),
    await call({}, { target: '/apisix/plugin/clock', method: 'DELETE' }),
    await call({}, { target: '/apisix/plugin/clock' }, []),
  ]) {
    assert.equal(reply?.status, 404);
    assert.deepEqual(reply.body, { error_msg: '404 Route Not Found' });
  }
});
