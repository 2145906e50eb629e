/**
 * Every key of config.yaml that is honoured: its kind, default and meaning. docs/settings.md is held to this table by a test.
 * A default of undefined means that something else decides; `unset` says what. The keys are APISIX's, but for `gatewright.*`.
 */
import {
  attributes,
  flag,
  integer,
  networks,
  nullable,
  onOff,
  oneOf,
  port,
  size,
  sizeUpTo,
  text,
  texts,
  time,
  type Kind,
} from './kinds.ts';
import { address, adminKeys, listenAddress, listenList, workerCount } from './listen.ts';
import { command, runnersByName, socketPath } from './runners.ts';

export interface Key<T = unknown, D = unknown> {
  readonly kind: Kind<T>;
  /** In the parsed form: milliseconds, bytes. */
  readonly initial: D;
  /** What stands in the documentation as the default, where the parsed form would not read well. */
  readonly unset: string | undefined;
  readonly meaning: string;
}

function key<T, const D extends T | undefined>(kind: Kind<T>, initial: D, meaning: string, unset?: string): Key<T, D> {
  return { kind, initial, meaning, unset };
}

/** APISIX's own line, so that what reads its logs reads ours. */
export const defaultAccessLogFormat =
  '$remote_addr - $remote_user [$time_local] $http_host "$request" $status $body_bytes_sent $request_time ' +
  '"$http_referer" "$http_user_agent" $upstream_addr $upstream_status $upstream_response_time ' +
  '"$upstream_scheme://$upstream_host$upstream_uri"';

const defaultCiphers = [
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
  'DHE-RSA-AES128-GCM-SHA256',
  'DHE-RSA-AES256-GCM-SHA384',
].join(':');

const logLevel = oneOf('debug', 'info', 'notice', 'warn', 'error', 'crit', 'alert', 'emerg');
const router = oneOf('radixtree_host_uri', 'radixtree_uri', 'radixtree_uri_with_parameter');
const store = oneOf('etcd', 'yaml', 'json', 'sqlite', 'memory', 'xds', 'control_plane');

/** `off`, or a file. */
const accessLogFile: Kind<string> = {
  name: 'file, or off',
  parse: (value, context) => (value === false ? 'off' : text.parse(value, context)),
};

const metricPrefix: Kind<string> = {
  name: 'text',
  parse(value, context) {
    const prefix = text.parse(value, context);
    return /^(?:[a-zA-Z_:][a-zA-Z0-9_:]*)?$/.test(prefix)
      ? prefix
      : context.refuse('a metric name holds only letters, digits, _ and :, and starts with no digit');
  },
};

const uriPath: Kind<string> = {
  name: 'path',
  parse(value, context) {
    const path = text.parse(value, context);
    return path.startsWith('/') ? path : context.refuse('expected a path that starts with /');
  },
};

/** One text or a list of them. */
const textOrTexts: Kind<readonly string[]> = {
  name: 'text or list of texts',
  parse: (value, context) => (typeof value === 'string' ? [value] : texts.parse(value, context)),
};

