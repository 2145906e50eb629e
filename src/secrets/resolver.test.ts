import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { ConfigError } from '../errors/gateway-error.ts';
import type { PluginRegistry } from '../resources/plugin-check.ts';
import { startManager, type TestManager } from './manager.fixture.ts';
import { SecretResolver } from './resolver.ts';
import { Secrets } from './secrets.ts';

const plugins = new Map(
  [
    {
      name: 'picky',
      priority: 1,
      schema: { properties: { token: { type: 'string', minLength: 3, maxLength: 8 } } },
      compile: ({ token }: Record<string, unknown>) => {
        if (token === 'refused') throw new ConfigError('token refused is refused');
        return undefined;
      },
    },
  ].map((plugin) => [plugin.name, plugin]),
);
const registry: PluginRegistry = { get: (name) => plugins.get(name), list: () => plugins.values() };

interface Kit {
  readonly resolver: SecretResolver;
  readonly secrets: Secrets;
  readonly manager: TestManager;
  readonly logged: string[];
  /** The plugins of a route after it has gone through. */
  through(route: object): Promise<unknown>;
}

async function kit(t: TestContext): Promise<Kit> {
  const manager = await startManager(t);
  const logged: string[] = [];
  const write = (message: string, fields?: Record<string, unknown>): void => {
    logged.push(`${message} ${JSON.stringify(fields)}`);
  };
  const log = { error: write, warn: write, info: write };
  const secrets = new Secrets({ env: { TOKEN: 'from env', LONG: 'much too long', REFUSED: 'refused' }, log });
  t.after(() => {
    secrets.dispose();
  });
  const resolver = new SecretResolver(secrets, registry, log);
  return {
    resolver,
    secrets,
    manager,
    logged,
    async through(route) {
      const value = JSON.stringify({ uri: '/', upstream: { nodes: { '127.0.0.1:1': 1 } }, ...route });
      const [change] = await resolver.resolve([{ key: 'routes/1', value }]);
      return (JSON.parse(change?.value ?? '') as { plugins: unknown }).plugins;
    },
  };
}

test('values stand where the references stood, and only there', async (t) => {
  const { through } = await kit(t);
  assert.deepEqual(await through({ plugins: { picky: { token: '$env://TOKEN' } } }), { picky: { token: 'from env' } });
  const untouched = { plugins: { picky: { token: 'x $env://TOKEN'.slice(0, 8) } }, desc: '$env://TOKEN' };
  assert.deepEqual(await through(untouched), untouched.plugins);
});

test('a change without references goes through as the very same text, at once', async (t) => {
  const { resolver } = await kit(t);
  const changes = [
    { key: 'routes/1', value: '{"uri":"/"}' },
    { key: 'routes/2', value: undefined },
  ];
  assert.deepEqual(resolver.resolve(changes), changes);
});

for (const variable of ['LONG', 'REFUSED']) {
  test(`a value that its field refuses stays unresolved, and is not logged (${variable})`, async (t) => {
    const { through, logged } = await kit(t);
    assert.deepEqual(await through({ plugins: { picky: { token: `$env://${variable}` } } }), {
      picky: { token: `$env://${variable}` },
    });
    assert.match(logged.join('\n'), /a value that its field does not allow/);
    assert.doesNotMatch(logged.join('\n'), /much too long|refused is refused/);
  });
}

test('a value is not itself taken for a reference', async (t) => {
  const { resolver, manager, through } = await kit(t);
  await resolver.resolve([
    { key: 'secrets/vault/1', value: JSON.stringify({ uri: manager.url, prefix: 'p', token: manager.token }) },
  ]);
  manager.kv1.set('p/jack', { token: '$env://A' });
  const plugins = (await through({ plugins: { picky: { token: '$secret://vault/1/jack/token' } } })) as {
    picky: { token: string };
  };
  assert.equal(plugins.picky.token, '$env://A');
});

test('what refers to a changed secret comes again; what no longer refers does not', async (t) => {
  const { resolver, secrets, manager, through } = await kit(t);
  await resolver.resolve([
    { key: 'secrets/vault/1', value: JSON.stringify({ uri: manager.url, prefix: 'p', token: manager.token }) },
  ]);
  const sent: string[] = [];
  secrets.onChange((keys) => {
    for (const { value } of resolver.again(keys)) sent.push(value ?? '');
  });
  manager.kv1.set('p/jack', { token: 'one' });
  const route = { plugins: { picky: { token: '$secret://vault/1/jack/token' } } };
  assert.deepEqual(await through(route), { picky: { token: 'one' } });
  sent.length = 0;
  manager.kv1.set('p/jack', { token: 'two' });
  await secrets.refreshDue(Infinity);
  assert.equal(sent.length, 1);
  assert.match(sent[0] ?? '', /"token":"two"/);
  await through({ plugins: { picky: { token: 'plain' } } });
  manager.kv1.set('p/jack', { token: 'three' });
  await secrets.refreshDue(Infinity);
  assert.equal(sent.length, 1);
});
