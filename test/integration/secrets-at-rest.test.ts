/** Secrets where they are stored: encrypted fields on the disk, hashed passwords and keys, through real processes. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { createHashForm } from '../../src/plugin/password-hash.ts';
import { createFieldCipher } from '../../src/store/field-cipher.ts';
import { type Gateway, startGateway } from '../gateway.ts';
import { request } from '../request.ts';
import { startUpstream } from '../upstream.ts';

async function put(gateway: Gateway, resource: string, body: unknown): Promise<void> {
  const answer = await gateway.admin('PUT', resource, body);
  assert.ok(answer.status < 300, JSON.stringify(answer.body));
}

async function onDisk(directory: string): Promise<string> {
  const names = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile());
  return (await Promise.all(files.map((file) => readFile(path.join(file.parentPath, file.name), 'latin1')))).join('\n');
}

const basic = (credentials: string): Record<string, string> => ({
  Authorization: `Basic ${Buffer.from(credentials).toString('base64')}`,
});

test('with a keyring, secrets are on the disk in APISIX’s format, and survive a restart with a newer first key', async () => {
  const secret = 'secret-that-stays-off-the-disk';
  const keyring = ['0123456789abcdef'];
  const settings = (keys: string[]): object => ({
    apisix: { data_encryption: { enable_encrypt_fields: true, keyring: keys } },
  });
  await using upstream = await startUpstream((_, response) => response.end('ok'));
  const route = {
    uri: '/',
    plugins: { 'key-auth': {} },
    upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } },
  };
  await using outer = await startGateway({ settings: settings(keyring) as Record<string, unknown> });
  await put(outer, '/consumers', { username: 'jack', plugins: { 'key-auth': { key: secret } } });
  await put(outer, '/routes/1', route);
  assert.equal((await request(outer, '/', { apikey: secret })).status, 200);
  const shown = await outer.admin('GET', '/consumers/jack?show_secrets=true');
  assert.ok(JSON.stringify(shown.body).includes(secret));
  // A second owner is refused although the first one's key is stored encrypted.
  const second = await outer.admin('PUT', '/consumers', { username: 'eve', plugins: { 'key-auth': { key: secret } } });
  assert.equal(second.body['error_msg'], 'duplicate key found with consumer: jack');
  await outer.stop();
  const disk = await onDisk(path.join(outer.directory, 'data'));
  assert.ok(!disk.includes(secret));
  assert.ok(disk.includes(createFieldCipher(keyring).encrypt(secret)));

  await using again = await startGateway({
    directory: outer.directory,
    settings: settings(['fedcba9876543210', ...keyring]) as Record<string, unknown>,
  });
  assert.equal((await request(again, '/', { apikey: secret })).status, 200);
  assert.ok(!again.output().includes(secret));
});

test('hashed passwords and keys authenticate on every worker, and are never known to the store', async () => {
  await using upstream = await startUpstream((_, response) => response.end('ok'));
  await using gateway = await startGateway();
  const nodes = { type: 'roundrobin', nodes: { [upstream.node]: 1 } };
  await put(gateway, '/consumers', {
    username: 'jack',
    plugins: { 'basic-auth': { username: 'jack', password: await createHashForm('argon2id', 'hunter2-hunter2') } },
  });
  await put(gateway, '/consumers', {
    username: 'jill',
    plugins: { 'key-auth': { key: await createHashForm('scrypt', 'gw1.secret-of-jill', 'gw1') } },
  });
  await put(gateway, '/routes/basic', {
    uri: '/basic',
    plugins: { 'basic-auth': { lockout: { failures: 3, window: 60, duration: 60 } } },
    upstream: nodes,
  });
  await put(gateway, '/routes/key', { uri: '/key', plugins: { 'key-auth': {} }, upstream: nodes });
  for (let i = 0; i < 8; i++) {
    assert.equal((await request(gateway, '/basic', basic('jack:hunter2-hunter2'))).status, 200);
    assert.equal((await request(gateway, '/key', { apikey: 'gw1.secret-of-jill' })).status, 200);
  }
  assert.equal((await request(gateway, '/key', { apikey: 'gw1.secret-of-jilL' })).status, 401);
  const statuses = [];
  for (let i = 0; i < 5; i++)
    statuses.push((await request(gateway, '/basic', basic(`jack:wrong-${String(i)}`))).status);
  assert.deepEqual(statuses, [401, 401, 401, 429, 429], 'failures count together on all workers');
  const malformed = await gateway.admin('PUT', '/consumers', {
    username: 'joe',
    plugins: { 'basic-auth': { username: 'joe', password: '$hash://scrypt$ln=30,r=8,p=1$c29tZXNhbHRzYWx0$AAAA' } },
  });
  assert.equal(malformed.status, 400);
  assert.match(String(malformed.body['error_msg']), /malformed \$hash:\/\/ form: ln takes a number from 1 to 24/);
  const disk = await onDisk(path.join(gateway.directory, 'data'));
  for (const secret of ['hunter2-hunter2', 'secret-of-jill']) assert.ok(!disk.includes(secret), secret);
});