export const keys = {
  'apisix.node_listen': key(
    listenList,
    undefined,
    'Where requests arrive. A bare port is on all interfaces.',
    '127.0.0.1:9080',
  ),
  'apisix.enable_http2': key(flag, true, 'HTTP/2 on every listener that does not say otherwise.'),
  'apisix.enable_dev_mode': key(flag, false, 'One worker, whatever `nginx_config.worker_processes` says.'),
  'apisix.enable_admin': key(flag, true, 'The Admin API.'),
  'apisix.enable_control': key(flag, true, 'The control API.'),
  'apisix.control.ip': key(address, '127.0.0.1', 'Address of the control API.'),
  'apisix.control.port': key(port, 9090, 'Port of the control API.'),
  'apisix.status.ip': key(address, '127.0.0.1', 'Address of `/status` and `/status/ready`.'),
  'apisix.status.port': key(port, 7085, 'Port of `/status` and `/status/ready`.'),
  'apisix.enable_server_tokens': key(flag, true, 'The version in the `Server` response header.'),
  'apisix.normalize_uri_like_servlet': key(
    flag,
    false,
    'Rules do not see the parameters of a path (`;` and what follows in its segment), as a Java servlet container does.',
  ),
  'apisix.delete_uri_tail_slash': key(flag, false, 'A `/` at the end of the path is dropped before routing.'),
  'apisix.show_upstream_status_in_response_header': key(
    flag,
    false,
    '`X-APISIX-Upstream-Status` on every response, not only where the upstream answered 5xx.',
  ),
  'apisix.router.http': key(
    router,
    'radixtree_host_uri',
    'How a route is found; `radixtree_uri_with_parameter` knows `:name` segments.',
  ),
  'apisix.ssl.enable': key(flag, true, 'TLS listeners.'),
  'apisix.ssl.listen': key(
    listenList,
    undefined,
    'Where TLS requests arrive. A bare port is on all interfaces.',
    '127.0.0.1:9443',
  ),
  'apisix.ssl.listen_port': key(listenList, undefined, 'The older form of `apisix.ssl.listen`: ports alone.', 'none'),
  'apisix.ssl.enable_http2': key(flag, undefined, 'HTTP/2 on TLS listeners.', '`apisix.enable_http2`'),
  'apisix.ssl.ssl_protocols': key(text, 'TLSv1.2 TLSv1.3', 'TLS versions. Older than 1.2 is never spoken.'),
  'apisix.ssl.ssl_ciphers': key(
    text,
    defaultCiphers,
    'TLS 1.2 ciphers, as OpenSSL writes them.',
    "Mozilla's intermediate list, as in APISIX",
  ),
  'apisix.ssl.ssl_session_tickets': key(
    flag,
    false,
    'TLS session tickets; none while an `ssl` resource asks for client certificates.',
  ),
  'apisix.ssl.fallback_sni': key(text, undefined, 'The server name where the client sends none.', 'none'),
  'apisix.ssl.ssl_trusted_certificate': key(
    text,
    'system',
    'PEM file of the authorities that upstreams, and servers that plugins ask, are checked against, or `system`.',
  ),
  'apisix.dns_resolver': key(texts, [], 'DNS servers, `ip` or `ip:port`.', "the system's"),
  'apisix.dns_resolver_valid': key(
    time,
    undefined,
    'How long an answer is kept, instead of its TTL.',
    "the record's TTL",
  ),
  'apisix.resolver_timeout': key(time, 5000, 'How long a DNS answer is waited for.'),
  'apisix.trusted_addresses': key(
    networks,
    [],
    'Peers whose `X-Forwarded-*` are kept; for all others they are rebuilt from the socket.',
  ),
  'apisix.disable_upstream_healthcheck': key(flag, false, 'Switches all upstream health checks off.'),
  'apisix.data_encryption.enable_encrypt_fields': key(flag, true, 'Secret fields are encrypted where they are stored.'),
  'apisix.data_encryption.keyring': key(
    textOrTexts,
    [],
    'Keys of 16 characters; the first encrypts, all decrypt.',
    'none',
  ),
  'apisix.admin_key': key(adminKeys, undefined, 'The older place of `deployment.admin.admin_key`.', 'none'),
  'apisix.allow_admin': key(
    nullable(networks),
    undefined,
    'The older place of `deployment.admin.allow_admin`.',
    'none',
  ),
  'apisix.admin_listen': key(listenAddress, undefined, 'The older place of `deployment.admin.admin_listen`.', 'none'),
  'apisix.port_admin': key(port, undefined, 'The older form of `deployment.admin.admin_listen.port`.', 'none'),
  'apisix.enable_admin_cors': key(flag, undefined, 'The older place of `deployment.admin.enable_admin_cors`.', 'none'),
  'apisix.config_center': key(
    oneOf('etcd', 'yaml', 'json'),
    undefined,
    'The older form of `deployment.role` and `config_provider`.',
    'none',
  ),

  'deployment.role': key(
    oneOf('traditional', 'data_plane', 'control_plane'),
    'traditional',
    'traditional: Admin API and traffic; data_plane: traffic alone; control_plane: Admin API alone.',
  ),
  'deployment.role_traditional.config_provider': key(store, undefined, '`sqlite` or `memory`.', 'sqlite'),
  'deployment.role_control_plane.config_provider': key(store, undefined, '`sqlite` or `memory`.', 'sqlite'),
  'deployment.role_data_plane.config_provider': key(
    store,
    undefined,
    '`yaml` or `json`: the standalone resource file.',
    'yaml',
  ),
  'deployment.admin.admin_key': key(
    adminKeys,
    undefined,
    'Keys of the Admin API. A viewer may only read.',
    'made on the first start, in `admin.key`',
  ),
  'deployment.admin.admin_key_required': key(flag, true, 'false: the Admin API asks for no key.'),
  'deployment.admin.admin_listen': key(listenAddress, undefined, 'Where the Admin API listens.', '127.0.0.1:9180'),
  'deployment.admin.allow_admin': key(
    nullable(networks),
    undefined,
    'Who may use the Admin API; null: any address.',
    '127.0.0.0/24, ::1',
  ),
  'deployment.admin.enable_admin_cors': key(flag, true, 'CORS headers on the Admin API.'),
  'deployment.admin.enable_admin_ui': key(flag, true, 'The dashboard, on the Admin API port.'),

  plugins: key(
    nullable(texts),
    undefined,
    'The plugins that may be used; the list replaces the default one.',
    'every built-in one that APISIX enables, but `public-api`',
  ),
  plugin_dirs: key(
    texts,
    [],
    "Directories of the user's own plugins (docs/plugins-in-typescript.md), relative to this file's directory.",
    'none',
  ),
  plugin_attr: key(attributes, {}, 'Attributes of plugins, by name.', 'none'),
  'plugin_attr.prometheus.enable_export_server': key(flag, true, 'Metrics on a port of their own.'),
  'plugin_attr.prometheus.export_addr.ip': key(address, '127.0.0.1', 'Address of the metrics.'),
  'plugin_attr.prometheus.export_addr.port': key(port, 9091, 'Port of the metrics.'),
  'plugin_attr.prometheus.export_uri': key(uriPath, '/apisix/prometheus/metrics', 'Path of the metrics.'),
  'plugin_attr.prometheus.metric_prefix': key(metricPrefix, 'apisix_', "What every metric's name starts with."),

  'ext-plugin.cmd': key(
    command,
    undefined,
    'Program and arguments of the plugin runner, which is started, watched and stopped with the gateway (docs/runners.md).',
    'none',
  ),
  'ext-plugin.path_for_test': key(
    socketPath,
    undefined,
    'Unix socket of a plugin runner that runs already, instead of `ext-plugin.cmd`.',
    'none',
  ),
  'ext-plugin.plugins': key(
    nullable(texts),
    undefined,
    'The plugins of that runner: configuration that names another one is refused.',
    'not known',
  ),
  'ext-plugin.runners': key(
    runnersByName,
    [],
    'More runners, by name: each a mapping with `cmd` or `path_for_test`, and `plugins`.',
    'none',
  ),
  'ext-plugin.timeout': key(time, 5000, 'What a runner may take for one call.'),
  'ext-plugin.connect_timeout': key(time, 1000, 'How long a connection to a runner may take.'),
  'ext-plugin.start_timeout': key(time, 10_000, 'How long a runner that was started may take to listen.'),
  'ext-plugin.stop_timeout': key(time, 1000, 'How long a runner may take to end before it is killed.'),
  'ext-plugin.conf_expire_time': key(time, 3_600_000, 'How long a runner keeps a configuration, as it is told.'),
  'ext-plugin.connections': key(integer(1), 512, 'Connections to one runner, in each worker.'),
  'ext-plugin.body_size': key(
    size,
    8_388_608,
    'Largest body that is handed to a runner; the protocol ends at 16m.',
    '8m',
  ),

  'nginx_config.worker_processes': key(
    workerCount,
    undefined,
    'Worker threads.',
    'auto: `APISIX_WORKER_PROCESSES`, else one a core',
  ),
  'nginx_config.worker_shutdown_timeout': key(
    time,
    240_000,
    'How long a worker that stops may finish what is in flight.',
  ),
  'nginx_config.error_log_level': key(logLevel, 'warn', 'The least level that is logged to stderr.'),
  'nginx_config.envs': key(
    texts,
    [],
    'Environment variables that resources may refer to: `NAME` or `NAME=value`.',
    'none',
  ),
  'nginx_config.http.enable_access_log': key(flag, true, 'The access log.'),
  'nginx_config.http.access_log': key(
    accessLogFile,
    undefined,
    'File of the access log, relative to the working directory; or `off`.',
    '`logs/access.log` in the data directory',
  ),
  'nginx_config.http.access_log_buffer': key(size, 16_384, 'How much is collected before a write.', '16k'),
  'nginx_config.http.access_log_format': key(text, defaultAccessLogFormat, 'The line, with `$variables`.', "APISIX's"),
  'nginx_config.http.access_log_format_escape': key(
    oneOf('default', 'json', 'none'),
    'default',
    'How values are escaped in a line, as nginx does.',
  ),
  'nginx_config.http.keepalive_timeout': key(
    time,
    60_000,
    'How long an idle client connection is kept; 0: not at all.',
  ),
  'nginx_config.http.client_header_timeout': key(time, 60_000, 'How long a whole request head may take.'),
  'nginx_config.http.client_body_timeout': key(time, 60_000, 'How long a client may pause in a request body.'),
  'nginx_config.http.client_max_body_size': key(size, 0, 'Largest request body; 0: no limit.', '0'),
  'nginx_config.http.send_timeout': key(time, 10_000, 'How long a client may take nothing of a response.'),
  'nginx_config.http.underscores_in_headers': key(onOff, true, 'off: header fields whose name holds `_` are dropped.'),
  'nginx_config.http.real_ip_header': key(
    text,
    'X-Real-IP',
    "The field that names the client's address, from a peer in `real_ip_from`.",
  ),
  'nginx_config.http.real_ip_recursive': key(
    onOff,
    false,
    'The last address of the field that is not in `real_ip_from`, not simply the last.',
  ),
  'nginx_config.http.real_ip_from': key(networks, ['127.0.0.1'], 'Peers whose `real_ip_header` is believed.'),
  'nginx_config.http.upstream.keepalive': key(
    integer(0),
    320,
    'Idle connections kept to one upstream, in each worker.',
  ),
  'nginx_config.http.upstream.keepalive_requests': key(integer(1), 1000, 'Requests on one upstream connection.'),
  'nginx_config.http.upstream.keepalive_timeout': key(time, 60_000, 'How long an idle upstream connection is kept.'),

  'gatewright.code_in_config': key(
    flag,
    false,
    'Code in configurations: the functions of `serverless-pre-function` and `serverless-post-function`. Whoever may write a route may then run code in the gateway.',
  ),
  'gatewright.history.entries': key(
    integer(0),
    10_000,
    'How many changes of resources are remembered, for `gatewright history`; 0: none.',
  ),
  'gatewright.history.days': key(integer(1), 90, 'How long a change is remembered.'),
  'gatewright.history.size': key(size, 64 * 1024 * 1024, 'How much room the remembered values take.', '64m'),
  'gatewright.functions.directory': key(
    text,
    'functions',
    'Where functions of `custom-auth` lie: `NAMESPACE/NAME.ts`; relative to the working directory.',
  ),
  'gatewright.functions.memory': key(size, 67_108_864, 'What one function may take, in each worker.', '64m'),
  'gatewright.functions.stall_timeout': key(
    time,
    3000,
    'A function that keeps its thread busy for longer is ended, and started anew.',
  ),
  'gatewright.limits.header_size': key(size, 32_768, 'Largest request head.', '32k'),
  'gatewright.limits.header_count': key(integer(1), 200, 'Most header fields in a request.'),
  'gatewright.limits.keepalive_requests': key(integer(0), 0, 'Requests on one client connection; 0: no limit.'),
  'gatewright.verdicts.size': key(
    sizeUpTo('1g'),
    8_388_608,
    'For the verdicts that `custom-auth`, `forward-auth` and `opa` keep, in all workers together.',
    '8m',
  ),
} as const;

export type KeyName = keyof typeof keys;
type Parsed<K> = K extends Key<infer T, infer D> ? T | (D extends undefined ? undefined : never) : never;
/** What a key resolves to; undefined only where it has no default or may be null. */
export type KeyValue<N extends KeyName> = Parsed<(typeof keys)[N]>;
