/**
 * config.yaml + environment + defaults → Settings. Runs once at start (and for `gatewright check`), never on the request path.
 * A key that is known but not honoured, or not known at all, is one warning; a wrong value of an honoured key is a SettingsError.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, resolve } from 'node:path';
import type { Environment } from './environment.ts';
import { formatPath, parseSettingsDocument, type Path, type SettingsDocument } from './document.ts';
import { keys, type KeyName, type KeyValue } from './keys.ts';
import { problemOfAuthorities } from './authorities.ts';
import { isMapping, type KindContext } from './kinds.ts';
import type { ListenEntry } from './listen.ts';
import { notHonoured, notYetInEffect } from './not-honoured.ts';
import { bothGiven, defaultRunner } from './runners.ts';
import {
  SettingsError,
  type Address,
  type Listener,
  type RunnersSettings,
  type Settings,
  type SettingsSource,
  type TlsSettings,
} from './settings.ts';
import { nearestWord } from './suggest.ts';

/** What was read, typed by key. `given` says whether the file sets the key at all. */
interface Values {
  readonly get: <N extends KeyName>(name: N) => KeyValue<N>;
  readonly given: (name: string) => boolean;
}

/** Reads the file (UTF-8), if one is named. Warnings are whole sentences for the log, in the order of the file. Throws SettingsError. */
export function readSettings(source: SettingsSource): { settings: Settings; warnings: string[] } {
  const document = loadDocument(source);
  const warnings: string[] = [];
  const warn = (path: Path, reason: string): void => {
    const line = document.lineOf(path);
    warnings.push(`${document.file}${line === undefined ? '' : `:${String(line)}`}: ${formatPath(path)}: ${reason}`);
  };
  warnOfKeys(document, warn);
  const values = readValues(document, warn);
  return { settings: buildSettings(source, document, values, warn), warnings };
}

function loadDocument(source: SettingsSource): SettingsDocument {
  const file = source.configFile;
  if (file === undefined) return parseSettingsDocument('defaults', '', source.env);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new SettingsError(
      file,
      undefined,
      '',
      `cannot be read: ${(error as NodeJS.ErrnoException).code ?? String(error)}`,
    );
  }
  return parseSettingsDocument(file, text, source.env);
}

function valueAt(root: unknown, path: readonly string[]): unknown {
  let value = root;
  for (const step of path) {
    if (!isMapping(value)) return undefined;
    value = value[step];
  }
  return value;
}

function readValues(document: SettingsDocument, warn: (path: Path, reason: string) => void): Values {
  const parsed = new Map<string, unknown>();
  const given = new Set<string>();
  for (const [name, { kind, initial }] of Object.entries(keys)) {
    const path = name.split('.');
    const value = valueAt(document.root, path);
    const context: KindContext = {
      refuse(reason, ...at) {
        const whole = [...path, ...at];
        throw new SettingsError(document.file, document.lineOf(whole), formatPath(whole), reason);
      },
      warn: (reason, ...at) => {
        warn([...path, ...at], reason);
      },
    };
    if (value !== undefined) given.add(name);
    const absent = value === undefined || (value === null && kind.acceptsNull !== true);
    parsed.set(name, absent ? initial : kind.parse(value, context));
    const pending = notYetInEffect[name as KeyName];
    if (pending !== undefined && !absent && value !== pending.happens) context.warn(`has no effect: ${pending.reason}`);
  }
  return {
    get: <N extends KeyName>(name: N) => parsed.get(name) as KeyValue<N>,
    given: (name) => given.has(name),
  };
}

