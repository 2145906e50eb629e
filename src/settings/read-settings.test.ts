import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, test } from 'node:test';
import { readSettings } from './read-settings.ts';
import { SettingsError, type Settings } from './settings.ts';

const directory = mkdtempSync(join(tmpdir(), 'gatewright-settings-'));
const file = join(directory, 'config.yaml');
after(() => {
  rmSync(directory, { recursive: true });
});

function read(yaml: string, env: Record<string, string> = {}): { settings: Settings; warnings: string[] } {
  writeFileSync(file, yaml);
  return readSettings({ configFile: file, dataDir: directory, env });
}

/** The warnings without the file's name: `LINE: path: reason`. */
function warningsOf(yaml: string): string[] {
  return read(yaml).warnings.map((warning) => warning.slice(file.length + 1));
}

function refusal(yaml: string, env: Record<string, string> = {}): SettingsError {
  try {
    read(yaml, env);
  } catch (error) {
    assert.ok(error instanceof SettingsError);
    assert.equal(error.file, file);
    return error;
  }
  throw new assert.AssertionError({ message: 'the settings were accepted' });
}

test('a start without a file binds everything to loopback', () => {
  const { settings, warnings } = readSettings({ configFile: undefined, dataDir: undefined, env: {} });
  assert.deepEqual(warnings, []);
  assert.equal(settings.dataDir, resolve('data'));
  const addresses = [
    ...settings.listen,
    ...settings.tls.listen,
    settings.admin.listen,
    settings.control,
    settings.status,
    settings.prometheus.listen,
  ];
  assert.deepEqual(
    addresses.map((one) => `${one?.ip ?? ''}:${String(one?.port)}`),
    ['127.0.0.1:9080', '127.0.0.1:9443', '127.0.0.1:9180', '127.0.0.1:9090', '127.0.0.1:7085', '127.0.0.1:9091'],
  );
});

test('the settings can be handed to a worker', () => {
  const { settings } = read('plugins: [key-auth]\nplugin_attr: { redirect: { https_port: 8443 } }\n');
  assert.deepEqual(structuredClone(settings), settings);
});

test('a bare port in the file listens on all interfaces, an entry with an ip on that one', () => {
  const { settings } = read(
    'apisix:\n  node_listen:\n    - 9080\n    - ip: 127.0.0.2\n      port: 9081\n      enable_http2: false\n',
  );
  assert.deepEqual(settings.listen, [
    { ip: '0.0.0.0', port: 9080, http2: true, setting: 'apisix.node_listen[0]' },
    { ip: '127.0.0.2', port: 9081, http2: false, setting: 'apisix.node_listen[1]' },
  ]);
  assert.deepEqual(read('apisix: { node_listen: 80 }').settings.listen, [
    { ip: '0.0.0.0', port: 80, http2: true, setting: 'apisix.node_listen' },
  ]);
});

test('a wrong value names file, line, key and reason', () => {
  const error = refusal('apisix:\n  node_listen:\n    - 9080\n    - ip: 127.0.0.2\n      port: 70000\n');
  assert.equal(error.message, `${file}:5: apisix.node_listen[1].port: expected an integer 0..65535, got 70000`);
  assert.equal(error.line, 5);
  assert.equal(error.path, 'apisix.node_listen[1].port');
});

