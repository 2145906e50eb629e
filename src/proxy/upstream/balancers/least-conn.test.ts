import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { endpointsOf, exchangeFrom } from './endpoint.fixture.ts';
import { createLeastConn } from './least-conn.ts';

const exchange = exchangeFrom('192.0.2.1');
const deps = { hashKey: (): string => '', random: (): number => 0, now: (): number => 0 };

describe('least_conn', () => {
  it('picks the lowest (active + 1) / weight', () => {
    const endpoints = endpointsOf(1, 4);
    const [light, heavy] = endpoints;
    assert.ok(light && heavy);
    const balancer = createLeastConn(endpoints, deps);
    heavy.active = 2; // 3/4 < 1/1
    assert.equal(balancer.pick(exchange, []), heavy);
    heavy.active = 4; // 5/4 > 1/1
    assert.equal(balancer.pick(exchange, []), light);
  });

  it('lets endpoints that tie take turns', () => {
    const endpoints = endpointsOf(1, 1, 1);
    const balancer = createLeastConn(endpoints, deps);
    const picks = Array.from({ length: 6 }, () => balancer.pick(exchange, []));
    assert.deepEqual(picks, [...endpoints, ...endpoints]);
  });

  it('retries at the least busy endpoint that was not tried', () => {
    const endpoints = endpointsOf(1, 1, 1);
    const [a, b, c] = endpoints;
    assert.ok(a && b && c);
    b.active = 5;
    c.active = 1;
    assert.equal(createLeastConn(endpoints, deps).pick(exchange, [a]), c);
  });
});
