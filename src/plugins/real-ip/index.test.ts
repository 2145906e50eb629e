import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compilePlugin, TestExchange, type TestExchangeInit } from '../../plugin/testing/index.ts';
import { realIp } from './index.ts';

function addressAfter(config: object, init: TestExchangeInit): string {
  const { state } = compilePlugin(realIp, config);
  const exchange = new TestExchange(init);
  assert.equal(realIp.rewrite?.(state, exchange), undefined);
  assert.equal(exchange.peerAddress, init.remoteAddress ?? '127.0.0.1');
  return `${exchange.remoteAddress} ${String(exchange.remotePort)}`;
}

test('the address comes from the variable, with a port if it has one', () => {
  const read = (value: string) =>
    addressAfter({ source: 'arg_realip' }, { target: `/?realip=${encodeURIComponent(value)}` });
  assert.equal(read('1.2.3.4'), '1.2.3.4 51234');
  assert.equal(read('1.2.3.4:9080'), '1.2.3.4 9080');
  assert.equal(read('2001:db8::1'), '2001:db8::1 51234');
  assert.equal(read('[2001:db8::1]'), '2001:db8::1 51234');
  assert.equal(read('[2001:db8::1]:9080'), '2001:db8::1 9080');
});

test('what is no address or no port changes nothing', () => {
  for (const value of [
    '',
    'localhost',
    '1.2.3',
    '1.2.3.4:0',
    '1.2.3.4:65536',
    '[1.2.3.4]',
    '::1%eth0',
    '1.2.3.4 x',
    '999.1.1.1',
  ]) {
    assert.equal(
      addressAfter({ source: 'arg_realip' }, { target: `/?realip=${encodeURIComponent(value)}` }),
      '127.0.0.1 51234',
      value,
    );
  }
  assert.equal(addressAfter({ source: 'arg_realip' }, {}), '127.0.0.1 51234');
});

test('forged X-Forwarded-For from an untrusted peer changes nothing', () => {
  const config = { source: 'http_x_forwarded_for', trusted_addresses: ['10.0.0.0/8'] };
  for (const value of ['1.2.3.4', '10.0.0.1', '1.2.3.4, 10.0.0.1']) {
    const init = { remoteAddress: '192.0.2.1', headers: { 'X-Forwarded-For': value } };
    assert.equal(addressAfter(config, init), '192.0.2.1 51234');
    assert.equal(addressAfter({ ...config, recursive: true }, init), '192.0.2.1 51234');
  }
});

test('of a list the last address counts, or with recursive the last that is not trusted', () => {
  const config = { source: 'http_x_forwarded_for', trusted_addresses: ['10.0.0.0/8', '127.0.0.1'] };
  const read = (value: string | string[], recursive = false) =>
    addressAfter({ ...config, recursive }, { headers: { 'X-Forwarded-For': value } });
  assert.equal(read('1.1.1.1, 2.2.2.2,10.0.0.7'), '10.0.0.7 51234');
  assert.equal(read('1.1.1.1, 2.2.2.2, 10.0.0.7', true), '2.2.2.2 51234');
  assert.equal(read(['1.1.1.1', '2.2.2.2, 10.0.0.7'], true), '2.2.2.2 51234');
  assert.equal(read('10.0.0.1, 10.0.0.2', true), '10.0.0.1 51234');
  assert.equal(read('1.1.1.1, unknown, 10.0.0.7', true), '10.0.0.7 51234');
});

test('bad trusted addresses are refused by name when they are written', () => {
  assert.throws(
    () => compilePlugin(realIp, { source: 'arg_x', trusted_addresses: ['10.0.0.0/33'] }),
    /invalid ip address: 10\.0\.0\.0\/33/,
  );
  assert.throws(() => compilePlugin(realIp, {}));
});
