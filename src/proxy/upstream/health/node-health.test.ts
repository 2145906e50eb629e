import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compileChecks } from './checks.ts';
import { createNodeHealth, recordOutcome, type NodeHealth, type NodeOutcome } from './node-health.ts';

const { active } = compileChecks({
  active: { healthy: { successes: 2 }, unhealthy: { http_failures: 3, tcp_failures: 2, timeouts: 2 } },
});
assert.ok(active);
const { thresholds } = active;

const ok: NodeOutcome = { kind: 'status', status: 200 };
const bad: NodeOutcome = { kind: 'status', status: 500 };
const refused: NodeOutcome = { kind: 'connect_failed' };
const slow: NodeOutcome = { kind: 'timeout' };

/** The status after each outcome. */
function statusesAfter(outcomes: readonly NodeOutcome[], node: NodeHealth = createNodeHealth()): string[] {
  return outcomes.map((outcome) => {
    recordOutcome(node, outcome, thresholds);
    return node.status;
  });
}

describe('recordOutcome', () => {
  it('makes a node unhealthy after that many failures of one kind in a row', () => {
    assert.deepEqual(statusesAfter([bad, bad, bad]), ['mostly_healthy', 'mostly_healthy', 'unhealthy']);
    assert.deepEqual(statusesAfter([refused, refused]), ['mostly_healthy', 'unhealthy']);
    assert.deepEqual(statusesAfter([slow, slow]), ['mostly_healthy', 'unhealthy']);
  });

  it('does not add up failures of different kinds', () => {
    assert.equal(statusesAfter([bad, bad, refused, slow]).at(-1), 'mostly_healthy');
  });

  it('starts counting failures anew after a success', () => {
    assert.equal(statusesAfter([bad, bad, ok, bad, bad]).at(-1), 'mostly_healthy');
    assert.deepEqual(statusesAfter([bad, bad, ok, ok]).at(-1), 'healthy');
  });

  it('makes an unhealthy node healthy after that many successes in a row', () => {
    const node = createNodeHealth();
    statusesAfter([refused, refused], node);
    assert.deepEqual(statusesAfter([ok, bad, ok, ok], node), [
      'mostly_unhealthy',
      'mostly_unhealthy',
      'mostly_unhealthy',
      'healthy',
    ]);
  });

  it('counts nothing that a settled status already says', () => {
    const node = createNodeHealth();
    statusesAfter([ok, ok, ok], node);
    assert.deepEqual(node.counter, { success: 0, http_failure: 0, tcp_failure: 0, timeout_failure: 0 });
    statusesAfter([refused, refused, refused, bad], node);
    assert.deepEqual(node.counter, { success: 0, http_failure: 0, tcp_failure: 2, timeout_failure: 0 });
  });

  it('ignores a status in neither list, and counts an answer that is not HTTP as a failed one', () => {
    assert.deepEqual(statusesAfter([{ kind: 'status', status: 418 }]), ['healthy']);
    assert.deepEqual(statusesAfter([{ kind: 'status', status: 0 }]), ['mostly_healthy']);
  });

  it('does not count a kind whose limit is 0', () => {
    const node = createNodeHealth();
    assert.equal(recordOutcome(node, slow, { ...thresholds, timeouts: 0 }), false);
    assert.equal(node.status, 'healthy');
  });
});

describe('compileChecks', () => {
  it("fills in APISIX's defaults", () => {
    const checks = compileChecks({ active: {}, passive: {} });
    assert.deepEqual(checks.active, {
      type: 'http',
      timeoutMs: 1000,
      concurrency: 10,
      host: undefined,
      port: undefined,
      path: '/',
      method: 'GET',
      verifyCertificate: true,
      headers: [],
      healthyIntervalMs: 1000,
      unhealthyIntervalMs: 1000,
      thresholds: {
        healthyStatuses: new Set([200, 302]),
        unhealthyStatuses: new Set([429, 404, 500, 501, 502, 503, 504, 505]),
        successes: 2,
        httpFailures: 5,
        tcpFailures: 2,
        timeouts: 3,
      },
    });
    const { successes, httpFailures, tcpFailures, timeouts, unhealthyStatuses } = checks.passive ?? thresholds;
    assert.deepEqual([successes, httpFailures, tcpFailures, timeouts], [5, 5, 2, 7]);
    assert.deepEqual([...unhealthyStatuses], [429, 500, 503]);
  });

  it('lets nothing into a probe that HTTP does not allow', () => {
    const { active: checks } = compileChecks({
      active: { http_path: 'a b\r\nX: y', http_method: 'GET /', req_headers: ['A: 1', 'no colon', 'B: x\r\nC: y'] },
    });
    assert.equal(checks?.path, '/a%20b%0D%0AX:%20y');
    assert.equal(checks.method, 'GET');
    assert.deepEqual(checks.headers, [['A', '1']]);
  });
});
