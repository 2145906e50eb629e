/**
 * A real Open Policy Agent on a free loopback port, in memory only; `await using` ends it. Built from its Go module once (a minute or
 * two), and kept (`built-once.ts`).
 */
import { spawn, spawnSync } from 'node:child_process';
import { createServer } from 'node:net';
import { once } from 'node:events';
import path from 'node:path';
import { builtOnce } from './built-once.ts';

const version = '1.9.0';
const buildLimitMs = 600_000;
const startLimitMs = 20_000;

export interface TestOpa extends AsyncDisposable {
  readonly url: string;
  /** Sets a policy, in Rego. */
  policy(id: string, source: string): Promise<void>;
}

export async function startOpa(): Promise<TestOpa> {
  const program = path.join(builtOnce(`opa-${version}`, build), 'opa');
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const child = spawn(
    program,
    ['run', '--server', '--addr', `127.0.0.1:${port}`, '--log-level', 'error', '--disable-telemetry'],
    {
      stdio: 'ignore',
    },
  );
  const dispose = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
  const deadline = Date.now() + startLimitMs;
  while (!(await answers(url))) {
    if (Date.now() < deadline && child.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 25));
    else {
      await dispose();
      throw new Error('OPA did not start');
    }
  }
  return {
    url,
    async policy(id, source) {
      const response = await fetch(`${url}/v1/policies/${id}`, { method: 'PUT', body: source });
      if (!response.ok) throw new Error(await response.text());
      await response.arrayBuffer();
    },
    [Symbol.asyncDispose]: dispose,
  };
}

function build(folder: string): void {
  const { status, stderr } = spawnSync('go', ['install', `github.com/open-policy-agent/opa@v${version}`], {
    env: { ...process.env, GOBIN: folder, CGO_ENABLED: '0', GOFLAGS: '-trimpath' },
    encoding: 'utf8',
    timeout: buildLimitMs,
  });
  if (status !== 0) throw new Error(`OPA cannot be built with go: ${stderr}`);
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/health`);
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}
