import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { startManager, type TestManager } from './manager.fixture.ts';
import { parseReference } from './reference.ts';
import { Secrets, type SecretsOptions } from './secrets.ts';

interface Kit {
  readonly secrets: Secrets;
  readonly manager: TestManager;
  readonly logged: string[];
  /** Keys of the resources that had to be sent again, in order. */
  readonly changed: string[];
  /** Refers to `reference` and waits until it was asked for. */
  look(reference: string): Promise<string | undefined>;
}

async function kit(t: TestContext, options: Partial<SecretsOptions> = {}): Promise<Kit> {
  const manager = await startManager(t);
  const logged: string[] = [];
  const changed: string[] = [];
  const write = (message: string, fields?: Record<string, unknown>): void => {
    logged.push(`${message} ${JSON.stringify(fields)}`);
  };
  const secrets = new Secrets({ env: {}, log: { error: write, warn: write, info: write }, ...options });
  t.after(() => {
    secrets.dispose();
  });
  secrets.onChange((keys) => changed.push(...keys));
  secrets.setManager('vault/1', { uri: manager.url, prefix: 'apisix', token: manager.token });
  secrets.setManager('vault/kv2', { uri: manager.url, prefix: 'kv', token: manager.token, kv_version: 2 });
  return {
    secrets,
    manager,
    logged,
    changed,
    async look(reference) {
      secrets.use('consumers/jack', [reference]);
      await secrets.ready(['consumers/jack']);
      return secrets.value(reference);
    },
  };
}

const env = { KEY: 'abc', JACK: '{"auth-key":"from json","n":7,"empty":"","o":{}}', EMPTY: '', TEXT: 'no json' };

test('reads environment variables, and members of JSON objects in them, in either case', async (t) => {
  const { secrets, logged } = await kit(t, { env });
  assert.equal(secrets.value('$env://KEY'), 'abc');
  assert.equal(secrets.value('$ENV://KEY'), 'abc');
  assert.equal(secrets.value('$ENV://JACK/auth-key'), 'from json');
  assert.equal(secrets.value('$env://JACK/n'), '7');
  assert.deepEqual(logged, []);
});

for (const reference of [
  '$env://MISSING',
  '$env://EMPTY',
  '$env://JACK/nothing',
  '$env://JACK/empty',
  '$env://JACK/o',
  '$env://JACK/toString',
  '$env://TEXT/key',
  '$env://',
  '$secret://vault',
  '$secret://vault/1/only',
  '$secret://vault/1/../sys/seal/key',
  '$secret://gcp/1/name/key',
  '$secret://vault/none/name/key',
]) {
  test(`has no value for ${reference}, and says so once`, async (t) => {
    const { look, logged } = await kit(t, { env });
    assert.equal(await look(reference), undefined);
    assert.equal(await look(reference), undefined);
    const said = logged.filter((line) => line.includes('cannot be resolved'));
    assert.equal(said.length, 1);
    assert.ok(said[0]?.includes(reference));
    assert.ok(!logged.join('').includes('from json'));
  });
}

test('splits a reference at its last slash, as a path may have several', () => {
  assert.deepEqual(parseReference('$secret://vault/1/team/jack/auth-key'), {
    source: 'vault/1/team/jack',
    manager: 'vault/1',
    path: 'team/jack',
    key: 'auth-key',
  });
});

test("reads Vault's KV version 1 with the token and the namespace", async (t) => {
  const { secrets, manager, look } = await kit(t, { env: { TOKEN: 'hvs.test-token' } });
  secrets.setManager('vault/1', {
    uri: `${manager.url}/`,
    prefix: '/apisix/',
    token: '$ENV://TOKEN',
    namespace: 'ns1',
  });
  manager.kv1.set('apisix/team/jack', { 'auth-key': 'value' });
  assert.equal(await look('$secret://vault/1/team/jack/auth-key'), 'value');
  const [request] = manager.requests;
  assert.deepEqual([request?.method, request?.path], ['GET', '/v1/apisix/team/jack']);
  assert.equal(request?.headers['x-vault-token'], 'hvs.test-token');
  assert.equal(request.headers['x-vault-namespace'], 'ns1');
});

test("reads Vault's KV version 2, as configured and by its answer", async (t) => {
  const { secrets, manager, look } = await kit(t);
  manager.kv2.set('kv/data/jack', { password: 'second' });
  assert.equal(await look('$secret://vault/kv2/jack/password'), 'second');
  secrets.setManager('vault/seen', { uri: manager.url, prefix: 'kv/data', token: manager.token });
  assert.equal(await look('$secret://vault/seen/jack/password'), 'second');
  manager.kv2.set('kv/data/jack', null);
  await secrets.refreshDue(Infinity);
  assert.equal(secrets.value('$secret://vault/seen/jack/password'), undefined);
});

