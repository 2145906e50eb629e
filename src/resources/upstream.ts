/** upstream: where requests go, how they are spread, and how nodes are watched (APISIX: admin-api, Upstream). */
import type { ResourceFields, Timeouts } from './resource.ts';

export interface UpstreamNode {
  host: string;
  /** Absent: 80 or 443 by scheme. */
  port?: number;
  weight: number;
  /** Higher is tried first; default 0. */
  priority?: number;
  metadata?: Record<string, unknown>;
}

export type BalancerType = 'roundrobin' | 'chash' | 'least_conn' | 'ewma';

export interface Upstream extends ResourceFields {
  type?: BalancerType;
  /** `{"host:port": weight}` or a list of nodes. */
  nodes?: Record<string, number> | UpstreamNode[];
  service_name?: string;
  discovery_type?: string;
  discovery_args?: Record<string, unknown>;
  hash_on?: 'vars' | 'header' | 'cookie' | 'consumer' | 'vars_combinations';
  key?: string;
  checks?: HealthChecks;
  retries?: number;
  /** Seconds; 0: no limit. */
  retry_timeout?: number;
  timeout?: Timeouts;
  scheme?: 'http' | 'https' | 'grpc' | 'grpcs' | 'tcp' | 'udp' | 'tls' | 'kafka';
  pass_host?: 'pass' | 'node' | 'rewrite';
  upstream_host?: string;
  /** idle_timeout in seconds. */
  keepalive_pool?: { size?: number; idle_timeout?: number; requests?: number };
  tls?: { client_cert?: string; client_key?: string; client_cert_id?: string; verify?: boolean };
}

export interface HealthChecks {
  active?: {
    type?: 'http' | 'https' | 'tcp';
    /** Seconds. */
    timeout?: number;
    concurrency?: number;
    host?: string;
    port?: number;
    http_path?: string;
    http_method?: string;
    https_verify_certificate?: boolean;
    req_headers?: string[];
    healthy?: { interval?: number; http_statuses?: number[]; successes?: number };
    unhealthy?: {
      interval?: number;
      http_statuses?: number[];
      http_failures?: number;
      tcp_failures?: number;
      timeouts?: number;
    };
  };
  passive?: {
    type?: 'http' | 'https' | 'tcp';
    healthy?: { http_statuses?: number[]; successes?: number };
    unhealthy?: { http_statuses?: number[]; http_failures?: number; tcp_failures?: number; timeouts?: number };
  };
}
