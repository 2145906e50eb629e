/**
 * An upstream's `checks` with APISIX's defaults filled in (tutorials/health-check, schema_def.lua). Compiled when an upstream
 * is put, in the control plane; workers never read checks.
 */
import { METHODS, validateHeaderName, validateHeaderValue } from 'node:http';
import type { HealthChecks } from '../../../resources/upstream.ts';

/** How many outcomes of one kind in a row change a node's health; 0: that kind is not counted. */
export interface Thresholds {
  readonly healthyStatuses: ReadonlySet<number>;
  readonly unhealthyStatuses: ReadonlySet<number>;
  readonly successes: number;
  readonly httpFailures: number;
  readonly tcpFailures: number;
  readonly timeouts: number;
}

export interface ActiveChecks {
  readonly type: 'http' | 'https' | 'tcp';
  readonly timeoutMs: number;
  readonly concurrency: number;
  readonly host: string | undefined;
  readonly port: number | undefined;
  readonly path: string;
  readonly method: string;
  readonly verifyCertificate: boolean;
  readonly headers: readonly (readonly [string, string])[];
  readonly healthyIntervalMs: number;
  readonly unhealthyIntervalMs: number;
  readonly thresholds: Thresholds;
}

export interface CompiledChecks {
  readonly type: 'http' | 'https' | 'tcp';
  readonly active: ActiveChecks | undefined;
  readonly passive: Thresholds | undefined;
}

const activeHealthyStatuses = [200, 302];
const activeUnhealthyStatuses = [429, 404, 500, 501, 502, 503, 504, 505];
const passiveHealthyStatuses = [
  200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 306, 307, 308,
];
const passiveUnhealthyStatuses = [429, 500, 503];

export function compileChecks({ active, passive }: HealthChecks): CompiledChecks {
  return {
    type: active === undefined ? (passive?.type ?? 'http') : (active.type ?? 'http'),
    active: active && compileActive(active),
    passive: passive && compilePassive(passive),
  };
}

function compileActive(active: NonNullable<HealthChecks['active']>): ActiveChecks {
  const { healthy = {}, unhealthy = {} } = active;
  return {
    type: active.type ?? 'http',
    timeoutMs: (active.timeout ?? 1) * 1000,
    concurrency: Math.max(active.concurrency ?? 10, 1),
    host: active.host,
    port: active.port,
    path: compilePath(active.http_path ?? '/'),
    method: METHODS.includes(active.http_method ?? '') ? (active.http_method ?? 'GET') : 'GET',
    verifyCertificate: active.https_verify_certificate ?? true,
    headers: (active.req_headers ?? []).map(parseHeader).filter((header) => header !== undefined),
    healthyIntervalMs: (healthy.interval ?? 1) * 1000,
    unhealthyIntervalMs: (unhealthy.interval ?? 1) * 1000,
    thresholds: {
      healthyStatuses: new Set(healthy.http_statuses ?? activeHealthyStatuses),
      unhealthyStatuses: new Set(unhealthy.http_statuses ?? activeUnhealthyStatuses),
      successes: healthy.successes ?? 2,
      httpFailures: unhealthy.http_failures ?? 5,
      tcpFailures: unhealthy.tcp_failures ?? 2,
      timeouts: unhealthy.timeouts ?? 3,
    },
  };
}

function compilePassive({ healthy = {}, unhealthy = {} }: NonNullable<HealthChecks['passive']>): Thresholds {
  return {
    healthyStatuses: new Set(healthy.http_statuses ?? passiveHealthyStatuses),
    unhealthyStatuses: new Set(unhealthy.http_statuses ?? passiveUnhealthyStatuses),
    successes: healthy.successes ?? 5,
    httpFailures: unhealthy.http_failures ?? 5,
    tcpFailures: unhealthy.tcp_failures ?? 2,
    timeouts: unhealthy.timeouts ?? 7,
  };
}

/** A request-target that may be sent: from the root, without spaces, controls and what is not ASCII (RFC 9112 §3.2.1). */
function compilePath(path: string): string {
  const encoded = path.replace(/[^\x21-\x7e]+/g, (part) => encodeURIComponent(part.toWellFormed()));
  return encoded.startsWith('/') ? encoded : `/${encoded}`;
}

/** `Name: value`. Undefined where HTTP does not allow it as a field. */
function parseHeader(line: string): readonly [string, string] | undefined {
  const colon = line.indexOf(':');
  const name = line.slice(0, Math.max(colon, 0)).trim();
  const value = line.slice(colon + 1).trim();
  try {
    validateHeaderName(name);
    validateHeaderValue(name, value);
    return [name, value];
  } catch {
    return undefined;
  }
}
