/**
 * A real gateway process for integration tests: its own directory, free ports on loopback, stopped by pid.
 * `await using gateway = await startGateway()` ends it with the test.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parse, stringify } from 'yaml';

export interface Gateway extends AsyncDisposable {
  readonly process: ChildProcess;
  readonly directory: string;
  readonly ports: Ports;
  /** `http://127.0.0.1:PORT` of the data plane. */
  readonly url: string;
  readonly adminUrl: string;
  readonly adminKey: string;
  /** Everything the process wrote so far. */
  output(): string;
  /** Admin API call with the key; `path` below /apisix/admin. Parses the answer as JSON. */
  admin(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<{ status: number; headers: Headers; body: Record<string, unknown> }>;
  /** Sends the signal and waits for the exit. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

export interface Ports {
  readonly data: number;
  readonly tls: number;
  readonly admin: number;
  readonly control: number;
  readonly status: number;
  readonly metrics: number;
}

export interface GatewayOptions {
  /** Merged over the test's own settings, key by key (config.yaml's shape). */
  readonly settings?: Record<string, unknown>;
  readonly arguments?: readonly string[];
  /** A directory to start in again; it is kept then. */
  readonly directory?: string;
  readonly ports?: Ports;
  readonly env?: Record<string, string>;
  /** Settings to begin with; the test's ports and `settings` are merged over them. */
  readonly baseFile?: string;
  /** Written beside config.yaml before the start, by name. */
  readonly files?: Readonly<Record<string, string>>;
}

export const testAdminKey = 'test-admin-key-0123456789abcdef';
const startLimitMs = 20_000;

export async function freePorts(): Promise<Ports> {
  const servers = await Promise.all(
    Array.from(
      { length: 6 },
      () =>
        new Promise<{ port: number; close: () => Promise<void> }>((resolve) => {
          const server = createServer().listen(0, '127.0.0.1', () => {
            const address = server.address();
            resolve({
              port: typeof address === 'object' && address !== null ? address.port : 0,
              close: () =>
                new Promise((closed) =>
                  server.close(() => {
                    closed();
                  }),
                ),
            });
          });
        }),
    ),
  );
  const [data = 0, tls = 0, admin = 0, control = 0, status = 0, metrics = 0] = servers.map((server) => server.port);
  await Promise.all(servers.map((server) => server.close()));
  return { data, tls, admin, control, status, metrics };
}

/** Resolves when GET /status/ready answers 200; rejects with the process's output when it ends first. */
export async function startGateway(options: GatewayOptions = {}): Promise<Gateway> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOnce(options);
    } catch (error) {
      // Another test file took a port between our look and the gateway's.
      if (attempt === 3 || options.ports !== undefined || !String(error).includes('is already in use')) throw error;
    }
  }
}

async function startOnce(options: GatewayOptions): Promise<Gateway> {
  const directory = options.directory ?? (await mkdtemp(join(tmpdir(), 'gatewright-')));
  const ports = options.ports ?? (await freePorts());
  const configFile = join(directory, 'config.yaml');
  const base =
    options.baseFile === undefined ? {} : (parse(await readFile(options.baseFile, 'utf8')) as Record<string, unknown>);
  await writeFile(configFile, stringify(merge(base, testSettings(ports, options.settings))));
  for (const [name, text] of Object.entries(options.files ?? {})) {
    await mkdir(dirname(join(directory, name)), { recursive: true });
    await writeFile(join(directory, name), text);
  }
  const child = spawn(
    process.execPath,
    [
      'bin/gatewright.ts',
      'start',
      '--config',
      configFile,
      '--data-dir',
      join(directory, 'data'),
      ...(options.arguments ?? []),
    ],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...options.env } },
  );
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));

  const stop = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    return exited;
  };
  const deadline = Date.now() + startLimitMs;
  while (!(await answersReady(ports.status))) {
    if (child.exitCode !== null || child.signalCode !== null || Date.now() > deadline) {
      await stop('SIGKILL');
      throw new Error(`the gateway did not start:\n${output}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  const adminUrl = `http://127.0.0.1:${ports.admin}/apisix/admin`;
  return {
    process: child,
    directory,
    ports,
    url: `http://127.0.0.1:${ports.data}`,
    adminUrl,
    adminKey: testAdminKey,
    output: () => output,
    admin: async (method, path, body, headers = {}) => {
      const response = await fetch(`${adminUrl}${path}`, {
        method,
        headers: { 'X-API-KEY': testAdminKey, ...headers },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      });
      const text = await response.text();
      return {
        status: response.status,
        headers: response.headers,
        body: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>),
      };
    },
    stop,
    [Symbol.asyncDispose]: async () => {
      await stop();
      if (options.directory === undefined) await rm(directory, { recursive: true, force: true });
    },
  };
}

async function answersReady(port: number): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/status/ready`);
    await response.arrayBuffer();
    return response.status === 200;
  } catch {
    return false;
  }
}

/** config.yaml of a test gateway: all on loopback and on these ports. */
export function testSettings(ports: Ports, settings: Record<string, unknown> = {}): Record<string, unknown> {
  return merge(defaultSettings(ports), settings);
}

function defaultSettings(ports: Ports): Record<string, unknown> {
  return {
    apisix: {
      node_listen: [{ ip: '127.0.0.1', port: ports.data }],
      ssl: { enable: true, listen: [{ ip: '127.0.0.1', port: ports.tls }] },
      control: { ip: '127.0.0.1', port: ports.control },
      status: { ip: '127.0.0.1', port: ports.status },
    },
    deployment: {
      admin: {
        admin_listen: { ip: '127.0.0.1', port: ports.admin },
        admin_key: [{ name: 'admin', key: testAdminKey, role: 'admin' }],
      },
    },
    nginx_config: { worker_processes: 2, http: { enable_access_log: false } },
    plugin_attr: { prometheus: { export_addr: { ip: '127.0.0.1', port: ports.metrics } } },
  };
}

function merge(base: Record<string, unknown>, over: Record<string, unknown>): Record<string, unknown> {
  const merged = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const below = merged[key];
    merged[key] = isMap(below) && isMap(value) ? merge(below, value) : value;
  }
  return merged;
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
