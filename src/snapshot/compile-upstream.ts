/** Upstream resource → what the forwarding needs, with APISIX's defaults filled in. */
import { hash } from 'node:crypto';
import { ConfigError } from '../errors/gateway-error.ts';
import type { CompiledUpstream } from '../proxy/pipeline/compiled.ts';
import { createTarget, type TargetDeps } from '../proxy/upstream/target.ts';
import type { Timeouts } from '../resources/resource.ts';
import type { Upstream } from '../resources/upstream.ts';

export interface UpstreamDefaults {
  readonly poolSize: number;
  readonly poolIdleTimeoutMs: number;
  readonly poolRequests: number;
}

/** Seconds; APISIX's default for each. */
const defaultTimeout = 60;

/** `clientCertificate`: the ssl resource that `tls.client_cert_id` names. Throws ConfigError. */
export function compileUpstream(
  upstream: Upstream,
  deps: TargetDeps,
  defaults: UpstreamDefaults,
  clientCertificate: { cert: string; key: string } | undefined,
): CompiledUpstream {
  const scheme = upstream.scheme ?? 'http';
  if (scheme !== 'http' && scheme !== 'https') throw new ConfigError(`upstream scheme ${scheme} is not served`);
  if (upstream.service_name !== undefined)
    throw new ConfigError(`service discovery (${upstream.discovery_type ?? upstream.service_name}) is not served`);
  const tlsCert = upstream.tls?.client_cert ?? clientCertificate?.cert;
  const tlsKey = upstream.tls?.client_key ?? clientCertificate?.key;
  const tlsVerify = upstream.tls?.verify ?? false;
  const pool = upstream.keepalive_pool;
  return {
    key: deps.key,
    target: createTarget(upstream, deps),
    scheme,
    passHost: upstream.pass_host ?? 'pass',
    upstreamHost: upstream.upstream_host,
    retries: upstream.retries,
    retryTimeoutMs: (upstream.retry_timeout ?? 0) * 1000,
    ...timeoutsMs(upstream.timeout),
    pool: {
      size: pool?.size ?? defaults.poolSize,
      idleTimeoutMs: pool?.idle_timeout === undefined ? defaults.poolIdleTimeoutMs : pool.idle_timeout * 1000,
      maxRequests: pool?.requests ?? defaults.poolRequests,
    },
    tlsVerify,
    tlsCert,
    tlsKey,
    poolPrefix: `${tlsVerify ? 'verify' : 'any'}|${tlsCert === undefined ? '' : hash('sha256', `${tlsCert.length}:${tlsCert}${tlsKey ?? ''}`)}`,
    reportsHealth: upstream.checks !== undefined,
  };
}

/** A route's `timeout` goes before its upstream's. */
export function withTimeouts(upstream: CompiledUpstream, timeout: Timeouts | undefined): CompiledUpstream {
  return timeout === undefined ? upstream : { ...upstream, ...timeoutsMs(timeout) };
}

function timeoutsMs(
  timeout: Timeouts | undefined,
): Pick<CompiledUpstream, 'connectTimeoutMs' | 'sendTimeoutMs' | 'readTimeoutMs'> {
  return {
    connectTimeoutMs: (timeout?.connect ?? defaultTimeout) * 1000,
    sendTimeoutMs: (timeout?.send ?? defaultTimeout) * 1000,
    readTimeoutMs: (timeout?.read ?? defaultTimeout) * 1000,
  };
}
