/** Secrets of every kind of configuration, looked for in everything that the gateway says: answers, history, explain, metrics, log. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { createCertificate } from '../certificates.ts';
import { type Gateway, startGateway } from '../gateway.ts';
import { request } from '../request.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';

const pluginFile = `
import { definePlugin, httpClientSchema, httpClientSecretFields, pickHttpClientOptions } from 'gatewright/plugin';
export default definePlugin({
  name: 'keeps',
  priority: 400,
  schema: {
    type: 'object',
    properties: {
      token: { type: 'string', maxLength: 200 },
      deep: { type: 'object', properties: { tokens: { type: 'array', items: { type: 'string' } } } },
      written: { type: 'object', properties: { only: { type: 'string', writeOnly: true, maxLength: 200 } } },
      ...httpClientSchema,
    },
    encrypt_fields: ['token', 'deep.tokens', ...httpClientSecretFields],
  },
  metadataSchema: { type: 'object', properties: { password: { type: 'string' } }, encrypt_fields: ['password'] },
  compile: (config, deps) => deps.http.client(pickHttpClientOptions(config, ['token', 'deep', 'written'])),
  dispose: (client) => client.close(),
  async access(client) { await client.request({ url: 'https://127.0.0.1:1/' }); },
});
`;

describe('what was configured as a secret', { timeout: 120_000 }, () => {
  /** Each is somewhere in the configuration; PEM keys by the lines that differ. */
  const secrets = new Map<string, string>();
  const secret = (what: string): string => {
    const text = `hidden-${randomBytes(13).toString('hex').slice(1)}`;
    secrets.set(what, text);
    return text;
  };
  /** Everything that was said. */
  const said: { where: string; text: string }[] = [];
  let gateway: Gateway;
  let upstream: TestUpstream;
  let callerKey: string;
  let certificate: string;

  const call = async (method: string, path: string, body?: unknown): Promise<number> => {
    const answer = await gateway.admin(method, path, body);
    said.push({ where: `${method} ${path}`, text: JSON.stringify(answer.body) });
    return answer.status;
  };
  const put = async (path: string, body: object): Promise<void> => {
    const status = await call('PUT', path, body);
    assert.ok(status < 300, said.at(-1)?.text ?? '');
  };

  before(async () => {
    upstream = await startUpstream();
    gateway = await startGateway({
      settings: { plugin_dirs: ['plugins'], nginx_config: { error_log_level: 'debug' } },
      files: { 'plugins/keeps.ts': pluginFile },
    });
    const { cert, key } = await createCertificate('client.test');
    for (const line of key.split('\n').filter((text) => text !== '' && !text.startsWith('-')))
      // PKCS #8 begins alike for all keys of a curve.
      if (!line.startsWith('MI')) secrets.set(`line ${String(secrets.size)} of the private key`, line);
    certificate = cert;
    const client = { ssl_cert: cert, ssl_key: key };
    const node = { type: 'roundrobin', nodes: { [upstream.node]: 1 } };
    const verification = { cache_time: 0, endpoint_timeout: 1, is_send_body: false };
    const named = { func_name: 'f', func_namespace: 'n', func_qualifier: '1' };
    const dead = 'http://127.0.0.1:1';
    const tencent = {
      ...verification,
      ...named,
      function: {
        type: 'tencent-scf',
        region: 'r',
        endpoint: dead,
        secret_id: 'AKID',
        secret_key: secret('custom-auth secret_key'),
        token: secret('custom-auth token'),
      },
    };
    const plugins: Record<string, object> = {
      tencent: { 'custom-auth': tencent },
      aws: {
        'custom-auth': {
          ...verification,
          ...named,
          function: {
            type: 'aws-lambda',
            region: 'r',
            endpoint: dead,
            access_key_id: 'AKIA',
            secret_access_key: secret('custom-auth secret_access_key'),
            session_token: secret('custom-auth session_token'),
          },
        },
      },
      http: {
        'custom-auth': {
          ...verification,
          function: {
            type: 'http',
            uri: 'https://127.0.0.1:1/',
            headers: { Authorization: secret('custom-auth headers') },
            ...client,
          },
        },
      },
      forward: { 'forward-auth': { uri: 'https://127.0.0.1:1/', ...client } },
      opa: { opa: { host: 'https://127.0.0.1:1', policy: 'p', ...client } },
      logged: { 'http-logger': { uri: `${dead}/`, auth_header: secret('http-logger auth_header') } },
      limited: {
        'limit-count': {
          count: 1,
          time_window: 60,
          policy: 'redis',
          redis_host: '127.0.0.1',
          redis_port: 1,
          redis_password: secret('limit-count redis_password'),
        },
      },
      csrf: { csrf: { key: secret('csrf key') } },
      file: {
        keeps: {
          token: secret('a plugin file’s token'),
          deep: { tokens: [secret('a plugin file’s list')] },
          written: { only: secret('a plugin file’s writeOnly') },
          ...client,
        },
      },
      multi: { 'multi-auth': { auth_plugins: [{ 'key-auth': {} }, { 'custom-auth': tencent }] } },
      keyed: { 'key-auth': {} },
    };
    callerKey = secret('key-auth key');
    for (const [id, config] of Object.entries(plugins))
      await put(`/routes/${id}`, { uri: `/${id}`, plugins: config, upstream: node });
    await put('/services/1', { plugins: plugins['csrf'], upstream: node });
    await put('/plugin_configs/1', { plugins: plugins['csrf'] });
    await put('/consumer_groups/1', { plugins: plugins['csrf'] });
    await put('/global_rules/1', { plugins: { csrf: { key: secret('csrf key of a global rule') } } });
    await put('/plugin_metadata/keeps', { password: secret('a plugin file’s metadata') });
    await put('/upstreams/1', { ...node, scheme: 'https', tls: { client_cert: cert, client_key: key } });
    await put('/ssls/1', { cert, key, snis: ['client.test'] });
    await put('/consumers', {
      username: 'jack',
      plugins: {
        'key-auth': { key: callerKey },
        'basic-auth': { username: 'jack', password: secret('basic-auth password') },
        'jwt-auth': { key: 'jack', secret: secret('jwt-auth secret') },
        'hmac-auth': { key_id: 'jack', secret_key: secret('hmac-auth secret_key') },
        'jwe-decrypt': { key: 'jack', secret: secret('jwe-decrypt secret') },
      },
    });
    await put('/consumers/jack/credentials/c', { plugins: { 'key-auth': { key: secret('a credential’s key') } } });
    await put('/secrets/vault/1', { uri: dead, prefix: 'p', token: secret('vault token') });
    await put('/secrets/aws/1', {
      region: 'r',
      access_key_id: 'AKIA',
      secret_access_key: secret('aws secret_access_key'),
      endpoint_url: dead,
    });
    await put('/secrets/gcp/1', { auth_config: { client_email: 'a@b', private_key: key, project_id: 'p' } });
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
  });

  const kinds =
    'routes services upstreams consumers consumers/jack/credentials consumer_groups plugin_configs global_rules plugin_metadata ssls secrets'.split(
      ' ',
    );
  const found = (): string[] =>
    said.flatMap(({ where, text }) =>
      [...secrets].flatMap(([what, value]) => (text.includes(value) ? [`${what} in ${where}`] : [])),
    );

  it('is in no answer of the Admin API', async () => {
    const paths: string[] = [];
    for (const kind of kinds) {
      paths.push(`/${kind}`);
      const { body } = await gateway.admin('GET', `/${kind}`);
      for (const { key } of (body['list'] ?? []) as { key: string }[]) paths.push(key.slice('/apisix'.length));
    }
    assert.ok(paths.length > 30, String(paths.length));
    for (const path of paths) assert.equal(await call('GET', path), 200, path);
    await call('PATCH', '/routes/tencent', { desc: 'changed' });
    await call('PATCH', '/consumers/jack', { desc: 'changed' });
    assert.deepEqual(found(), []);
  });

  it('is not repeated in a refusal', async () => {
    const long = secret('what does not fit').repeat(10);
    const configs: object[] = [
      { keeps: { token: long } },
      { keeps: { token: 7, written: { only: long } } },
      { csrf: { key: [long] } },
      { 'http-logger': { uri: 'http://a', auth_header: [long] } },
      {
        'custom-auth': {
          cache_time: 0,
          endpoint_timeout: 1,
          is_send_body: false,
          function: { type: 'http', ssl_key: long },
        },
      },
      { 'forward-auth': { uri: 'https://a', ssl_cert: certificate, ssl_key: `-----BEGIN PRIVATE KEY-----\n${long}` } },
      { opa: { host: 'https://a', policy: 'p', ssl_key: { pem: long } } },
    ];
    for (const plugins of configs) {
      assert.equal(await call('PUT', '/routes/refused', { uri: '/refused', plugins }), 400, JSON.stringify(plugins));
      await call('POST', '/schema/validate/routes', { uri: '/refused', plugins });
    }
    assert.equal(
      await call('PUT', '/consumers', { username: 'jill', plugins: { 'key-auth': { key: callerKey } } }),
      400,
    );
    assert.equal(
      await call('PUT', '/consumers', { username: 'jill', plugins: { 'basic-auth': { password: long } } }),
      400,
    );
    assert.deepEqual(found(), []);
  });

  it('is neither in the history nor in the answer of a rollback', async () => {
    const { headers, body } = await gateway.admin('GET', '/history?page_size=500');
    assert.ok(headers.get('content-type')?.includes('json'));
    said.push({ where: 'history', text: JSON.stringify(body) });
    const revisions = new Set((body['list'] as { revision: number }[]).map(({ revision }) => revision));
    assert.ok(revisions.size > 20);
    for (const revision of revisions) assert.equal(await call('GET', `/history/${String(revision)}`), 200);
    const newest = Math.max(...revisions);
    await call('DELETE', '/routes/tencent');
    await call('DELETE', '/routes/multi');
    await call('DELETE', '/routes/file');
    await call('DELETE', '/secrets/gcp/1');
    assert.equal(
      await call('POST', `/history/${String(newest)}/rollback`, { dry_run: true }),
      200,
      said.at(-1)?.text ?? '',
    );
    assert.equal(await call('POST', `/history/${String(newest)}/rollback`, {}), 200, said.at(-1)?.text ?? '');
    assert.deepEqual(found(), []);
  });

  it('is in no answer of the control API, of explain, or of the metrics', async () => {
    const control = `http://127.0.0.1:${String(gateway.ports.control)}/v1`;
    const paths = [
      'routes',
      'services',
      'upstreams',
      'plugin_metadatas',
      'plugin_metadata/keeps',
      'route/tencent',
      'schema',
    ];
    for (const path of paths) {
      const response = await fetch(`${control}/${path}`);
      assert.equal(response.status, 200, path);
      said.push({ where: `control ${path}`, text: await response.text() });
    }
    for (const id of ['tencent', 'aws', 'http', 'forward', 'opa', 'csrf', 'limited', 'file', 'multi', 'keyed']) {
      const response = await fetch(`${control}/explain`, {
        method: 'POST',
        body: JSON.stringify({
          method: 'GET',
          url: `http://a/${id}?apikey=${callerKey}`,
          headers: [['apikey', callerKey]],
        }),
      });
      assert.equal(response.status, 200);
      said.push({ where: `explain ${id}`, text: await response.text() });
    }
    const metrics = await fetch(`http://127.0.0.1:${String(gateway.ports.metrics)}/apisix/prometheus/metrics`);
    said.push({ where: 'metrics', text: await metrics.text() });
    assert.deepEqual(found(), []);
  });

  it('is neither in the log, at debug level, nor in what a client reads, also where everything that is asked is away', async () => {
    for (const id of [
      'tencent',
      'aws',
      'http',
      'forward',
      'opa',
      'csrf',
      'limited',
      'file',
      'multi',
      'keyed',
      'logged',
    ]) {
      for (const headers of [{}, { apikey: callerKey }, { Authorization: 'Bearer a.b.c' }]) {
        const { status, body, headers: fields } = await request(gateway, `/${id}`, headers);
        said.push({ where: `${id} ${String(status)}`, text: body + JSON.stringify(fields) });
      }
    }
    said.push({ where: 'log', text: gateway.output() });
    assert.ok(gateway.output().includes('custom-auth.unavailable'));
    assert.deepEqual(found(), []);
  });

  it('is what these tests look for: it is shown to an admin who asks for it', async () => {
    const shown: string[] = [];
    for (const kind of kinds)
      shown.push(JSON.stringify((await gateway.admin('GET', `/${kind}?show_secrets=true`)).body));
    const all = shown.join('');
    const stored = [...secrets].filter(([what]) => !what.includes('does not fit'));
    assert.deepEqual(
      stored.filter(([, value]) => !all.includes(value)),
      [],
    );
  });
});