/** One warning for each key, at the topmost place where it stops being honoured. */
function warnOfKeys(document: SettingsDocument, warn: (path: Path, reason: string) => void): void {
  const known = new Set([...Object.keys(keys), ...Object.keys(notHonoured)]);
  const sections = new Set<string>();
  for (const name of known) {
    const steps = name.split('.');
    for (let length = 1; length < steps.length; length += 1) sections.add(steps.slice(0, length).join('.'));
  }
  const walk = (section: Readonly<Record<string, unknown>>, path: readonly string[], open: boolean): void => {
    for (const [step, value] of Object.entries(section)) {
      const here = [...path, step];
      const name = here.join('.');
      const ignored = notHonoured[name];
      if (ignored !== undefined) {
        const asksForNothing = value === null || value === '' || ignored.harmless?.includes(value) === true;
        if (!asksForNothing) warn(here, `has no effect: ${ignored.reason}`);
      } else if (sections.has(name)) {
        if (isMapping(value)) walk(value, here, open || name in keys);
        else if (value !== null && !(name in keys)) {
          throw new SettingsError(document.file, document.lineOf(here), name, 'expected a mapping');
        }
      } else if (!known.has(name) && !open) {
        const prefix = path.length === 0 ? '' : `${path.join('.')}.`;
        const siblings = new Set(
          [...known]
            .filter((other) => other.startsWith(prefix))
            .map((other) => other.slice(prefix.length).split('.')[0] ?? ''),
        );
        const near = nearestWord(step, siblings);
        warn(here, `unknown setting, ignored${near === undefined ? '' : `; did you mean ${near}?`}`);
      }
    }
  };
  walk(document.root, [], false);
}

function buildSettings(
  source: SettingsSource,
  document: SettingsDocument,
  values: Values,
  warn: (path: Path, reason: string) => void,
): Settings {
  const dataDir = resolve(source.dataDir ?? 'data');
  const { get } = values;
  const { role, store } = resolveStore(document, values, warn);
  const accessLogFile = get('nginx_config.http.access_log');
  return {
    configFile: source.configFile,
    dataDir,
    role,
    store,
    resourcesFile: resolve(
      source.configFile === undefined ? '.' : dirname(source.configFile),
      store === 'json' ? 'apisix.json' : 'apisix.yaml',
    ),
    workers: get('apisix.enable_dev_mode') ? 1 : (get('nginx_config.worker_processes') ?? automaticWorkers(source.env)),
    shutdownTimeoutMs: get('nginx_config.worker_shutdown_timeout'),
    listen: listeners(get('apisix.node_listen'), 'apisix.node_listen', 9080, get('apisix.enable_http2'), document),
    tls: buildTls(document, values, warn),
    router: get('apisix.router.http'),
    serverTokens: get('apisix.enable_server_tokens'),
    normalizeUriLikeServlet: get('apisix.normalize_uri_like_servlet'),
    deleteUriTailSlash: get('apisix.delete_uri_tail_slash'),
    showUpstreamStatus: get('apisix.show_upstream_status_in_response_header'),
    trustedAddresses: get('apisix.trusted_addresses'),
    realIp: {
      header: get('nginx_config.http.real_ip_header').toLowerCase(),
      recursive: get('nginx_config.http.real_ip_recursive'),
      from: get('nginx_config.http.real_ip_from'),
    },
    client: {
      headerBytes: get('gatewright.limits.header_size'),
      headerCount: get('gatewright.limits.header_count'),
      bodyBytes: get('nginx_config.http.client_max_body_size'),
      headerTimeoutMs: get('nginx_config.http.client_header_timeout'),
      bodyTimeoutMs: get('nginx_config.http.client_body_timeout'),
      keepAliveTimeoutMs: get('nginx_config.http.keepalive_timeout'),
      keepAliveRequests: get('gatewright.limits.keepalive_requests'),
      sendTimeoutMs: get('nginx_config.http.send_timeout'),
    },
    underscoresInHeaders: get('nginx_config.http.underscores_in_headers'),
    upstreamPool: {
      keepAlive: get('nginx_config.http.upstream.keepalive'),
      keepAliveRequests: get('nginx_config.http.upstream.keepalive_requests'),
      keepAliveTimeoutMs: get('nginx_config.http.upstream.keepalive_timeout'),
    },
    dns: {
      servers: get('apisix.dns_resolver'),
      ttlMs: get('apisix.dns_resolver_valid'),
      timeoutMs: get('apisix.resolver_timeout'),
    },
    disableUpstreamHealthCheck: get('apisix.disable_upstream_healthcheck'),
    admin: buildAdmin(document, values),
    control: get('apisix.enable_control')
      ? { ip: get('apisix.control.ip'), port: get('apisix.control.port'), setting: 'apisix.control.port' }
      : undefined,
    status: { ip: get('apisix.status.ip'), port: get('apisix.status.port'), setting: 'apisix.status.port' },
    prometheus: {
      listen: get('plugin_attr.prometheus.enable_export_server')
        ? {
            ip: get('plugin_attr.prometheus.export_addr.ip'),
            port: get('plugin_attr.prometheus.export_addr.port'),
            setting: 'plugin_attr.prometheus.export_addr.port',
          }
        : undefined,
      uri: get('plugin_attr.prometheus.export_uri'),
      prefix: get('plugin_attr.prometheus.metric_prefix'),
    },
    plugins: get('plugins'),
    pluginDirs: get('plugin_dirs').map((dir) =>
      resolve(source.configFile === undefined ? '.' : dirname(source.configFile), dir),
    ),
    pluginAttributes: get('plugin_attr'),
    codeInConfig: get('gatewright.code_in_config'),
    history: {
      entries: get('gatewright.history.entries'),
      days: get('gatewright.history.days'),
      bytes: get('gatewright.history.size'),
    },
    functions: {
      directory: get('gatewright.functions.directory'),
      memoryBytes: get('gatewright.functions.memory'),
      stallMs: get('gatewright.functions.stall_timeout'),
    },
    verdictBytes: get('gatewright.verdicts.size'),
    runners: buildRunners(document, values),
    dataEncryption: buildEncryption(document, values),
    accessLog: {
      enabled: get('nginx_config.http.enable_access_log') && accessLogFile !== 'off',
      file: accessLogFile === undefined ? resolve(dataDir, 'logs/access.log') : resolve(accessLogFile),
      format: unwrapFormat(get('nginx_config.http.access_log_format')),
      escape: get('nginx_config.http.access_log_format_escape'),
      bufferBytes: get('nginx_config.http.access_log_buffer'),
    },
    errorLog: { level: get('nginx_config.error_log_level') },
    envs: get('nginx_config.envs'),
  };
}