test('wrong values of honoured keys are refused', () => {
  const cases: [yaml: string, path: string, line: number][] = [
    ['apisix:\n  enable_admin: "yes"', 'apisix.enable_admin', 2],
    ['apisix:\n  router:\n    http: regex', 'apisix.router.http', 3],
    ['apisix: 5', 'apisix', 1],
    ['apisix:\n  ssl:\n    ssl_protocols: TLSv9', 'apisix.ssl.ssl_protocols', 3],
    ['apisix:\n  node_listen: [9080, 9080]', 'apisix.node_listen[1]', 2],
    ['apisix:\n  trusted_addresses:\n    - 10.0.0.0/99', 'apisix.trusted_addresses[0]', 3],
    ['deployment:\n  role: queen', 'deployment.role', 2],
    [
      'deployment:\n  admin:\n    admin_key:\n      - name: a\n        key: k\n        role: root',
      'deployment.admin.admin_key[0].role',
      6,
    ],
    ['deployment:\n  admin:\n    allow_admin: [nowhere]', 'deployment.admin.allow_admin[0]', 3],
    ['nginx_config:\n  http:\n    keepalive_timeout: soon', 'nginx_config.http.keepalive_timeout', 3],
    ['gatewright:\n  verdicts:\n    size: 1025m', 'gatewright.verdicts.size', 3],
    ['nginx_config:\n  http:\n    client_max_body_size: 16q', 'nginx_config.http.client_max_body_size', 3],
    ['nginx_config:\n  worker_processes: 0', 'nginx_config.worker_processes', 2],
    ['plugins: key-auth', 'plugins', 1],
    ['plugin_attr:\n  prometheus:\n    metric_prefix: "1x"', 'plugin_attr.prometheus.metric_prefix', 3],
  ];
  for (const [yaml, path, line] of cases) {
    const error = refusal(yaml);
    assert.deepEqual([error.path, error.line], [path, line], yaml);
  }
});

test('broken YAML and a key written twice are refused with the line', () => {
  assert.equal(refusal('apisix:\n  a: [1\n').line, 3);
  assert.equal(refusal('apisix:\n  enable_admin: true\n  enable_admin: false\n').line, 3);
});

test('a file that cannot be read is refused by name', () => {
  const missing = join(directory, 'missing.yaml');
  assert.throws(() => readSettings({ configFile: missing, dataDir: undefined, env: {} }), {
    name: 'SettingsError',
    message: `${missing}: cannot be read: ENOENT`,
  });
});

test('a key that is known but not honoured is one warning that names it', () => {
  assert.deepEqual(warningsOf('apisix:\n  proxy_cache:\n    cache_ttl: 10s\n    zones: []\n'), [
    '2: apisix.proxy_cache: has no effect: not available yet',
  ]);
  assert.deepEqual(warningsOf('apisix:\n  proxy_mode: http\n  extra_lua_path: ""\n'), []);
});

test('a key nobody knows is one warning, with the nearest known one', () => {
  assert.deepEqual(warningsOf('apisix:\n  node_lisen: 9080\n'), [
    '2: apisix.node_lisen: unknown setting, ignored; did you mean node_listen?',
  ]);
  assert.deepEqual(warningsOf('zzzzzz: 1\n'), ['1: zzzzzz: unknown setting, ignored']);
  assert.deepEqual(warningsOf('apisix:\n  node_listen: [{ port: 1, colour: red }]\n'), [
    '2: apisix.node_listen[0].colour: unknown setting, ignored',
  ]);
});

test('attributes of any plugin pass as they are, without a warning', () => {
  const yaml =
    'plugin_attr:\n  redirect: { https_port: 8443 }\n  prometheus: { metrics: { http_status: { expire: 0 } } }\n';
  const { settings, warnings } = read(yaml);
  assert.deepEqual(warnings, []);
  assert.deepEqual(settings.pluginAttributes, {
    redirect: { https_port: 8443 },
    prometheus: { metrics: { http_status: { expire: 0 } } },
  });
});

test('an etcd section starts on the embedded store with one warning', () => {
  const yaml =
    'deployment:\n  role: traditional\n  role_traditional:\n    config_provider: etcd\n  etcd:\n    host: ["http://127.0.0.1:2379"]\n    prefix: /apisix\n';
  const { settings, warnings } = read(yaml);
  assert.equal(settings.store, 'sqlite');
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? '', /deployment\.etcd: has no effect: the etcd store is not available yet/);
});

