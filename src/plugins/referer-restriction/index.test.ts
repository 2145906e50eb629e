import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compilePlugin, TestExchange } from '../../plugin/testing/index.ts';
import { refererRestriction } from './index.ts';

function verdict(config: object, referer?: string) {
  const { state } = compilePlugin(refererRestriction, config);
  const headers = referer === undefined ? {} : { Referer: referer };
  const reply = refererRestriction.access?.(state, new TestExchange({ headers }));
  assert.ok(!(reply instanceof Promise));
  return reply ?? undefined;
}

test('a whitelist lets in its hosts and the names below a wildcard', () => {
  const config = { whitelist: ['xx.com', '*.xx.com', '[::1]'] };
  for (const referer of ['http://xx.com/x', 'https://www.xx.com:8443', '//a.b.XX.com?x', 'http://[::1]:80/']) {
    assert.equal(verdict(config, referer), undefined, referer);
  }
  assert.deepEqual(verdict(config, 'http://yy.com/x'), {
    status: 403,
    body: { message: 'Your referer host is not allowed' },
    reason: 'referer-restriction.not_whitelisted',
  });
});

test('a whitelisted name elsewhere in the Referer does not help', () => {
  const config = { whitelist: ['xx.com', '*.xx.com'] };
  for (const referer of [
    'http://evil.com/http://xx.com',
    'http://evil.com#.xx.com',
    'http://evil.com?.xx.com',
    'http://xx.com@evil.com/',
    'http://xx.com:80@evil.com/',
    'http://evil.com\\.xx.com',
    'http://evilxx.com/',
    'http://xx.com.evil.com/',
    'ftp://xx.com/',
  ]) {
    assert.equal(verdict(config, referer)?.status, 403, referer);
  }
});

test('a blacklist keeps out its hosts alone', () => {
  const config = { blacklist: ['*.evil.com'], message: 'no' };
  assert.equal(verdict(config, 'http://good.com/'), undefined);
  assert.deepEqual(verdict(config, 'http://x.EVIL.com/')?.body, { message: 'no' });
});

test('a missing or malformed Referer is refused unless that is allowed', () => {
  for (const referer of [undefined, 'www.xx.com', 'about:blank']) {
    assert.equal(verdict({ blacklist: ['xx.com'] }, referer)?.reason, 'referer-restriction.missing');
    assert.equal(verdict({ whitelist: ['xx.com'], bypass_missing: true }, referer), undefined);
  }
});

test('exactly one list of hosts is required', () => {
  assert.throws(() => compilePlugin(refererRestriction, {}));
  assert.throws(() => compilePlugin(refererRestriction, { whitelist: ['a'], blacklist: ['b'] }));
  assert.throws(() => compilePlugin(refererRestriction, { whitelist: ['a b'] }));
});
