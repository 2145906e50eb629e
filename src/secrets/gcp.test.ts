import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { startManager, type TestManager } from './manager.fixture.ts';
import { Secrets } from './secrets.ts';

const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const pem = privateKey.export({ type: 'pkcs8', format: 'pem' });

async function kit(t: TestContext, env: Record<string, string> = {}) {
  const manager = await startManager(t);
  manager.gcpAccount = publicKey;
  manager.gcp.set('projects/apisix/secrets/jack', '{"key":"from google"}');
  const logged: string[] = [];
  const write = (message: string, fields?: object): void => void logged.push(`${message} ${JSON.stringify(fields)}`);
  const secrets = new Secrets({ env, log: { error: write, warn: write, info: write } });
  t.after(() => {
    secrets.dispose();
  });
  const look = async (reference: string): Promise<string | undefined> => {
    secrets.use('consumers/jack', [reference]);
    await secrets.ready(['consumers/jack']);
    return secrets.value(reference);
  };
  return { manager, secrets, logged, look };
}

const accountAt = ({ url }: TestManager, fields: object = {}): object => ({
  client_email: 'gateway@apisix.iam.gserviceaccount.com',
  private_key: pem,
  project_id: 'apisix',
  token_uri: `${url}/token`,
  entries_uri: `${url}/v1`,
  ...fields,
});

test('a service account signs for a token and reads the latest version', async (t) => {
  const { manager, secrets, look, logged } = await kit(t);
  secrets.setManager('gcp/1', { auth_config: accountAt(manager) });
  assert.equal(await look('$secret://gcp/1/jack/key'), 'from google');
  assert.equal(manager.requests.at(-1)?.path, '/v1/projects/apisix/secrets/jack/versions/latest:access');
  assert.deepEqual(logged, []);
});

test('the account may stand in a file, and its key in the environment', async (t) => {
  const { manager, secrets, look } = await kit(t, { GCP_KEY: pem });
  const directory = await mkdtemp(join(tmpdir(), 'gatewright-gcp-'));
  t.after(() => rm(directory, { recursive: true }));
  const file = join(directory, 'account.json');
  await writeFile(file, JSON.stringify(accountAt(manager)));
  secrets.setManager('gcp/file', { auth_file: file });
  assert.equal(await look('$secret://gcp/file/jack/key'), 'from google');
  secrets.setManager('gcp/env', { auth_config: accountAt(manager, { private_key: '$env://GCP_KEY' }) });
  assert.equal(await look('$secret://gcp/env/jack/key'), 'from google');
});

test('what cannot be read stays unresolved, and the log says why without the key', async (t) => {
  const { manager, secrets, look, logged } = await kit(t);
  const other = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' });
  manager.gcp.set('projects/apisix/secrets/text', 'no json');
  secrets.setManager('gcp/1', { auth_config: accountAt(manager) });
  secrets.setManager('gcp/forged', { auth_config: accountAt(manager, { private_key: other }) });
  secrets.setManager('gcp/broken', { auth_config: accountAt(manager, { private_key: 'no key' }) });
  secrets.setManager('gcp/nofile', { auth_file: '/nonexistent/account.json' });
  for (const reference of [
    '1/nobody/key',
    '1/text/key',
    '1/jack/other',
    'forged/jack/key',
    'broken/jack/key',
    'nofile/jack/key',
  ]) {
    assert.equal(await look(`$secret://gcp/${reference}`), undefined, reference);
  }
  const text = logged.join('\n');
  for (const why of ['invalid_grant', 'private_key of the gcp account is none', 'account.json cannot be read']) {
    assert.ok(text.includes(why), `${why} in ${text}`);
  }
  assert.doesNotMatch(text, /BEGIN|hvs\./);
});
