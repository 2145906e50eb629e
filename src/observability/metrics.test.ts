import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMetrics } from './metrics.ts';
import { mergeSnapshots, renderPrometheus } from './render-metrics.ts';

test('counters, gauges and histograms in the text format 0.0.4', () => {
  const metrics = createMetrics();
  metrics.counter('requests_total', 'Requests', []).with([]).add(3);
  const gauge = metrics.gauge('open', 'Open', ['kind']).with(['a']);
  gauge.set(5);
  gauge.add(-2);
  const latency = metrics.histogram('latency', 'Latency', ['route'], [1, 5]).with(['1']);
  for (const value of [0.5, 1, 3, 100]) latency.observe(value);
  assert.equal(
    renderPrometheus(metrics.snapshot()),
    [
      '# HELP requests_total Requests',
      '# TYPE requests_total counter',
      'requests_total 3',
      '# HELP open Open',
      '# TYPE open gauge',
      'open{kind="a"} 3',
      '# HELP latency Latency',
      '# TYPE latency histogram',
      'latency_bucket{route="1",le="1"} 2',
      'latency_bucket{route="1",le="5"} 3',
      'latency_bucket{route="1",le="+Inf"} 4',
      'latency_sum{route="1"} 104.5',
      'latency_count{route="1"} 4',
      '',
    ].join('\n'),
  );
});

test('a label value cannot leave its quotes or its line', () => {
  const metrics = createMetrics();
  metrics.counter('c', 'help \\ of\ntwo lines', ['uri']).with(['/a"} 9\nforged 1\\']).add(1);
  assert.equal(
    renderPrometheus(metrics.snapshot()),
    '# HELP c help \\\\ of\\ntwo lines\n# TYPE c counter\nc{uri="/a\\"} 9\\nforged 1\\\\"} 1\n',
  );
});

test('the same name is the same instrument; another declaration of it is refused', () => {
  const metrics = createMetrics();
  metrics.counter('c', 'h', ['a']).with(['x']).add(1);
  metrics.counter('c', 'h', ['a']).with(['x']).add(1);
  assert.equal(metrics.snapshot()[0]?.series[0]?.value, 2);
  assert.throws(() => metrics.gauge('c', 'h', ['a']), TypeError);
  assert.throws(() => metrics.counter('c', 'h', ['b']), TypeError);
  assert.throws(() => metrics.counter('no name', 'h', []), TypeError);
  assert.throws(() => metrics.counter('d', 'h', ['le']), TypeError);
  assert.throws(() => metrics.histogram('h', 'h', [], [2, 1]), TypeError);
  assert.throws(() => metrics.counter('c', 'h', ['a']).with([]), TypeError);
});

test('label sets with the same letters in other places stay apart', () => {
  const metrics = createMetrics();
  const counter = metrics.counter('c', 'h', ['a', 'b']);
  counter.with(['x,y', 'z']).add(1);
  counter.with(['x', 'y,z']).add(1);
  assert.equal(metrics.snapshot()[0]?.series.length, 2);
});

test('beyond the bound, label sets are counted together and the overflow shows', () => {
  const metrics = createMetrics({ maxSeries: 2 });
  const counter = metrics.counter('c', 'h', ['uri']);
  for (const uri of ['/1', '/2', '/3', '/4', '/1']) counter.with([uri]).add(1);
  assert.deepEqual(
    metrics.snapshot().map(({ name, series }) => [name, series.map(({ labels, value }) => [labels[0], value])]),
    [
      [
        'c',
        [
          ['/1', 2],
          ['/2', 1],
          ['overflow', 2],
        ],
      ],
      ['gatewright_metric_overflow_total', [['c', 2]]],
    ],
  );
});

test('the workers add up, also where one has series or metrics that another has not', () => {
  const [one, two] = [createMetrics(), createMetrics()];
  one.counter('c', 'h', ['r']).with(['1']).add(1);
  two.counter('c', 'h', ['r']).with(['1']).add(2);
  two.counter('c', 'h', ['r']).with(['2']).add(5);
  two.gauge('g', 'h', []).with([]).set(7);
  for (const metrics of [one, two]) metrics.histogram('h', 'h', [], [1]).with([]).observe(2);
  const merged = mergeSnapshots([one.snapshot(), two.snapshot()]);
  assert.deepEqual(
    merged.map(({ name, series }) => [name, series.map(({ labels, value, counts }) => [labels, value, counts])]),
    [
      [
        'c',
        [
          [['1'], 3, []],
          [['2'], 5, []],
        ],
      ],
      ['h', [[[], 4, [0, 2]]]],
      ['g', [[[], 7, []]]],
    ],
  );
  assert.deepEqual(mergeSnapshots([]), []);
});

test('a snapshot can be sent to another thread and does not change afterwards', () => {
  const metrics = createMetrics();
  const histogram = metrics.histogram('h', 'h', [], [1]).with([]);
  histogram.observe(1);
  const snapshot = metrics.snapshot();
  histogram.observe(1);
  assert.deepEqual(structuredClone(snapshot), snapshot);
  assert.deepEqual(snapshot[0]?.series[0]?.counts, [1, 0]);
});

test('a metric without series is not shown', () => {
  const metrics = createMetrics();
  metrics.counter('c', 'h', ['a']);
  assert.equal(renderPrometheus(metrics.snapshot()), '');
});
