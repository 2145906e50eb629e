/**
 * Snapshots of all workers → one, and one → Prometheus's text format 0.0.4. Runs in the control plane, at a scrape.
 * Counters, gauges and histograms add up: each worker counts what it did itself.
 */
import type { MetricSnapshot, MetricsSnapshot, SeriesSnapshot } from './metrics.ts';

export const prometheusContentType = 'text/plain; version=0.0.4; charset=utf-8';

/** Metrics in the order they first came, series in theirs. A metric that a worker declares differently is left out for that worker. */
export function mergeSnapshots(snapshots: readonly MetricsSnapshot[]): MetricsSnapshot {
  if (snapshots.length === 1) return snapshots[0] ?? [];
  const merged = new Map<string, { metric: MetricSnapshot; series: Map<string, SeriesSnapshot> }>();
  for (const metric of snapshots.flat()) {
    let target = merged.get(metric.name);
    if (target === undefined) merged.set(metric.name, (target = { metric, series: new Map() }));
    else if (!sameShape(target.metric, metric)) continue;
    for (const one of metric.series) {
      const key = JSON.stringify(one.labels);
      const other = target.series.get(key);
      target.series.set(key, other === undefined ? one : addSeries(other, one));
    }
  }
  return Array.from(merged.values(), ({ metric, series }) => ({ ...metric, series: [...series.values()] }));
}

function sameShape(left: MetricSnapshot, right: MetricSnapshot): boolean {
  return (
    left.type === right.type &&
    JSON.stringify([left.labels, left.buckets]) === JSON.stringify([right.labels, right.buckets])
  );
}

function addSeries(left: SeriesSnapshot, right: SeriesSnapshot): SeriesSnapshot {
  return {
    labels: left.labels,
    value: left.value + right.value,
    counts: left.counts.map((count, index) => count + (right.counts[index] ?? 0)),
  };
}

/** One text, ending in a newline; '' without metrics. A metric without series is left out. */
export function renderPrometheus(snapshot: MetricsSnapshot): string {
  const lines: string[] = [];
  for (const metric of snapshot) {
    if (metric.series.length === 0) continue;
    lines.push(`# HELP ${metric.name} ${escapeHelp(metric.help)}`, `# TYPE ${metric.name} ${metric.type}`);
    for (const one of metric.series) {
      const labels = metric.labels.map((name, index) => `${name}="${escapeLabel(one.labels[index] ?? '')}"`).join(',');
      if (metric.type === 'histogram') pushHistogram(lines, metric, one, labels);
      else lines.push(`${metric.name}${labels === '' ? '' : `{${labels}}`} ${formatNumber(one.value)}`);
    }
  }
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

function pushHistogram(lines: string[], metric: MetricSnapshot, one: SeriesSnapshot, labels: string): void {
  const before = labels === '' ? '' : `${labels},`;
  const after = labels === '' ? '' : `{${labels}}`;
  let total = 0;
  for (const [index, count] of one.counts.entries()) {
    total += count;
    const bound = formatNumber(metric.buckets[index] ?? Infinity);
    lines.push(`${metric.name}_bucket{${before}le="${bound}"} ${String(total)}`);
  }
  lines.push(`${metric.name}_sum${after} ${formatNumber(one.value)}`, `${metric.name}_count${after} ${String(total)}`);
}

const escapeHelp = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');

function escapeLabel(text: string): string {
  return /[\\"\n]/.test(text) ? escapeHelp(text).replaceAll('"', '\\"') : text;
}

function formatNumber(value: number): string {
  if (value === Infinity) return '+Inf';
  return value === -Infinity ? '-Inf' : String(value);
}
