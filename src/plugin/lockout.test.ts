import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLocalCounters } from './counters/counters.ts';
import { compileLockout } from './lockout.ts';

const from = (remoteAddress: string, dryRun = false) => ({ remoteAddress, dryRun });

function kit(failures = 3) {
  let time = 1_000_000;
  const counters = createLocalCounters(() => time);
  const lockout = compileLockout('basic-auth', { failures, window: 60, duration: 120 }, counters);
  return {
    lockout,
    other: compileLockout('basic-auth', { failures, window: 60, duration: 120 }, counters),
    fail: (times: number, name = 'jack', address = '192.0.2.1') => {
      for (let i = 0; i < times; i++) lockout.failed(name, from(address));
    },
    locked: (name = 'jack', address = '192.0.2.1') => lockout.refusal(name, from(address)),
    pass: (seconds: number) => void (time += seconds * 1000),
  };
}

test('locks at the configured number of failures, and says for how long', () => {
  const { fail, locked, pass } = kit();
  fail(2);
  assert.equal(locked(), undefined);
  fail(1);
  assert.deepEqual(locked(), {
    status: 429,
    headers: { 'Retry-After': '120' },
    body: { message: 'Too many failed attempts' },
    reason: 'basic-auth.locked_out',
  });
  pass(119);
  assert.equal(locked()?.headers?.['Retry-After'], '1');
  pass(1);
  assert.equal(locked(), undefined);
  fail(2);
  assert.equal(locked(), undefined, 'counting starts anew');
});

test('failures count for one name from one address', () => {
  const { fail, locked } = kit();
  fail(3);
  assert.equal(locked('jill'), undefined);
  assert.equal(locked('jack', '192.0.2.2'), undefined);
  assert.ok(locked());
});

test('failures are forgotten after the window, and after a success', () => {
  const { fail, locked, pass, lockout } = kit();
  fail(2);
  pass(60);
  fail(1);
  assert.equal(locked(), undefined);
  fail(1);
  lockout.succeeded('jack', from('192.0.2.1'));
  fail(2);
  assert.equal(locked(), undefined);
});

test('more failures do not prolong a lock', () => {
  const { fail, locked, pass } = kit();
  fail(3);
  pass(100);
  fail(5);
  pass(20);
  assert.equal(locked(), undefined);
});

test('routes count together', () => {
  const { fail, other } = kit();
  fail(3);
  assert.ok(other.refusal('jack', from('192.0.2.1')));
});

test('a dry run sees a lock and neither makes nor lifts one', () => {
  const { lockout, fail, locked } = kit();
  const dry = from('192.0.2.1', true);
  for (let i = 0; i < 5; i++) lockout.failed('jack', dry);
  assert.equal(lockout.refusal('jack', dry), undefined);
  fail(2);
  lockout.succeeded('jack', dry);
  fail(1);
  assert.equal(lockout.refusal('jack', dry)?.status, 429);
  assert.equal(locked()?.status, 429);
});
