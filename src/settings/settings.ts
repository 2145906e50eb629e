/**
 * The resolved settings: what config.yaml (APISIX's keys), the environment and the defaults say together.
 * Read once at start by the control plane and handed to every worker: plain, structured-cloneable data, no secrets but the admin keys.
 * Times are milliseconds (`…Ms`), sizes bytes (`…Bytes`); 0 means "no limit" only where a field says so.
 */

export interface Listener {
  /** `127.0.0.1`, `0.0.0.0`, `::` … */
  readonly ip: string;
  readonly port: number;
  readonly http2: boolean;
  /** The key that asked for it (`apisix.node_listen[0]`), for the message when the port is taken. */
  readonly setting: string;
}

/** Where a server of the control plane listens. */
export interface Address {
  readonly ip: string;
  readonly port: number;
  readonly setting: string;
}

export interface AdminKey {
  readonly name: string;
  readonly key: string;
  /** viewer: GET only. */
  readonly role: 'admin' | 'viewer';
}

export type HttpRouter = 'radixtree_uri' | 'radixtree_host_uri' | 'radixtree_uri_with_parameter';

export interface TlsSettings {
  readonly enabled: boolean;
  readonly listen: readonly Listener[];
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
  readonly maxVersion: 'TLSv1.2' | 'TLSv1.3';
  /** OpenSSL list; for TLS 1.2. */
  readonly ciphers: string;
  readonly sessionTickets: boolean;
  /** Stands in for the name where the client sends no SNI. */
  readonly fallbackSni: string | undefined;
  /** PEM file of authorities; undefined: the system's. */
  readonly trustedCertificateFile: string | undefined;
}

export interface AccessLogSettings {
  readonly enabled: boolean;
  /** A file, absolute or relative to the working directory; `/dev/stdout`, `/dev/stderr`. */
  readonly file: string;
  readonly format: string;
  readonly escape: 'default' | 'json' | 'none';
  /** Bytes collected before a write. */
  readonly bufferBytes: number;
}

export type LogLevel = 'debug' | 'info' | 'notice' | 'warn' | 'error' | 'crit' | 'alert' | 'emerg';

/** What one client connection and one request may use. */
export interface ClientLimits {
  readonly headerBytes: number;
  readonly headerCount: number;
  /** 0: no limit. */
  readonly bodyBytes: number;
  /** To receive the whole head. */
  readonly headerTimeoutMs: number;
  /** Between two reads of the body. */
  readonly bodyTimeoutMs: number;
  /** Idle between two requests; 0: no keep-alive. */
  readonly keepAliveTimeoutMs: number;
  /** Requests on one connection; 0: no limit. */
  readonly keepAliveRequests: number;
  /** Between two writes of the response that the client takes. */
  readonly sendTimeoutMs: number;
}

export interface RealIpSettings {
  /** Lower case; `proxy_protocol` is not honoured. */
  readonly header: string;
  readonly recursive: boolean;
  /** Addresses and CIDRs whose `header` is believed. */
  readonly from: readonly string[];
}

export interface UpstreamPoolSettings {
  /** Idle connections kept for one upstream, in each worker; 0: none. */
  readonly keepAlive: number;
  readonly keepAliveRequests: number;
  readonly keepAliveTimeoutMs: number;
}

export interface PrometheusSettings {
  /** undefined: no server of its own. */
  readonly listen: Address | undefined;
  readonly uri: string;
  readonly prefix: string;
}

/** A plugin runner: started by the gateway, or one that runs already. */
export interface RunnerSettings {
  readonly name: string;
  /** Program and arguments; undefined: it runs already, and listens on `socket`. */
  readonly command: readonly string[] | undefined;
  readonly socket: string | undefined;
  /** The plugins that it has; undefined: not known, whatever it says is taken. */
  readonly plugins: readonly string[] | undefined;
}

export interface RunnersSettings {
  readonly runners: readonly RunnerSettings[];
  readonly connectTimeoutMs: number;
  /** For one call, without what the gateway itself takes to answer the runner's questions. */
  readonly timeoutMs: number;
  /** Until a runner that was started accepts connections. */
  readonly startTimeoutMs: number;
  /** Between SIGTERM and SIGKILL. */
  readonly stopTimeoutMs: number;
  /** How long a runner keeps a configuration. */
  readonly confExpireMs: number;
  /** To one runner, in each worker. */
  readonly maxConnections: number;
  /** Largest request or response body that is handed to a runner. */
  readonly maxBodyBytes: number;
}

