import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GatewayError } from '../../../errors/gateway-error.ts';
import { createHealthView } from './health-view.ts';
import { compilePassiveFilter } from './passive-filter.ts';

const key = 'upstreams/1';
const label = '10.0.0.1:80';

describe('createHealthView', () => {
  it('takes a node for healthy until told otherwise', () => {
    const view = createHealthView();
    assert.equal(view.isHealthy(key, label), true);
    view.set(key, label, false);
    assert.equal(view.isHealthy(key, label), false);
    assert.equal(view.isHealthy(key, '10.0.0.2:80'), true);
    assert.equal(view.isHealthy('upstreams/2', label), true);
    view.set(key, label, true);
    assert.equal(view.isHealthy(key, label), true);
  });

  it('counts a version where health changed, by key, and nowhere else', () => {
    const view = createHealthView();
    view.set(key, label, true);
    assert.deepEqual([view.version, view.versionOf(key)], [0, 0]);
    view.set(key, label, true, false);
    assert.deepEqual([view.version, view.versionOf(key)], [0, 0]);
    view.set(key, label, false);
    view.set(key, label, false);
    assert.deepEqual([view.version, view.versionOf(key), view.versionOf('routes/1')], [1, 1, 0]);
  });

  it('forgets a key, and never gives it a version that it had', () => {
    const view = createHealthView();
    view.set(key, label, false);
    const before = view.versionOf(key);
    view.forget(key);
    assert.equal(view.isHealthy(key, label), true);
    assert.ok(view.version > before);
    view.set(key, label, false);
    assert.ok(view.versionOf(key) > before);
  });

  it('takes messages that went through a structured clone', () => {
    const view = createHealthView();
    view.apply(structuredClone({ type: 'health', key, label, healthy: false, settled: true }));
    assert.equal(view.isHealthy(key, label), false);
  });
});

describe('compilePassiveFilter', () => {
  const view = createHealthView();
  const filter = compilePassiveFilter(key, { checks: { passive: {} } }, view);
  assert.ok(filter);

  it('is none where there are no passive checks', () => {
    assert.equal(compilePassiveFilter(key, { checks: { active: {} } }, view), undefined);
    assert.equal(compilePassiveFilter(key, {}, view), undefined);
  });

  it('reports the failures of a healthy node, not its successes', () => {
    assert.equal(filter(label, 200), undefined);
    assert.equal(filter(label, 404), undefined);
    assert.deepEqual(filter(label, 500), { kind: 'status', status: 500 });
    assert.deepEqual(filter(label, new GatewayError('UPSTREAM_CONNECT_FAILED')), { kind: 'connect_failed' });
    assert.deepEqual(filter(label, new GatewayError('UPSTREAM_READ_TIMEOUT')), { kind: 'timeout' });
    assert.deepEqual(filter(label, new GatewayError('UPSTREAM_MALFORMED')), { kind: 'status', status: 0 });
  });

  it("does not report what is the client's doing", () => {
    assert.equal(filter(label, new GatewayError('CLIENT_CLOSED')), undefined);
  });

  it('reports successes too while failures are counted', () => {
    view.set(key, label, true, false);
    assert.deepEqual(filter(label, 200), { kind: 'status', status: 200 });
    assert.deepEqual(filter(label, 500), { kind: 'status', status: 500 });
  });

  it('reports the successes of an unhealthy node, not its failures', () => {
    view.set(key, label, false);
    assert.deepEqual(filter(label, 200), { kind: 'status', status: 200 });
    assert.equal(filter(label, 503), undefined);
  });
});
