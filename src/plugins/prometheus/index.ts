/**
 * prometheus: counts each request of the routes it stands on, in `log`, off the critical path: `http_status`,
 * `http_latency` and `bandwidth` with APISIX's names, labels and buckets. What belongs to the gateway as a whole
 * (connections, requests in total, node) is counted where it happens, not here.
 * A request costs a few map look-ups: the instruments of one route, consumer and node are bound once and kept.
 * APISIX: `service` is empty where the route has none, as APISIX's code has it; its documents say the Host, which a
 * client could fill with any number of series.
 */
import { ConfigError } from '../../errors/gateway-error.ts';
import type { Exchange, MatchedRoute } from '../../plugin/exchange.ts';
import { definePlugin, type Counter, type Histogram } from '../../plugin/plugin.ts';

interface Config {
  prefer_name: boolean;
}

interface State {
  readonly preferName: boolean;
  readonly status: Counter;
  readonly latency: Histogram;
  readonly bandwidth: Counter;
  /** Variables read for the extra labels, and how many of them each instrument has, in the order above. */
  readonly extraVariables: readonly string[];
  readonly extraCounts: readonly [number, number, number];
  /** Route → consumer, node and extra values → instruments. A changed route is another object: the old one's go with it. */
  readonly byRoute: WeakMap<object, Map<string, Map<string, Series>>>;
}

interface Observer {
  observe(value: number): void;
}
interface Adder {
  add(n: number): void;
}

/** The instruments of one route, consumer and node. */
interface Series {
  readonly statuses: Map<number, Adder>;
  /** Binds the counter of a status that is seen first. */
  readonly bindStatus: (status: number) => Adder;
  readonly request: Observer;
  readonly apisix: Observer;
  /** undefined: no node was used, so there is nothing to time. */
  readonly upstream: Observer | undefined;
  readonly ingress: Adder;
  readonly egress: Adder;
}

/** Milliseconds. */
const defaultBuckets = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000];
/** Stands for "no route matched" in the map; the plugin then runs from a global rule. */
const noRoute = {};

export const prometheus = definePlugin<Config, State>({
  name: 'prometheus',
  priority: 500,
  version: '0.2',
  schema: {
    type: 'object',
    properties: {
      prefer_name: {
        type: 'boolean',
        default: false,
        description: 'Label with the names of route and service instead of their ids.',
      },
    },
  },

  compile(config, { metrics, attributes }) {
    const prefix = typeof attributes['metric_prefix'] === 'string' ? attributes['metric_prefix'] : 'apisix_';
    const extra = ['http_status', 'http_latency', 'bandwidth'].map((metric) => extraLabels(attributes, metric));
    const [ofStatus = [], ofLatency = [], ofBandwidth = []] = extra;
    const common = ['route', 'service', 'consumer', 'node'];
    return {
      preferName: config.prefer_name,
      status: metrics.counter(`${prefix}http_status`, 'HTTP status codes per service in APISIX', [
        ...['code', 'route', 'matched_uri', 'matched_host', 'service', 'consumer', 'node'],
        ...ofStatus.map(([label]) => label),
      ]),
      latency: metrics.histogram(
        `${prefix}http_latency`,
        'HTTP request latency in milliseconds per service in APISIX',
        ['type', ...common, ...ofLatency.map(([label]) => label)],
        latencyBuckets(attributes),
      ),
      bandwidth: metrics.counter(`${prefix}bandwidth`, 'Total bandwidth in bytes consumed per service in APISIX', [
        ...['type', ...common],
        ...ofBandwidth.map(([label]) => label),
      ]),
      extraVariables: extra.flat().map(([, variable]) => variable),
      extraCounts: [ofStatus.length, ofLatency.length, ofBandwidth.length],
      byRoute: new WeakMap(),
    };
  },

  log(state, exchange) {
    const series = seriesOf(state, exchange);
    const { status } = exchange.response;
    let counter = series.statuses.get(status);
    if (counter === undefined) series.statuses.set(status, (counter = series.bindStatus(status)));
    counter.add(1);
    const { start, end = start, upstreamStart, upstreamEnd = end } = exchange.times;
    const total = end - start;
    const upstream = upstreamStart === undefined ? 0 : upstreamEnd - upstreamStart;
    series.request.observe(total);
    if (upstreamStart !== undefined) series.upstream?.observe(upstream);
    series.apisix.observe(Math.max(0, total - upstream));
    series.ingress.add(exchange.bytesReceived);
    series.egress.add(exchange.bytesSent);
  },
});

