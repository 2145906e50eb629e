/** A plugin file that authenticates: whose credential is whose follows the version that serves, when it is asked and when it is written. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Gateway, startGateway } from '../gateway.ts';
import { request } from '../request.ts';
import { put, reloadPlugins } from '../resources.ts';

/** Finds a consumer by `key`, an expression of the token that it carries or shows. */
const badge = (key: string): string => `
import { definePlugin } from 'gatewright/plugin';
const keyOf = (token: string): string => ${key};
export default definePlugin({
  name: 'badge', type: 'auth', priority: 2400, schema: { type: 'object' },
  consumerSchema: { type: 'object', properties: { token: { type: 'string' } }, required: ['token'] },
  credential: { compile: ({ token }) => ({ indexKey: keyOf(token), state: undefined }) },
  compile: (_config, deps) => deps.credentials,
  rewrite(credentials, exchange) {
    const found = credentials.find(keyOf(exchange.headers.get('badge') ?? ''));
    if (found === undefined) return { status: 401 };
    exchange.authenticate(found.consumer);
  },
  access: (_credentials, exchange) => ({ status: 200, body: exchange.consumer?.username ?? '' }),
});
`;
const exact = badge('token');
const folded = badge('token.toLowerCase()');

describe('a plugin file that authenticates', () => {
  let first: Gateway;
  let gateway: Gateway;
  before(async () => {
    first = gateway = await startGateway({
      settings: { plugin_dirs: ['plugins'] },
      files: { 'plugins/badge.ts': exact },
    });
    await put(gateway, '/routes/1', { uri: '/', plugins: { badge: {} } });
  });
  after(() => first[Symbol.asyncDispose]());

  const save = async (text: string): Promise<void> => {
    await writeFile(join(gateway.directory, 'plugins/badge.ts'), text);
    await reloadPlugins(gateway);
  };
  const carry = async (username: string, token: string): Promise<string> => {
    const consumer = { username, plugins: { badge: { token } } };
    const { status, body } = await gateway.admin('PUT', '/consumers', consumer);
    return status < 300 ? 'written' : String(body['error_msg']);
  };
  const shown = async (token: string): Promise<string> => {
    const { status, body } = await request(gateway, '/', { Badge: token });
    return status === 200 ? body : String(status);
  };

  it('a token belongs to one consumer', async () => {
    assert.equal(await carry('ann', 'Red'), 'written');
    assert.equal(await carry('bob', 'Red'), 'duplicate key found with consumer: ann');
    assert.equal(await shown('Red'), 'ann');
    assert.equal(await shown('red'), '401');
  });

  it('after a swap that finds it by another key, that key is taken, in a write and in a request', async () => {
    await save(folded);
    assert.equal(await shown('RED'), 'ann');
    assert.equal(await carry('bob', 'RED'), 'duplicate key found with consumer: ann');
    assert.equal(await carry('ann', 'rED'), 'written');
    const credential = { plugins: { badge: { token: 'RED' } } };
    assert.equal((await gateway.admin('PUT', '/consumers/ann/credentials/1', credential)).status, 400);
  });

  it('and the key of the version before is free again', async () => {
    await save(exact);
    assert.equal(await carry('bob', 'red'), 'written');
    assert.deepEqual([await shown('rED'), await shown('red'), await shown('Red')], ['ann', 'bob', '401']);
  });

  it('a version by which two consumers would have one key is not used', async () => {
    await save(folded);
    assert.match(
      gateway.output(),
      /plugin file cannot be used .*badge\.ts reason="what is stored does not fit it: consumers\/bob: it would have the same key as consumers\/ann"/,
    );
    assert.deepEqual([await shown('rED'), await shown('red')], ['ann', 'bob']);
  });

  it('what was stored while no version could be used is known once one can', async () => {
    const { directory, ports } = first;
    await first.stop();
    await writeFile(join(directory, 'plugins/badge.ts'), 'export default {};');
    await using again = await startGateway({ directory, ports, settings: { plugin_dirs: ['plugins'] } });
    gateway = again;
    assert.equal(await shown('red'), '503');
    await save(exact);
    assert.equal(await shown('red'), 'bob');
    assert.equal(await carry('eve', 'red'), 'duplicate key found with consumer: bob');
  });
});
