import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { BalancedEndpoint, Balancer } from './balancer.ts';
import { endpointsOf, exchangeFrom } from './endpoint.fixture.ts';
import { createRoundrobin } from './roundrobin.ts';

const exchange = exchangeFrom('192.0.2.1');

function create(endpoints: readonly BalancedEndpoint[], random = 0): Balancer {
  return createRoundrobin(endpoints, { hashKey: () => '', random: () => random, now: () => 0 });
}

/** Which endpoints are picked, by index. */
function sequence(balancer: Balancer, endpoints: readonly BalancedEndpoint[], picks: number): number[] {
  return Array.from({ length: picks }, () => {
    const endpoint = balancer.pick(exchange, []);
    return endpoint === undefined ? -1 : endpoints.indexOf(endpoint);
  });
}

describe('roundrobin', () => {
  it('interleaves the turns of a heavy endpoint with the others, as nginx does (5, 1, 1)', () => {
    const endpoints = endpointsOf(5, 1, 1);
    assert.deepEqual(sequence(create(endpoints), endpoints, 14), [0, 0, 1, 0, 2, 0, 0, 0, 0, 1, 0, 2, 0, 0]);
  });

  it('gives exact shares within each cycle', () => {
    const endpoints = endpointsOf(4, 2, 3);
    const picks = sequence(create(endpoints, 0.37), endpoints, 90);
    assert.deepEqual(
      [0, 1, 2].map((index) => picks.filter((pick) => pick === index).length),
      [40, 20, 30],
    );
  });

  it('goes through endpoints of equal weight in their order', () => {
    const endpoints = endpointsOf(7, 7, 7);
    assert.deepEqual(sequence(create(endpoints), endpoints, 7), [0, 1, 2, 0, 1, 2, 0]);
  });

  it('starts where chance says, lest all workers begin at the first node', () => {
    const equal = endpointsOf(1, 1, 1);
    assert.deepEqual(sequence(create(equal, 0.5), equal, 3), [1, 2, 0]);
    const weighted = endpointsOf(5, 1, 1);
    assert.deepEqual(sequence(create(weighted, 0.3), weighted, 3), [1, 0, 2]);
  });

  it('retries at the next endpoint in turn', () => {
    const endpoints = endpointsOf(1, 1, 1);
    const balancer = create(endpoints);
    const first = balancer.pick(exchange, []);
    assert.equal(first, endpoints[0]);
    assert.equal(balancer.pick(exchange, endpoints.slice(0, 1)), endpoints[1]);
    assert.equal(balancer.pick(exchange, endpoints.slice(0, 2)), endpoints[2]);
  });
});
