/** Prometheus' endpoint: adds up what the workers counted and renders it as text, at each scrape. */
import type { Server } from 'node:http';
import type { MetricsSnapshot } from '../observability/metrics.ts';
import { mergeSnapshots, prometheusContentType, renderPrometheus } from '../observability/render-metrics.ts';
import { createJsonServer } from './json-server.ts';

/** `uri`: `/apisix/prometheus/metrics`. */
export function createMetricsServer(
  collect: () => Promise<MetricsSnapshot[]>,
  { uri }: { readonly uri: string },
): Server {
  return createJsonServer(async (method, segments) => {
    if ((method !== 'GET' && method !== 'HEAD') || `/${segments.join('/')}` !== uri) return undefined;
    return {
      status: 200,
      contentType: prometheusContentType,
      body: renderPrometheus(mergeSnapshots(await collect())),
    };
  });
}