export interface Settings {
  /** The file they were read from; undefined: defaults only. */
  readonly configFile: string | undefined;
  /** Absolute. */
  readonly dataDir: string;
  readonly role: 'traditional' | 'data_plane' | 'control_plane';
  /** Where resources come from. yaml, json: `resourcesFile`, read-only. */
  readonly store: 'sqlite' | 'memory' | 'yaml' | 'json';
  /** Standalone: `apisix.yaml` or `apisix.json` beside the settings. `--resources` overrides it. */
  readonly resourcesFile: string;
  /** ≥ 1. */
  readonly workers: number;
  /** How long a worker may finish what is in flight when it is told to stop. */
  readonly shutdownTimeoutMs: number;

  readonly listen: readonly Listener[];
  readonly tls: TlsSettings;
  readonly router: HttpRouter;
  /** false: `Server: Gatewright` without a version. */
  readonly serverTokens: boolean;
  readonly normalizeUriLikeServlet: boolean;
  readonly deleteUriTailSlash: boolean;
  readonly showUpstreamStatus: boolean;
  /** Peers whose X-Forwarded-* are kept; others' are rebuilt from the socket. */
  readonly trustedAddresses: readonly string[];
  readonly realIp: RealIpSettings;
  readonly client: ClientLimits;
  /** false: a header field whose name holds `_` is dropped. */
  readonly underscoresInHeaders: boolean;
  readonly upstreamPool: UpstreamPoolSettings;
  readonly dns: {
    /** `ip` or `ip:port`; empty: the system's. */
    readonly servers: readonly string[];
    /** Overrides every TTL; undefined: the record's. */
    readonly ttlMs: number | undefined;
    readonly timeoutMs: number;
  };
  readonly disableUpstreamHealthCheck: boolean;

  readonly admin: {
    readonly enabled: boolean;
    readonly listen: Address;
    /** Empty where the settings give none: see admin-key.ts. */
    readonly keys: readonly AdminKey[];
    readonly keyRequired: boolean;
    /** Addresses and CIDRs that may ask; undefined: any. */
    readonly allow: readonly string[] | undefined;
    readonly cors: boolean;
    readonly ui: boolean;
  };
  /** undefined: off. */
  readonly control: Address | undefined;
  readonly status: Address | undefined;
  readonly prometheus: PrometheusSettings;

  /** As listed; undefined: the default list. Resolve with `enabledPlugins`. */
  readonly plugins: readonly string[] | undefined;
  /** Directories of plugin files, absolute. */
  readonly pluginDirs: readonly string[];
  /** Plugin name → its attributes, as given. */
  readonly pluginAttributes: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** Configurations may hold code that the gateway runs. */
  readonly codeInConfig: boolean;
  /** How much of what was changed is remembered; entries 0: nothing. */
  readonly history: { readonly entries: number; readonly days: number; readonly bytes: number };
  readonly runners: RunnersSettings;
  readonly dataEncryption: { readonly enabled: boolean; readonly keyring: readonly string[] };

  readonly accessLog: AccessLogSettings;
  readonly errorLog: { readonly level: LogLevel };
  /** Functions of the operator that decide about requests. */
  readonly functions: {
    /** Absolute, or relative to the working directory. */
    readonly directory: string;
    /** What one may take, in each worker. */
    readonly memoryBytes: number;
    /** How long one may keep its thread from answering. */
    readonly stallMs: number;
  };
  /** For verdicts of outside authorisers, in all workers together. */
  readonly verdictBytes: number;
  /** Names of environment variables that resources may refer to (`$ENV://NAME`), as given. */
  readonly envs: readonly string[];
}

/** A setting that cannot be used. The message holds file, line, key and reason; it never holds the value of a secret. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError';
  readonly file: string;
  /** From 1; undefined where the file as a whole is meant. */
  readonly line: number | undefined;
  /** `apisix.node_listen[0].port`; '' for the file as a whole. */
  readonly path: string;
  readonly reason: string;

  constructor(file: string, line: number | undefined, path: string, reason: string) {
    super(`${file}${line === undefined ? '' : `:${String(line)}`}: ${path === '' ? '' : `${path}: `}${reason}`);
    this.file = file;
    this.line = line;
    this.path = path;
    this.reason = reason;
  }
}

export interface SettingsSource {
  readonly configFile: string | undefined;
  readonly dataDir: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
}
