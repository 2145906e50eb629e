import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createRandom } from '../../../random.fixture.ts';
import { endpointsOf, exchangeFrom } from './endpoint.fixture.ts';
import { createEwma, recordLatency } from './ewma.ts';

const exchange = exchangeFrom('192.0.2.1');

describe('ewma', () => {
  it('sends most requests to the faster endpoints and none to the slowest of all', () => {
    const endpoints = endpointsOf(1, 1, 1, 1);
    const latencies = [5, 10, 20, 500];
    endpoints.forEach((endpoint, index) => {
      recordLatency(endpoint, { latencyMs: latencies[index] ?? 0, failed: false }, 1000);
    });
    const balancer = createEwma(endpoints, { hashKey: () => '', random: createRandom(7).unit, now: () => 1001 });
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < 6000; i++) {
      const picked = balancer.pick(exchange, []);
      assert.ok(picked);
      const index = endpoints.indexOf(picked);
      counts[index] = (counts[index] ?? 0) + 1;
    }
    // Of the 6 pairs the fastest wins 3, the next 2, the next 1.
    [3000, 2000, 1000, 0].forEach((expected, index) => {
      assert.ok(Math.abs((counts[index] ?? 0) - expected) < 200, counts.join(' '));
    });
  });

  it('asks a slow endpoint again once its average has decayed', () => {
    const endpoints = endpointsOf(1, 1);
    const [slow, fast] = endpoints;
    assert.ok(slow && fast);
    recordLatency(slow, { latencyMs: 400, failed: false }, 1000);
    recordLatency(fast, { latencyMs: 20, failed: false }, 1000);
    let time = 1000;
    const balancer = createEwma(endpoints, { hashKey: () => '', random: () => 0, now: () => time });
    assert.equal(balancer.pick(exchange, []), fast);
    time += 60_000;
    recordLatency(fast, { latencyMs: 20, failed: false }, time);
    assert.equal(balancer.pick(exchange, []), slow);
  });

  it('moves the average by how long ago the last outcome was (decay 10 s)', () => {
    const [endpoint] = endpointsOf(1);
    assert.ok(endpoint);
    recordLatency(endpoint, { latencyMs: 100, failed: false }, 1000);
    assert.equal(endpoint.ewmaMs, 100);
    recordLatency(endpoint, { latencyMs: 200, failed: false }, 11_000);
    assert.ok(Math.abs(endpoint.ewmaMs - (100 / Math.E + 200 * (1 - 1 / Math.E))) < 1e-9);
  });

  it('does not take an endpoint that refuses at once for a fast one', () => {
    const endpoints = endpointsOf(1, 1);
    const [broken, working] = endpoints;
    assert.ok(broken && working);
    recordLatency(broken, { latencyMs: 0.2, failed: true }, 1000);
    recordLatency(working, { latencyMs: 80, failed: false }, 1000);
    const balancer = createEwma(endpoints, { hashKey: () => '', random: createRandom(1).unit, now: () => 1000 });
    for (let i = 0; i < 50; i++) assert.equal(balancer.pick(exchange, []), working);
  });
});