function seriesOf(state: State, exchange: Exchange): Series {
  const route = exchange.route ?? noRoute;
  let byConsumer = state.byRoute.get(route);
  if (byConsumer === undefined) state.byRoute.set(route, (byConsumer = new Map<string, Map<string, Series>>()));
  const consumer = exchange.consumer?.username ?? '';
  let byNode = byConsumer.get(consumer);
  if (byNode === undefined) byConsumer.set(consumer, (byNode = new Map<string, Series>()));
  const node = exchange.upstreamNode ?? '';
  if (state.extraVariables.length === 0) {
    let series = byNode.get(node);
    if (series === undefined) byNode.set(node, (series = bindSeries(state, exchange.route, consumer, node, [])));
    return series;
  }
  const extra = state.extraVariables.map((name) => exchange.variable(name) ?? '');
  const key = JSON.stringify([node, ...extra]);
  let series = byNode.get(key);
  if (series === undefined) byNode.set(key, (series = bindSeries(state, exchange.route, consumer, node, extra)));
  return series;
}

function bindSeries(
  state: State,
  route: MatchedRoute | undefined,
  consumer: string,
  node: string,
  extra: readonly string[],
): Series {
  const [ofStatus, ofLatency] = state.extraCounts;
  const name = (state.preferName ? route?.name : undefined) ?? route?.id ?? '';
  const service = (state.preferName ? route?.serviceName : undefined) ?? route?.serviceId ?? '';
  const address = node.replace(/:\d+$/, '');
  const common = [name, service, consumer, address];
  const latency = (type: string): Observer =>
    state.latency.with([type, ...common, ...extra.slice(ofStatus, ofStatus + ofLatency)]);
  const bandwidth = (type: string): Adder =>
    state.bandwidth.with([type, ...common, ...extra.slice(ofStatus + ofLatency)]);
  const matched = [route?.uri ?? '', route?.host ?? ''];
  return {
    statuses: new Map(),
    bindStatus: (status) =>
      state.status.with([String(status), name, ...matched, service, consumer, address, ...extra.slice(0, ofStatus)]),
    request: latency('request'),
    apisix: latency('apisix'),
    upstream: node === '' ? undefined : latency('upstream'),
    ingress: bandwidth('ingress'),
    egress: bandwidth('egress'),
  };
}

/** `plugin_attr.prometheus.metrics.METRIC.extra_labels`, a list of `{label: $variable}`, as [label, variable]. */
function extraLabels(attributes: Readonly<Record<string, unknown>>, metric: string): [string, string][] {
  const labels = member(member(attributes['metrics'], metric), 'extra_labels');
  if (labels === undefined) return [];
  const where = `plugin_attr.prometheus.metrics.${metric}.extra_labels`;
  if (!Array.isArray(labels)) throw new ConfigError(`${where} must be a list`);
  return labels.map((label: unknown) => {
    const [pair] = Object.entries(label ?? {}) as [string, unknown][];
    const variable = pair?.[1];
    if (pair === undefined || typeof variable !== 'string' || !variable.startsWith('$')) {
      throw new ConfigError(`${where}: each item must be a label and its $variable`);
    }
    return [pair[0], variable.slice(1)];
  });
}

function latencyBuckets(attributes: Readonly<Record<string, unknown>>): readonly number[] {
  const configured = attributes['default_buckets'];
  if (configured === undefined) return defaultBuckets;
  if (!Array.isArray(configured) || !configured.every((bound) => typeof bound === 'number')) {
    throw new ConfigError('plugin_attr.prometheus.default_buckets must be a list of numbers');
  }
  return configured.toSorted((a, b) => a - b);
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}
