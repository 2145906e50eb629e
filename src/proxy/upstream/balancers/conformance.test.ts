/** What every balancing algorithm promises. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { BalancerType } from '../../../resources/upstream.ts';
import { createBalancer, type BalancedEndpoint, type Balancer } from './balancer.ts';
import { createRandom } from '../../../random.fixture.ts';
import { endpointsOf, exchangeFrom } from './endpoint.fixture.ts';

const algorithms: readonly BalancerType[] = ['roundrobin', 'chash', 'least_conn', 'ewma'];

function create(type: BalancerType, endpoints: readonly BalancedEndpoint[], seed = 1): Balancer {
  return createBalancer(type, endpoints, {
    hashKey: (exchange) => exchange.remoteAddress,
    random: createRandom(seed).unit,
    now: () => 1000,
  });
}

/** Picks for `requests` different clients, none of which ends; counts in the order of `endpoints`. */
function countPicks(balancer: Balancer, endpoints: readonly BalancedEndpoint[], requests: number): number[] {
  const counts = new Map<BalancedEndpoint, number>();
  for (let client = 0; client < requests; client++) {
    const endpoint = balancer.pick(exchangeFrom(`client ${client}`), []);
    assert.ok(endpoint);
    endpoint.active++;
    counts.set(endpoint, (counts.get(endpoint) ?? 0) + 1);
  }
  return endpoints.map((endpoint) => counts.get(endpoint) ?? 0);
}

for (const type of algorithms) {
  describe(type, () => {
    it('always picks the only endpoint, and nothing once that was tried', () => {
      const [only] = endpointsOf(1);
      assert.ok(only);
      const balancer = create(type, [only]);
      assert.equal(balancer.pick(exchangeFrom('a'), []), only);
      assert.equal(balancer.pick(exchangeFrom('b'), []), only);
      assert.equal(balancer.pick(exchangeFrom('a'), [only]), undefined);
    });

    it('offers each endpoint once to a request that keeps failing, then nothing', () => {
      const endpoints = endpointsOf(1, 2, 3, 1, 5);
      const balancer = create(type, endpoints);
      for (let client = 0; client < 200; client++) {
        const tried: BalancedEndpoint[] = [];
        for (;;) {
          const endpoint = balancer.pick(exchangeFrom(`client ${client}`), tried);
          if (endpoint === undefined) break;
          assert.ok(!tried.includes(endpoint));
          tried.push(endpoint);
        }
        assert.equal(tried.length, endpoints.length);
      }
    });

    it('spreads requests evenly over endpoints of equal weight', () => {
      const endpoints = endpointsOf(3, 3, 3, 3);
      for (const count of countPicks(create(type, endpoints), endpoints, 20_000)) {
        assert.ok(Math.abs(count - 5000) < 750, `${type}: ${count} of 5000`);
      }
    });

    // ewma goes by latency alone.
    if (type !== 'ewma')
      it('spreads requests in flight by weight', () => {
        const endpoints = endpointsOf(1, 2, 7);
        const counts = countPicks(create(type, endpoints), endpoints, 20_000);
        [2000, 4000, 14_000].forEach((expected, index) => {
          const count = counts[index] ?? 0;
          assert.ok(Math.abs(count - expected) < expected * 0.2, `${type}: ${count} of ${expected}`);
        });
      });

    it('manages fractional weights and 1000 endpoints', () => {
      const endpoints = endpointsOf(...Array.from({ length: 1000 }, (_, index) => (index % 2 === 0 ? 0.5 : 1 / 3)));
      const counts = countPicks(create(type, endpoints), endpoints, 10_000);
      assert.equal(
        counts.reduce((sum, count) => sum + count, 0),
        10_000,
      );
      assert.ok(counts.filter((count) => count > 0).length > 900);
    });
  });
}
