/** Metrics in memory, for tests of plugins: what was declared, and the value of each label set. */
import type { Counter, Gauge, Histogram, Metrics } from '../plugin.ts';

export interface TestInstrument {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly labels: readonly string[];
  readonly buckets: readonly number[];
  /** `{label="value",…}` → the sum of what was added, or the observations. */
  readonly values: Map<string, number[]>;
}

export class TestMetrics implements Metrics {
  readonly instruments = new Map<string, TestInstrument>();

  counter(name: string, _help: string, labels: readonly string[]): Counter {
    const instrument = this.#declare('counter', name, labels, []);
    return { with: (values) => ({ add: (n) => void cell(instrument, values).push(n) }) };
  }
  gauge(name: string, _help: string, labels: readonly string[]): Gauge {
    const instrument = this.#declare('gauge', name, labels, []);
    return {
      with: (values) => ({
        set: (n) => void cell(instrument, values).splice(0, Infinity, n),
        add: (n) => void cell(instrument, values).push(n),
      }),
    };
  }
  histogram(name: string, _help: string, labels: readonly string[], buckets: readonly number[]): Histogram {
    const instrument = this.#declare('histogram', name, labels, buckets);
    return { with: (values) => ({ observe: (value) => void cell(instrument, values).push(value) }) };
  }

  /** The sum of one label set; undefined where nothing was counted. */
  value(name: string, labels: string): number | undefined {
    return this.instruments
      .get(name)
      ?.values.get(labels)
      ?.reduce((sum, n) => sum + n, 0);
  }

  #declare(
    type: TestInstrument['type'],
    name: string,
    labels: readonly string[],
    buckets: readonly number[],
  ): TestInstrument {
    const known = this.instruments.get(name);
    if (known !== undefined) return known;
    const instrument: TestInstrument = { type, labels, buckets, values: new Map() };
    this.instruments.set(name, instrument);
    return instrument;
  }
}

function cell(instrument: TestInstrument, values: readonly string[]): number[] {
  if (values.length !== instrument.labels.length) throw new TypeError('wrong number of label values');
  const key = `{${instrument.labels.map((label, i) => `${label}="${values[i] ?? ''}"`).join(',')}}`;
  let numbers = instrument.values.get(key);
  if (numbers === undefined) instrument.values.set(key, (numbers = []));
  return numbers;
}
