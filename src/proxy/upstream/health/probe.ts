/**
 * One active check of one node: connects, and for http and https reads the status of one answer. Follows no redirect,
 * reads no body, reuses no connection. In the control plane, apart from the requests' own connections.
 */
import { request as httpRequest, type ClientRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect, isIP } from 'node:net';
import type { Clock } from '../discovery/clock.ts';
import type { ActiveChecks } from './checks.ts';
import type { NodeOutcome } from './node-health.ts';

export interface ProbeTarget {
  readonly address: string;
  readonly port: number;
  /** Host field as sent; its name is also the server name (SNI) and what the certificate must be for. */
  readonly hostHeader: string;
  /** PEM, where the upstream asks for a client certificate. */
  readonly clientCert?: string | undefined;
  readonly clientKey?: string | undefined;
}

/** Never rejects. Resolves within the checks' time-out; as `connect_failed`, at once, when `signal` aborts. */
export function probe(
  target: ProbeTarget,
  checks: ActiveChecks,
  clock: Clock,
  signal: AbortSignal,
): Promise<NodeOutcome> {
  return new Promise((resolve) => {
    const attempt = checks.type === 'tcp' ? openConnection(target, settle) : sendRequest(target, checks, settle);
    const cancelTimeout = clock.after(checks.timeoutMs, () => {
      settle({ kind: 'timeout' });
    });
    signal.addEventListener('abort', abort);
    if (signal.aborted) abort();

    function abort(): void {
      settle({ kind: 'connect_failed' });
    }
    function settle(outcome: NodeOutcome): void {
      cancelTimeout();
      signal.removeEventListener('abort', abort);
      attempt.destroy();
      resolve(outcome);
    }
  });
}

function openConnection({ address, port }: ProbeTarget, settle: (outcome: NodeOutcome) => void): { destroy(): void } {
  const socket = connect({ host: address, port });
  socket.on('connect', () => {
    settle({ kind: 'success' });
  });
  socket.on('error', () => {
    settle({ kind: 'connect_failed' });
  });
  return socket;
}

function sendRequest(target: ProbeTarget, checks: ActiveChecks, settle: (outcome: NodeOutcome) => void): ClientRequest {
  const options = {
    host: target.address,
    port: target.port,
    method: checks.method,
    path: checks.path,
    headers: headersOf(target, checks),
    agent: false,
  };
  const name = hostName(target.hostHeader);
  const request =
    checks.type === 'http'
      ? httpRequest(options)
      : httpsRequest({
          ...options,
          rejectUnauthorized: checks.verifyCertificate,
          ...(isIP(name) === 0 && { servername: name }),
          cert: target.clientCert,
          key: target.clientKey,
        });
  request.on('response', (response) => {
    settle({ kind: 'status', status: response.statusCode ?? 0 });
  });
  request.on('error', (error) => {
    settle(isParseError(error) ? { kind: 'status', status: 0 } : { kind: 'connect_failed' });
  });
  request.on('close', () => {
    settle({ kind: 'connect_failed' });
  });
  request.end();
  return request;
}

/** Alternating names and values. The configured ones may replace Host. */
function headersOf({ hostHeader }: ProbeTarget, { headers, method }: ActiveChecks): string[] {
  const own: [string, string][] = [['Connection', 'close']];
  if (!headers.some(([name]) => name.toLowerCase() === 'host')) own.unshift(['Host', hostHeader]);
  if (method !== 'GET' && method !== 'HEAD') own.push(['Content-Length', '0']);
  return [...own, ...headers].flat();
}

function hostName(hostHeader: string): string {
  return hostHeader.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
}

/** llhttp's errors: something answered, and it was not HTTP. */
function isParseError(error: Error): boolean {
  return 'code' in error && String(error.code).startsWith('HPE_');
}
