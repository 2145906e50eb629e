/**
 * One worker's metrics: counters, gauges and histograms with labels, as handles that cost an addition.
 * `snapshot()` goes to the control plane at each scrape, which adds the workers up (`render-metrics.ts`) and renders them.
 * Invariant: an instrument holds at most `maxSeries` label sets; what comes after is counted in one series labelled `overflow`.
 */
import type { Counter, Gauge, Histogram, Metrics } from '../plugin/plugin.ts';

export type MetricType = 'counter' | 'gauge' | 'histogram';

export interface SeriesSnapshot {
  /** In the order of the metric's labels. */
  readonly labels: readonly string[];
  /** counter, gauge: the value; histogram: the sum of what was observed. */
  readonly value: number;
  /** histogram: observations in each bucket (not cumulative), the last beyond all bounds; otherwise empty. */
  readonly counts: readonly number[];
}

export interface MetricSnapshot {
  readonly name: string;
  readonly type: MetricType;
  readonly help: string;
  readonly labels: readonly string[];
  /** Upper bounds, ascending. */
  readonly buckets: readonly number[];
  readonly series: readonly SeriesSnapshot[];
}

/** Structured-cloneable. */
export type MetricsSnapshot = readonly MetricSnapshot[];

export interface WorkerMetrics extends Metrics {
  snapshot(): MetricsSnapshot;
}

/** A service with 10,000 routes and a few statuses fits; a label that a client can fill does not grow without bound. */
const defaultMaxSeries = 100_000;
const overflowMetric = 'gatewright_metric_overflow_total';

class Series {
  readonly labels: readonly string[];
  readonly #bounds: readonly number[];
  value = 0;
  readonly counts: number[];

  constructor(labels: readonly string[], bounds: readonly number[], histogram: boolean) {
    this.labels = labels;
    this.#bounds = bounds;
    this.counts = histogram ? new Array<number>(bounds.length + 1).fill(0) : [];
  }

  set(n: number): void {
    this.value = n;
  }

  add(n: number): void {
    this.value += n;
  }

  observe(value: number): void {
    this.value += value;
    const bounds = this.#bounds;
    let bucket = 0;
    while (bucket < bounds.length && value > (bounds[bucket] as number)) bucket += 1;
    (this.counts[bucket] as number)++;
  }
}

class Instrument {
  readonly name: string;
  readonly type: MetricType;
  readonly help: string;
  readonly labels: readonly string[];
  readonly buckets: readonly number[];
  readonly #series = new Map<string, Series>();
  readonly #maxSeries: number;
  readonly #onOverflow: (name: string) => void;
  #overflow: Series | undefined;

  constructor(
    name: string,
    type: MetricType,
    help: string,
    labels: readonly string[],
    buckets: readonly number[],
    maxSeries: number,
    onOverflow: (name: string) => void,
  ) {
    this.name = name;
    this.type = type;
    this.help = help;
    this.labels = labels;
    this.buckets = buckets;
    this.#maxSeries = maxSeries;
    this.#onOverflow = onOverflow;
  }

  with(labels: readonly string[]): Series {
    if (labels.length !== this.labels.length) {
      throw new TypeError(`${this.name} has ${String(this.labels.length)} labels, not ${String(labels.length)}`);
    }
    // Quoted, so that ['a,b', 'c'] and ['a', 'b,c'] are two.
    const key = labels.length === 1 ? (labels[0] as string) : JSON.stringify(labels);
    let series = this.#series.get(key);
    if (series === undefined) {
      if (this.#series.size >= this.#maxSeries) {
        this.#onOverflow(this.name);
        return (this.#overflow ??= this.#createSeries(this.labels.map(() => 'overflow')));
      }
      series = this.#createSeries([...labels]);
      this.#series.set(key, series);
    }
    return series;
  }

  snapshot(): MetricSnapshot {
    const { name, type, help, labels, buckets } = this;
    const all = this.#overflow === undefined ? [...this.#series.values()] : [...this.#series.values(), this.#overflow];
    const series = all.map((one) => ({ labels: one.labels, value: one.value, counts: one.counts.slice() }));
    return { name, type, help, labels, buckets, series };
  }

  #createSeries(labels: readonly string[]): Series {
    return new Series(labels, this.buckets, this.type === 'histogram');
  }
}

/** Declaring a name again gives the same instrument; with another type, labels or buckets it throws TypeError. */
export function createMetrics({ maxSeries = defaultMaxSeries }: { readonly maxSeries?: number } = {}): WorkerMetrics {
  const instruments = new Map<string, Instrument>();
  const overflow = (name: string): void => {
    declare(overflowMetric, 'counter', 'Label sets beyond the bound of a metric', ['metric'], []).with([name]).add(1);
  };
  const declare = (
    name: string,
    type: MetricType,
    help: string,
    labels: readonly string[],
    buckets: readonly number[],
  ): Instrument => {
    const known = instruments.get(name);
    if (known !== undefined) {
      if (known.type !== type || !sameList(known.labels, labels) || !sameList(known.buckets, buckets)) {
        throw new TypeError(`metric ${name} is declared already, differently`);
      }
      return known;
    }
    assertNames(name, labels, buckets);
    const made = new Instrument(name, type, help, [...labels], [...buckets], maxSeries, overflow);
    instruments.set(name, made);
    return made;
  };
  return {
    counter: (name, help, labels): Counter => declare(name, 'counter', help, labels, []),
    gauge: (name, help, labels): Gauge => declare(name, 'gauge', help, labels, []),
    histogram: (name, help, labels, buckets): Histogram => declare(name, 'histogram', help, labels, buckets),
    snapshot: () => Array.from(instruments.values(), (instrument) => instrument.snapshot()),
  };
}

function sameList<T>(left: readonly T[], right: readonly T[]): boolean {
  return left.length === right.length && left.every((item, index) => item === right[index]);
}

function assertNames(name: string, labels: readonly string[], buckets: readonly number[]): void {
  if (!/^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name)) throw new TypeError(`${JSON.stringify(name)} is no name of a metric`);
  for (const label of labels) {
    if (!/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(label) || label === 'le') {
      throw new TypeError(`${JSON.stringify(label)} is no label of a metric`);
    }
  }
  if (buckets.some((bound, index) => index > 0 && !(bound > (buckets[index - 1] as number)))) {
    throw new TypeError(`the buckets of ${name} do not ascend`);
  }
}