test('a data plane reads a resource file beside the settings', () => {
  const { settings } = read('deployment:\n  role: data_plane\n  role_data_plane:\n    config_provider: json\n');
  assert.deepEqual(
    [settings.role, settings.store, settings.resourcesFile],
    ['data_plane', 'json', join(directory, 'apisix.json')],
  );
  assert.equal(read('apisix: { config_center: yaml }').settings.role, 'data_plane');
});

test('references to the environment are replaced, and keep the kind they read as', () => {
  const { settings } = read(
    'apisix:\n  node_listen: ${{PORT}}\n  enable_admin: ${{ADMIN:=false}}\nnginx_config:\n  http:\n    real_ip_header: "X-${{NAME:= Client }}-IP"\n',
    { PORT: '9999' },
  );
  assert.equal(settings.listen[0]?.port, 9999);
  assert.equal(settings.admin.enabled, false);
  assert.equal(settings.realIp.header, 'x-client-ip');
});

test('a reference to a variable that is not set stops the start with its line', () => {
  const error = refusal('deployment:\n  admin:\n    admin_key:\n      - key: ${{NO_SUCH_KEY}}\n');
  assert.equal(error.line, 4);
  assert.equal(error.reason, "can't find environment variable NO_SUCH_KEY");
});

test('an admin key keeps its digits', () => {
  const keyOf = (yaml: string, env = {}): string | undefined => read(yaml, env).settings.admin.keys[0]?.key;
  const yaml = (key: string): string => `deployment: { admin: { admin_key: [{ name: a, key: ${key}, role: admin }] } }`;
  assert.equal(keyOf(yaml('"${{K}}"'), { K: '0123' }), '0123');
  assert.equal(keyOf(yaml('0123')), '0123');
  assert.equal(keyOf(yaml('123456')), '123456');
  assert.match(refusal(yaml('12345678901234567890123456789012')).reason, /put it in quotes/);
});

test('an empty admin key counts as none', () => {
  assert.deepEqual(
    read("deployment: { admin: { admin_key: [{ name: admin, key: '', role: admin }] } }").settings.admin.keys,
    [],
  );
});

test('the older place of the admin key is honoured; the published key is warned of', () => {
  const { settings, warnings } = read(
    'apisix:\n  admin_key:\n    - name: "admin"\n      key: edd1c9f034335f136f87ad84b625c8f1\n      role: admin\n    - name: viewer\n      key: other\n      role: viewer\n',
  );
  assert.deepEqual(settings.admin.keys, [
    { name: 'admin', key: 'edd1c9f034335f136f87ad84b625c8f1', role: 'admin' },
    { name: 'viewer', key: 'other', role: 'viewer' },
  ]);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? '', /:4: apisix\.admin_key\[0\]\.key: this key is published/);
});

test('an error about an admin key does not hold it', () => {
  const yaml = 'deployment: { admin: { admin_key: [{ key: s3cret-value, role: x }, { key: [s3cret-value] }] } }';
  assert.doesNotMatch(refusal(yaml).message, /s3cret-value/);
  assert.doesNotMatch(refusal('deployment: { admin: { admin_key: s3cret-value } }').message, /s3cret-value/);
});

test('allow_admin: loopback when absent, any address when null', () => {
  assert.deepEqual(read('').settings.admin.allow, ['127.0.0.0/24', '::1']);
  assert.equal(read('deployment: { admin: { allow_admin: null } }').settings.admin.allow, undefined);
  assert.deepEqual(read('apisix: { allow_admin: [10.0.0.0/8] }').settings.admin.allow, ['10.0.0.0/8']);
});

test('an Admin API that was meant to have TLS stays on loopback and is warned of', () => {
  const { settings, warnings } = read(
    'deployment: { admin: { https_admin: true, admin_listen: { ip: 0.0.0.0, port: 9180 } } }',
  );
  assert.equal(settings.admin.listen.ip, '127.0.0.1');
  assert.match(warnings[0] ?? '', /deployment\.admin\.https_admin: has no effect/);
});