function automaticWorkers(env: Environment): number {
  const asked = Number(env['APISIX_WORKER_PROCESSES']);
  return Number.isInteger(asked) && asked >= 1 && asked <= 1024 ? asked : availableParallelism();
}

function listeners(
  entries: readonly ListenEntry[] | undefined,
  setting: string,
  defaultPort: number,
  http2: boolean,
  document: SettingsDocument,
): Listener[] {
  if (entries === undefined) return [{ ip: '127.0.0.1', port: defaultPort, http2, setting }];
  const list = entries.map((entry, index) => ({
    ip: entry.ip,
    port: entry.port,
    http2: entry.http2 ?? http2,
    setting: entries.length === 1 ? setting : `${setting}[${String(index)}]`,
  }));
  for (const [index, one] of list.entries()) {
    if (one.port !== 0 && list.findIndex((other) => other.ip === one.ip && other.port === one.port) < index) {
      const line = document.lineOf([...setting.split('.'), index]);
      throw new SettingsError(document.file, line, one.setting, `${one.ip}:${String(one.port)} is listed twice`);
    }
  }
  return list;
}

function buildTls(document: SettingsDocument, values: Values, warn: (path: Path, reason: string) => void): TlsSettings {
  const { get } = values;
  const protocols = get('apisix.ssl.ssl_protocols')
    .split(/\s+/)
    .filter((name) => name !== '');
  const path = ['apisix', 'ssl', 'ssl_protocols'];
  const refuse = (reason: string): never => {
    throw new SettingsError(document.file, document.lineOf(path), formatPath(path), reason);
  };
  for (const name of protocols) {
    if (/^(?:SSLv[23]|TLSv1(?:\.1)?)$/.test(name)) warn(path, `${name} is not spoken: it is broken`);
    else if (name !== 'TLSv1.2' && name !== 'TLSv1.3') refuse(`${name} is no TLS version`);
  }
  const old = protocols.includes('TLSv1.2');
  const recent = protocols.includes('TLSv1.3');
  if (!old && !recent) refuse('expected TLSv1.2, TLSv1.3 or both');
  const http2 = get('apisix.ssl.enable_http2') ?? get('apisix.enable_http2');
  const authorities = get('apisix.ssl.ssl_trusted_certificate');
  const trustedCertificateFile = authorities === 'system' ? undefined : resolve(authorities);
  const doubt = trustedCertificateFile === undefined ? undefined : problemOfAuthorities(trustedCertificateFile);
  if (doubt !== undefined) {
    const at = ['apisix', 'ssl', 'ssl_trusted_certificate'];
    throw new SettingsError(document.file, document.lineOf(at), formatPath(at), doubt);
  }
  const byList = get('apisix.ssl.listen');
  return {
    enabled: get('apisix.ssl.enable'),
    listen:
      byList === undefined && values.given('apisix.ssl.listen_port')
        ? listeners(get('apisix.ssl.listen_port'), 'apisix.ssl.listen_port', 9443, http2, document)
        : listeners(byList, 'apisix.ssl.listen', 9443, http2, document),
    minVersion: old ? 'TLSv1.2' : 'TLSv1.3',
    maxVersion: recent ? 'TLSv1.3' : 'TLSv1.2',
    ciphers: get('apisix.ssl.ssl_ciphers'),
    sessionTickets: get('apisix.ssl.ssl_session_tickets'),
    fallbackSni: get('apisix.ssl.fallback_sni'),
    trustedCertificateFile,
  };
}

