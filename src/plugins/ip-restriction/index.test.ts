import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compilePlugin, TestExchange } from '../../plugin/testing/index.ts';
import { ipRestriction } from './index.ts';

function verdict(config: object, remoteAddress: string, headers = {}) {
  const { state } = compilePlugin(ipRestriction, config);
  const reply = ipRestriction.access?.(state, new TestExchange({ remoteAddress, headers }));
  assert.ok(!(reply instanceof Promise));
  return reply ?? undefined;
}

test('a whitelist lets in its addresses and blocks only', () => {
  const config = { whitelist: ['127.0.0.1', '113.74.26.106/24', '2001:db8::/32'] };
  for (const address of ['127.0.0.1', '113.74.26.1', '2001:db8::1', '::ffff:127.0.0.1']) {
    assert.equal(verdict(config, address), undefined, address);
  }
  for (const address of ['127.0.0.2', '113.74.27.1', '2001:db9::1', '::1', '', 'unix:']) {
    assert.deepEqual(verdict(config, address), {
      status: 403,
      body: { message: 'Your IP address is not allowed' },
      reason: 'ip-restriction.not_whitelisted',
    });
  }
});

test('a blacklist keeps out its addresses, mapped ones too, and what is no address', () => {
  const config = { blacklist: ['10.0.0.0/8'] };
  assert.equal(verdict(config, '127.0.0.1'), undefined);
  assert.equal(verdict(config, '::1'), undefined);
  for (const address of ['10.1.2.3', '::ffff:10.1.2.3', '::ffff:a01:203', '', 'garbage']) {
    assert.equal(verdict(config, address)?.status, 403, address);
  }
});

test('forged forwarding headers change nothing', () => {
  const headers = { 'X-Forwarded-For': '127.0.0.1', 'X-Real-IP': '127.0.0.1', Forwarded: 'for=127.0.0.1' };
  assert.equal(verdict({ whitelist: ['127.0.0.1'] }, '192.0.2.1', headers)?.status, 403);
});

test('message and status of a refusal are configurable', () => {
  const reply = verdict(
    { whitelist: ['127.0.0.1'], message: 'Do you want to do something bad?', response_code: 404 },
    '::2',
  );
  assert.equal(reply?.status, 404);
  assert.deepEqual(reply.body, { message: 'Do you want to do something bad?' });
});

test('a bad address is refused by name when it is configured', () => {
  assert.throws(
    () => compilePlugin(ipRestriction, { whitelist: ['127.0.0.1', '10.0.0.0/33'] }),
    /invalid ip address: 10\.0\.0\.0\/33/,
  );
  assert.throws(() => compilePlugin(ipRestriction, { blacklist: ['localhost'] }), /invalid ip address: localhost/);
});

test('exactly one list is required', () => {
  assert.throws(() => compilePlugin(ipRestriction, {}));
  assert.throws(() => compilePlugin(ipRestriction, { whitelist: ['::1'], blacklist: ['::1'] }));
});
