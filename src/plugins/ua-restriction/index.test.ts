import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compilePlugin, TestExchange } from '../../plugin/testing/index.ts';
import { uaRestriction } from './index.ts';

function verdict(config: object, userAgent?: string | string[]) {
  const { state } = compilePlugin(uaRestriction, config);
  const headers = userAgent === undefined ? {} : { 'User-Agent': userAgent };
  const reply = uaRestriction.access?.(state, new TestExchange({ headers }));
  assert.ok(!(reply instanceof Promise));
  return reply ?? undefined;
}

test('a denylist keeps out what its patterns find', () => {
  const config = { denylist: ['my-bot2', '(Twitterspider)/(\\d+)\\.(\\d+)'] };
  assert.equal(verdict(config, 'YourApp/2.0.0'), undefined);
  for (const userAgent of ['my-bot2', 'Twitterspider/2.0', '  xx my-bot2/1 ']) {
    assert.deepEqual(verdict(config, userAgent), {
      status: 403,
      body: { message: 'Not allowed' },
      reason: 'ua-restriction.denylisted',
    });
  }
});

test('an allowlist lets in what its patterns find, and blocks only', () => {
  const config = { allowlist: ['^my-bot1$', '(Baiduspider)/(\\d+)\\.(\\d+)'], message: 'no' };
  assert.equal(verdict(config, ' my-bot1 '), undefined);
  assert.equal(verdict(config, 'Baiduspider/2.0'), undefined);
  assert.deepEqual(verdict(config, 'curl/8')?.body, { message: 'no' });
});

test('of several User-Agent fields every one must pass', () => {
  assert.equal(verdict({ allowlist: ['good'] }, ['good', 'evil'])?.status, 403);
  assert.equal(verdict({ denylist: ['evil'] }, ['good', 'evil'])?.status, 403);
  assert.equal(verdict({ allowlist: ['good'] }, ['good/1', 'good/2']), undefined);
});

test('a request without User-Agent is refused unless that is allowed', () => {
  assert.equal(verdict({ denylist: ['x'] })?.reason, 'ua-restriction.missing');
  assert.equal(verdict({ allowlist: ['x'], bypass_missing: true }), undefined);
});

test('exactly one list of well-formed patterns is required', () => {
  assert.throws(() => compilePlugin(uaRestriction, {}));
  assert.throws(() => compilePlugin(uaRestriction, { allowlist: ['a'], denylist: ['b'] }));
  assert.throws(() => compilePlugin(uaRestriction, { denylist: ['('] }), /invalid regular expression/);
  assert.throws(() => compilePlugin(uaRestriction, { denylist: [] }));
});