const defaultAllowAdmin: readonly string[] = ['127.0.0.0/24', '::1'];

function buildAdmin(document: SettingsDocument, values: Values): Settings['admin'] {
  const { get, given } = values;
  const listen = get('deployment.admin.admin_listen') ?? get('apisix.admin_listen');
  const byPort = get('apisix.port_admin');
  const setting = listen === undefined && byPort !== undefined ? 'apisix.port_admin' : 'deployment.admin.admin_listen';
  // APISIX: it would serve TLS here. Until we do, an Admin API that was meant to be encrypted does not leave the machine.
  const wantsTls =
    valueAt(document.root, ['deployment', 'admin', 'https_admin']) === true ||
    valueAt(document.root, ['apisix', 'https_admin']) === true;
  // APISIX: its default is 0.0.0.0; ours is loopback until an ip is given.
  const address: Address = {
    ip: wantsTls ? '127.0.0.1' : (listen?.ip ?? '127.0.0.1'),
    port: listen?.port ?? byPort ?? 9180,
    setting,
  };
  const allow = given('deployment.admin.allow_admin')
    ? get('deployment.admin.allow_admin')
    : given('apisix.allow_admin')
      ? get('apisix.allow_admin')
      : defaultAllowAdmin;
  if (allow?.length === 0) {
    const path = ['deployment', 'admin', 'allow_admin'];
    throw new SettingsError(
      document.file,
      document.lineOf(path),
      formatPath(path),
      'the list is empty: name who may ask, or null for any address',
    );
  }
  return {
    enabled: get('apisix.enable_admin'),
    listen: address,
    keys: get('deployment.admin.admin_key') ?? get('apisix.admin_key') ?? [],
    keyRequired: get('deployment.admin.admin_key_required'),
    allow,
    cors: given('deployment.admin.enable_admin_cors')
      ? get('deployment.admin.enable_admin_cors')
      : (get('apisix.enable_admin_cors') ?? true),
    ui: get('deployment.admin.enable_admin_ui'),
  };
}