test('times are milliseconds and sizes bytes', () => {
  const { settings } = read(
    'nginx_config:\n  worker_shutdown_timeout: 1h30m\n  http:\n    keepalive_timeout: 75\n    client_header_timeout: 500ms\n    client_max_body_size: 16m\n    access_log_buffer: 8K\n',
  );
  assert.equal(settings.shutdownTimeoutMs, 5_400_000);
  assert.equal(settings.client.keepAliveTimeoutMs, 75_000);
  assert.equal(settings.client.headerTimeoutMs, 500);
  assert.equal(settings.client.bodyBytes, 16 * 1024 * 1024);
  assert.equal(settings.accessLog.bufferBytes, 8192);
});

test('worker_processes: auto follows APISIX_WORKER_PROCESSES, a number stands', () => {
  assert.equal(read('nginx_config: { worker_processes: auto }', { APISIX_WORKER_PROCESSES: '7' }).settings.workers, 7);
  assert.equal(read('nginx_config: { worker_processes: 3 }', { APISIX_WORKER_PROCESSES: '7' }).settings.workers, 3);
  assert.equal(read('apisix: { enable_dev_mode: true }').settings.workers, 1);
});

test("the access log's format may be wrapped in quotes in a block, as in APISIX's example", () => {
  const { settings } = read(
    'nginx_config:\n  http:\n    access_log: off\n    access_log_format: |\n      "$host \\"$request\\""\n',
  );
  assert.equal(settings.accessLog.format, '$host "$request"');
  assert.equal(settings.accessLog.enabled, false);
});

test('plugins: the list is kept as given, absent and null mean the default list', () => {
  assert.deepEqual(read('plugins: [key-auth, public-api]').settings.plugins, ['key-auth', 'public-api']);
  assert.equal(read('plugins:').settings.plugins, undefined);
});

test('an empty allow_admin is refused: it could mean nobody or anybody', () => {
  assert.equal(refusal('deployment:\n  admin:\n    allow_admin: []').path, 'deployment.admin.allow_admin');
});

test('a key whose feature is not there yet is warned of, unless it asks for what happens anyway', () => {
  assert.deepEqual(warningsOf('apisix:\n  enable_http2: false\n  delete_uri_tail_slash: false\n'), []);
  assert.deepEqual(warningsOf('apisix:\n  delete_uri_tail_slash: true\n'), [
    '2: apisix.delete_uri_tail_slash: has no effect: not available yet',
  ]);
});

test('authorities that cannot be used stop the start, by the name of the setting', () => {
  const authorities = join(directory, 'ca.pem');
  const problem = (): string => {
    const { path, message } = refusal(`apisix:\n  ssl:\n    ssl_trusted_certificate: ${authorities}`);
    assert.equal(path, 'apisix.ssl.ssl_trusted_certificate');
    return message;
  };
  assert.match(problem(), /ca\.pem cannot be read: ENOENT/);
  writeFileSync(authorities, 'no certificate');
  assert.match(problem(), /holds no PEM certificate/);
  writeFileSync(authorities, '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
  assert.match(problem(), /certificate number 1 is damaged/);
});

test('two admin keys of one name are a warning: the history cannot tell them apart', () => {
  const keys = '[{ name: ops, key: a }, { name: ops, key: b, role: viewer }, { name: dev, key: c }]';
  assert.deepEqual(warningsOf(`deployment: { admin: { admin_key: ${keys} } }`), [
    '1: deployment.admin.admin_key[1].name: another key is named ops too: the history cannot tell who of them changed something',
  ]);
});

test('the history has a bound unless it says 0', () => {
  assert.deepEqual(read('').settings.history, { entries: 10_000, days: 90, bytes: 67_108_864 });
  const { history } = read('gatewright: { history: { entries: 0, days: 7, size: 1m } }').settings;
  assert.deepEqual(history, { entries: 0, days: 7, bytes: 1_048_576 });
  assert.match(refusal('gatewright: { history: { days: 0 } }').message, /gatewright\.history\.days/);
});
