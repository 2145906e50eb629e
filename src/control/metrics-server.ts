/** Prometheus' endpoint: adds up what the workers counted and renders it as text, at each scrape. */
import type { Server } from 'node:http';
import { mergeSnapshots, type MetricsSnapshot, renderPrometheus } from '../observability/metrics.ts';
import { createJsonServer } from './json-server.ts';

/** `uri`: `/apisix/prometheus/metrics`. */
export function createMetricsServer(
  collect: () => Promise<MetricsSnapshot[]>,
  { uri }: { readonly uri: string },
): Server {
  return createJsonServer(async (method, segments) => {
    if (method !== 'GET' || `/${segments.join('/')}` !== uri) return undefined;
    return {
      status: 200,
      contentType: 'text/plain; version=0.0.4; charset=utf-8',
      body: renderPrometheus(mergeSnapshots(await collect())),
    };
  });
}