test('reads AWS Secrets Manager with a signed request', async (t) => {
  const { secrets, manager, look } = await kit(t);
  secrets.setManager('aws/1', {
    endpoint_url: manager.url,
    region: 'eu-west-1',
    access_key_id: 'AKIDEXAMPLE',
    secret_access_key: 'the-secret',
    session_token: 'the-token',
  });
  manager.aws.set('jack', '{"auth-key":"from aws"}');
  assert.equal(await look('$secret://aws/1/jack/auth-key'), 'from aws');
  const [request] = manager.requests;
  assert.deepEqual(JSON.parse(request?.body ?? ''), { SecretId: 'jack', VersionStage: 'AWSCURRENT' });
  assert.match(
    request?.headers.authorization ?? '',
    /\/eu-west-1\/secretsmanager\/aws4_request, SignedHeaders=content-type;host;/,
  );
  assert.equal(request?.headers['x-amz-security-token'], 'the-token');
  assert.ok(!JSON.stringify(request.headers).includes('the-secret'));
  manager.aws.delete('jack');
  await secrets.refreshDue(Infinity);
  assert.equal(secrets.value('$secret://aws/1/jack/auth-key'), undefined);
});

test('asks once for several members of one secret, and again only when it is due', async (t) => {
  const { secrets, manager } = await kit(t);
  manager.kv1.set('apisix/jack', { a: '1', b: '2' });
  secrets.use('routes/1', ['$secret://vault/1/jack/a', '$secret://vault/1/jack/b']);
  secrets.use('routes/2', ['$secret://vault/1/jack/b']);
  await secrets.ready(['routes/1', 'routes/2']);
  assert.equal(secrets.value('$secret://vault/1/jack/a'), '1');
  assert.equal(secrets.value('$secret://vault/1/jack/b'), '2');
  assert.equal(secrets.ready(['routes/1']), undefined, 'nothing to wait for');
  await secrets.refreshDue();
  assert.equal(manager.requests.length, 1);
  await secrets.refreshDue(performance.now() + 300_001);
  assert.equal(manager.requests.length, 2);
});

test('a changed value sends its resources again; an unchanged one does not', async (t) => {
  const { secrets, manager, changed, look } = await kit(t);
  manager.kv1.set('apisix/jack', { key: 'one' });
  await look('$secret://vault/1/jack/key');
  changed.length = 0;
  await secrets.refreshDue(Infinity);
  assert.deepEqual(changed, []);
  manager.kv1.set('apisix/jack', { key: 'two' });
  await secrets.refreshDue(Infinity);
  assert.deepEqual(changed, ['consumers/jack']);
  assert.equal(secrets.value('$secret://vault/1/jack/key'), 'two');
});

test('the last value stays while the manager cannot be asked, and goes when it says there is none', async (t) => {
  const { secrets, manager, logged, look } = await kit(t);
  manager.kv1.set('apisix/jack', { key: 'one' });
  const reference = '$secret://vault/1/jack/key';
  await look(reference);
  for (const status of [500, 503, 403, 307]) {
    manager.broken = status;
    await secrets.refreshDue(Infinity);
    assert.equal(secrets.value(reference), 'one', String(status));
  }
  assert.equal(logged.filter((line) => line.includes('the last values stay')).length, 1);
  manager.broken = undefined;
  manager.kv1.delete('apisix/jack');
  await secrets.refreshDue(Infinity);
  assert.equal(secrets.value(reference), undefined);
  manager.kv1.set('apisix/jack', { key: 'three' });
  await secrets.refreshDue(Infinity);
  assert.equal(secrets.value(reference), 'three');
  for (const value of ['one', 'three', manager.token]) assert.ok(!logged.join('\n').includes(value), value);
});

test('does not wait longer than asked for a manager that is slow, and sends its resources when it answers', async (t) => {
  const { secrets, manager, changed } = await kit(t, { waitMs: 20 });
  let open = (): void => undefined;
  manager.gate = new Promise((resolve) => (open = resolve));
  manager.kv1.set('apisix/jack', { key: 'late' });
  const reference = '$secret://vault/1/jack/key';
  secrets.use('consumers/jack', [reference]);
  await secrets.ready(['consumers/jack']);
  assert.equal(secrets.value(reference), undefined);
  const arrived = new Promise<void>((resolve) => {
    secrets.onChange((keys) => {
      changed.push(...keys);
      resolve();
    });
  });
  open();
  await arrived;
  assert.equal(secrets.value(reference), 'late');
  assert.deepEqual(changed, ['consumers/jack']);
});

test('nobody waits for a manager that is known to be away', async (t) => {
  const { secrets } = await kit(t);
  secrets.setManager('vault/1', { uri: 'http://127.0.0.1:1', prefix: 'a', token: 't' });
  secrets.use('routes/1', ['$secret://vault/1/one/key']);
  await secrets.ready(['routes/1']);
  secrets.use('routes/2', ['$secret://vault/1/two/key']);
  assert.equal(secrets.ready(['routes/2']), undefined);
});

test('a changed manager is asked anew; what nobody refers to is forgotten', async (t) => {
  const { secrets, manager, look } = await kit(t);
  manager.kv1.set('apisix/jack', { key: 'one' });
  manager.kv1.set('other/jack', { key: 'elsewhere' });
  const reference = '$secret://vault/1/jack/key';
  await look(reference);
  const again = new Promise<void>((resolve) => {
    secrets.onChange(() => {
      resolve();
    });
  });
  secrets.setManager('vault/1', { uri: manager.url, prefix: 'other', token: manager.token });
  await again;
  assert.equal(secrets.value(reference), 'elsewhere');
  secrets.use('consumers/jack', []);
  const before = manager.requests.length;
  await secrets.refreshDue(Infinity);
  assert.equal(manager.requests.length, before);
});
