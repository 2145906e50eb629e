import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { BalancedEndpoint } from './balancer.ts';
import { createChash } from './chash.ts';
import { endpointsOf, exchangeFrom } from './endpoint.fixture.ts';

const keys = Array.from({ length: 20_000 }, (_, index) => `key ${index}`);

/** Label of the endpoint that each key goes to. */
function ownersOf(endpoints: readonly BalancedEndpoint[]): string[] {
  const balancer = createChash(endpoints, {
    hashKey: (exchange) => exchange.remoteAddress,
    random: () => 0,
    now: () => 0,
  });
  return keys.map((key) => balancer.pick(exchangeFrom(key), [])?.label ?? '');
}

function countChanges(before: readonly string[], after: readonly string[]): number {
  return before.filter((owner, index) => owner !== after[index]).length;
}

describe('chash', () => {
  it('gives a key to the same endpoint each time, whatever the order of the nodes', () => {
    const endpoints = endpointsOf(1, 2, 1, 3);
    const owners = ownersOf(endpoints);
    assert.deepEqual(ownersOf(endpoints), owners);
    assert.deepEqual(ownersOf(endpoints.toReversed()), owners);
  });

  for (const count of [2, 4, 10]) {
    it(`moves about 1/${count + 1} of the keys when a node joins ${count}, all of them to it`, () => {
      const all = endpointsOf(...Array.from({ length: count + 1 }, () => 1));
      const joined = all.at(-1)?.label;
      const before = ownersOf(all.slice(0, count));
      const after = ownersOf(all);
      const expected = keys.length / (count + 1);
      const moved = countChanges(before, after);
      assert.ok(Math.abs(moved - expected) < expected * 0.25, `${moved} moved, ${expected} expected`);
      assert.equal(after.filter((owner, index) => owner !== before[index] && owner !== joined).length, 0);
    });
  }

  it('moves only the keys of a node that leaves', () => {
    const all = endpointsOf(1, 1, 1, 1, 1);
    const before = ownersOf(all);
    const left = all[2]?.label;
    const after = ownersOf(all.filter(({ label }) => label !== left));
    assert.equal(countChanges(before, after), before.filter((owner) => owner === left).length);
  });

  it('retries where the key would go if the failed node were gone', () => {
    const all = endpointsOf(1, 1, 1, 1);
    const balancer = createChash(all, { hashKey: (exchange) => exchange.remoteAddress, random: () => 0, now: () => 0 });
    for (const key of keys.slice(0, 200)) {
      const first = balancer.pick(exchangeFrom(key), []);
      assert.ok(first);
      const without = createChash(
        all.filter((endpoint) => endpoint !== first),
        { hashKey: () => key, random: () => 0, now: () => 0 },
      );
      assert.equal(balancer.pick(exchangeFrom(key), [first]), without.pick(exchangeFrom(key), []));
    }
  });
});
