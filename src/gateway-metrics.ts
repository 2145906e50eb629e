/** What the gateway counts of itself, beside the prometheus plugin: under APISIX's names, so that its dashboards fill. */
import { hostname } from 'node:os';
import type { Metrics } from './plugin/plugin.ts';
import type { MetricSnapshot } from './observability/metrics.ts';
import type { Proxy } from './proxy/proxy.ts';

/** In a worker, before its metrics are read. Gauges of several workers add up. */
export function observeProxy(metrics: Metrics, proxy: Proxy, prefix: string): void {
  const connections = metrics.gauge(`${prefix}nginx_http_current_connections`, 'Number of HTTP connections', ['state']);
  connections.with(['active']).set(proxy.connections.size);
  connections.with(['accepted']).set(proxy.accepted);
  connections.with(['handled']).set(proxy.accepted);
  connections.with(['waiting']).set(proxy.connections.size - proxy.inFlight);
  connections.with(['writing']).set(proxy.inFlight);
  metrics
    .gauge(`${prefix}http_requests_total`, 'The total number of client requests since the gateway started', [])
    .with([])
    .set(proxy.requests);
}

export interface NodeFacts {
  /** Of the stored configuration. */
  readonly revision: number;
  readonly verdictEvictions: number;
}

/** In the control plane: what is true once for the process. */
export function nodeMetrics(prefix: string, { revision, verdictEvictions }: NodeFacts): MetricSnapshot[] {
  const gauge = (
    name: string,
    help: string,
    labels: readonly string[],
    values: readonly string[],
    value: number,
  ): MetricSnapshot => ({
    name: `${prefix}${name}`,
    type: 'gauge',
    help,
    labels,
    buckets: [],
    series: [{ labels: values, value, counts: [] }],
  });
  const evictions: MetricSnapshot = {
    name: 'verdict_cache_evictions_total',
    type: 'counter',
    help: 'Kept verdicts that gave way before their time: gatewright.verdicts.size is small',
    labels: [],
    buckets: [],
    series: [{ labels: [], value: verdictEvictions, counts: [] }],
  };
  return [
    gauge('node_info', 'Info of the gateway node', ['hostname'], [hostname()], 1),
    gauge('etcd_modify_indexes', 'Revision of the stored configuration', ['key'], ['max_modify_index'], revision),
    evictions,
  ];
}
