import assert from 'node:assert/strict';
import { test } from 'node:test';
import { certificate, certificateKey } from '../resources/certificate.fixture.ts';
import { startAdmin, viewerKey } from './admin.fixture.ts';

const mask = '********';
const key = 'a-key-nobody-shall-see';
const consumer = { username: 'jack', plugins: { 'key-auth': { key } } };

test('secrets are masked in every answer, for every role', async (t) => {
  const admin = startAdmin(t);
  const viewer = { 'x-api-key': viewerKey };
  const answers = [
    await admin.done('PUT', '/consumers', consumer),
    await admin.done('PUT', '/consumers/jack/credentials/c', {
      plugins: { 'basic-auth': { username: 'j', password: `${key}2` } },
    }),
    await admin.done('GET', '/consumers/jack'),
    await admin.done('GET', '/consumers'),
    await admin.done('GET', '/consumers/jack', undefined, viewer),
    await admin.done('GET', '/consumers/jack/credentials', undefined, viewer),
    await admin.done('PUT', '/secrets/vault/1', { uri: 'http://127.0.0.1:1', prefix: 'p', token: `${key}3` }),
    await admin.done('PUT', '/secrets/gcp/1', {
      auth_config: { client_email: 'a@b', private_key: certificateKey, project_id: 'p' },
    }),
    await admin.done('GET', '/secrets'),
    await admin.done('PUT', '/ssls/1', { sni: 'gatewright.test', cert: certificate, key: certificateKey }),
    await admin.done('GET', '/ssls/1'),
  ];
  const text = JSON.stringify(answers.map(({ body }) => body as unknown));
  assert.ok(!text.includes(key));
  assert.ok(!text.includes('PRIVATE KEY'));
  assert.equal(answers[2]?.body.value.plugins['key-auth'].key, mask);
  assert.equal(answers[10]?.body.value.key, mask);
});

test('a key with the role admin gets them by asking, a viewer does not', async (t) => {
  const admin = startAdmin(t);
  await admin.done('PUT', '/consumers', consumer);
  for (const path of ['/consumers/jack', '/consumers']) {
    const { body } = await admin.done('GET', `${path}?show_secrets=true`);
    assert.ok(JSON.stringify(body).includes(key), path);
    const refused = await admin.call('GET', `${path}?show_secrets=true`, undefined, { 'x-api-key': viewerKey });
    assert.equal(refused.status, 403, path);
    assert.deepEqual(refused.body, { error_msg: 'show_secrets needs a key with the role admin' });
  }
});

test('what was read can be edited and put back: a mask keeps the stored secret', async (t) => {
  const admin = startAdmin(t);
  await admin.done('PUT', '/consumers', consumer);
  await admin.done('PUT', '/ssls/1', { sni: 'gatewright.test', cert: certificate, key: certificateKey });
  for (const path of ['/consumers/jack', '/ssls/1']) {
    const { value } = (await admin.done('GET', path)).body as { value: Record<string, unknown> };
    await admin.done('PUT', path, { ...value, labels: { edited: 'yes' } });
  }
  await admin.done('PATCH', '/ssls/1', { status: 0, key: mask });
  const stored = async (name: string): Promise<unknown> =>
    JSON.parse((await admin.store.get(name))?.value ?? '') as unknown;
  const jack = (await stored('consumers/jack')) as { plugins: unknown; labels: unknown };
  assert.deepEqual([jack.plugins, jack.labels], [consumer.plugins, { edited: 'yes' }]);
  assert.equal(((await stored('ssls/1')) as { key: string }).key, certificateKey);
});

test('a mask where nothing is stored is refused', async (t) => {
  const admin = startAdmin(t);
  const masked = { username: 'jill', plugins: { 'key-auth': { key: mask } } };
  const expected = 'invalid configuration: plugins.key-auth.key is masked, and nothing is stored there to keep';
  assert.equal((await admin.call('PUT', '/consumers', masked)).body.error_msg, expected);
  await admin.done('PUT', '/consumers', {
    username: 'jill',
    plugins: { 'basic-auth': { username: 'j', password: 'p' } },
  });
  assert.equal((await admin.call('PUT', '/consumers', masked)).body.error_msg, expected);
});

test('a reference is shown: it says where the secret is', async (t) => {
  const admin = startAdmin(t);
  await admin.done('PUT', '/consumers', {
    username: 'jack',
    plugins: { 'key-auth': { key: '$secret://vault/1/jack/key' } },
  });
  const { body } = await admin.done('GET', '/consumers/jack');
  assert.equal(body.value.plugins['key-auth'].key, '$secret://vault/1/jack/key');
});

test('of a plugin that is not enabled any more every text is masked, for nobody knows which is a secret', async (t) => {
  const admin = startAdmin(t);
  const config = { endpoints: [{ token: key, port: 7 }], from: '$env://TOKEN' };
  await admin.store.commit([
    { type: 'put', key: 'routes/1', value: JSON.stringify({ uri: '/', plugins: { gone: config } }) },
    { type: 'put', key: 'plugin_metadata/gone', value: JSON.stringify({ token: key }) },
  ]);
  await admin.store.commit([{ type: 'delete', key: 'routes/1' }]);
  for (const path of ['/plugin_metadata/gone', '/history/1', '/history/2', '/history'])
    assert.ok(!JSON.stringify((await admin.done('GET', path)).body).includes(key), path);
  const { body } = await admin.done('GET', '/history/2');
  assert.deepEqual(body.list[0].before.plugins.gone, { endpoints: [{ token: mask, port: 7 }], from: '$env://TOKEN' });
});