function buildRunners(document: SettingsDocument, { get }: Values): RunnersSettings {
  const command = get('ext-plugin.cmd');
  const path = get('ext-plugin.path_for_test');
  if (command !== undefined && path !== undefined) {
    const at = ['ext-plugin', 'path_for_test'];
    throw new SettingsError(document.file, document.lineOf(at), formatPath(at), bothGiven);
  }
  const socket = path === undefined ? undefined : resolve(path);
  const plugins = get('ext-plugin.plugins');
  const unnamed =
    command === undefined && socket === undefined ? [] : [{ name: defaultRunner, command, socket, plugins }];
  const named = get('ext-plugin.runners').map((runner) => ({
    ...runner,
    socket: runner.socket === undefined ? undefined : resolve(runner.socket),
  }));
  return {
    runners: [...unnamed, ...named],
    connectTimeoutMs: get('ext-plugin.connect_timeout'),
    timeoutMs: get('ext-plugin.timeout'),
    startTimeoutMs: get('ext-plugin.start_timeout'),
    stopTimeoutMs: get('ext-plugin.stop_timeout'),
    confExpireMs: get('ext-plugin.conf_expire_time'),
    maxConnections: get('ext-plugin.connections'),
    maxBodyBytes: get('ext-plugin.body_size'),
  };
}

function buildEncryption(document: SettingsDocument, values: Values): Settings['dataEncryption'] {
  const keyring = values.get('apisix.data_encryption.keyring');
  for (const [index, key] of keyring.entries()) {
    if (Buffer.byteLength(key) !== 16) {
      const path = ['apisix', 'data_encryption', 'keyring', index];
      throw new SettingsError(document.file, document.lineOf(path), formatPath(path), 'expected 16 characters');
    }
  }
  return { enabled: values.get('apisix.data_encryption.enable_encrypt_fields'), keyring };
}

/** The role and where its resources come from; warns where APISIX's provider is not available here. */
function resolveStore(
  document: SettingsDocument,
  values: Values,
  warn: (path: Path, reason: string) => void,
): Pick<Settings, 'role' | 'store'> {
  const center = values.get('apisix.config_center');
  if (center !== undefined && center !== 'etcd' && !values.given('deployment.role'))
    return { role: 'data_plane', store: center };
  const role = values.get('deployment.role');
  const name = `deployment.role_${role}.config_provider` as const;
  const provider = values.get(name);
  const path = name.split('.');
  const saidByEtcd =
    valueAt(document.root, ['deployment', 'etcd']) !== undefined || valueAt(document.root, ['etcd']) !== undefined;
  switch (provider) {
    case undefined:
      return { role, store: role === 'data_plane' ? 'yaml' : 'sqlite' };
    case 'sqlite':
    case 'memory':
      return { role, store: provider };
    case 'yaml':
    case 'json':
      if (role !== 'data_plane') warn(path, 'resources are read from the file, which the Admin API cannot change');
      return { role, store: provider };
    case 'etcd':
      if (!saidByEtcd)
        warn(
          path,
          'the etcd store is not available yet; resources are kept in the embedded database of the data directory',
        );
      return { role, store: 'sqlite' };
    case 'xds':
    case 'control_plane':
      throw new SettingsError(
        document.file,
        document.lineOf(path),
        name,
        `${provider} is not available; use yaml or json`,
      );
  }
}

/**
 * What nginx makes of the format: `\"`, `\'` and `\\` lose their backslash. APISIX's example wraps the whole line in quotes inside a
 * YAML block; those quotes are nobody's wish and go.
 */
function unwrapFormat(format: string): string {
  const text = format.trim();
  const wrapped = text.length > 1 && text.startsWith('"') && text.endsWith('"') && text.includes('\\"');
  return (wrapped ? text.slice(1, -1) : text).replace(/\\(["'\\])/g, '$1');
}
