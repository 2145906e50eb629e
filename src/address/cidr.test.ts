import assert from 'node:assert/strict';
import { BlockList, isIPv4, isIPv6 } from 'node:net';
import { suite, test } from 'node:test';
import ipaddr from 'ipaddr.js';
import { createRandom } from '../random.fixture.ts';
import { ConfigError } from '../errors/gateway-error.ts';
import { compileAddressMatcher } from './cidr.ts';
import { parseAddress } from './parse-address.ts';

suite('compileAddressMatcher', () => {
  const cases: [string[], string, boolean][] = [
    [['127.0.0.1'], '127.0.0.1', true],
    [['127.0.0.1'], '127.0.0.2', false],
    [['10.0.0.0/8'], '10.255.255.255', true],
    [['10.0.0.0/8'], '11.0.0.0', false],
    [['10.9.8.7/8'], '10.0.0.0', true],
    [['0.0.0.0/0'], '255.255.255.255', true],
    [['0.0.0.0/0'], '::1', false],
    [['255.255.255.255'], '255.255.255.255', true],
    [['192.168.1.0/31'], '192.168.1.1', true],
    [['192.168.1.0/31'], '192.168.1.2', false],
    [['::1'], '::1', true],
    [['::1'], '0:0:0:0:0:0:0:1', true],
    [['2001:db8::/32'], '2001:db8:ffff::1', true],
    [['2001:db8::/32'], '2001:DB8::', true],
    [['2001:db8::/32'], '2001:db9::', false],
    [['::/0'], 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', true],
    [['::/0'], '127.0.0.1', false],
    [['fe80::/10'], 'fe80::1%eth0', true],
    [['127.0.0.1'], '::ffff:127.0.0.1', true],
    [['127.0.0.1'], '::ffff:7f00:1', true],
    [['::ffff:10.0.0.0/104'], '10.1.2.3', true],
    [['::ffff:10.0.0.0/104'], '11.1.2.3', false],
    [['::ffff:127.0.0.1'], '127.0.0.1', true],
    [['10.0.0.1', '10.0.0.0/24', '172.16.0.0/12'], '10.0.0.255', true],
    [['10.0.0.0/24', '10.0.1.0/24'], '10.0.1.7', true],
    [['::ffff:ffff', '::1:0:0'], '::ffff:ffff', true],
    [['::ffff:ffff', '::1:0:0'], '::1:0:1', false],
    [[], '127.0.0.1', false],
  ];
  for (const [list, address, expected] of cases) {
    test(`[${list.join(', ')}] ${expected ? 'holds' : 'does not hold'} ${address}`, () => {
      assert.equal(compileAddressMatcher(list)(address), expected);
    });
  }

  test('answers false for what is no address, without throwing', () => {
    const matches = compileAddressMatcher(['0.0.0.0/0', '::/0']);
    for (const address of [
      '',
      'unix:',
      'localhost',
      '1.2.3',
      '1.2.3.4.5',
      '01.2.3.4',
      '1.2.3.256',
      '1.2.3.4/8',
      ' 1.2.3.4',
    ]) {
      assert.equal(matches(address), false, address);
    }
    for (const address of [
      ':',
      ':::',
      '1::2::3',
      '1:2:3:4:5:6:7',
      '1:2:3:4:5:6:7:8:9',
      '12345::',
      '::1.2.3',
      '%eth0',
      '1:',
    ]) {
      assert.equal(matches(address), false, address);
    }
  });

  test('a bad item is refused by name', () => {
    for (const item of [
      '10.0.0.0/33',
      '::/129',
      '10.0.0.0/',
      '10.0.0.0/08',
      '10.0.0/8',
      'a.example',
      '',
      '1.2.3.4/-1',
      'fe80::1%eth0',
    ]) {
      assert.throws(
        () => compileAddressMatcher(['127.0.0.1', item]),
        (error) => error instanceof ConfigError && error.message === `invalid ip address: ${item}`,
      );
    }
  });

  test('10,000 addresses and blocks answer as a linear list does', () => {
    const seed = Date.now() % 1e9;
    const { int: random } = createRandom(seed);
    const list: string[] = [];
    // One a family: BlockList lets `::/8` hold IPv4, which we do not.
    const referenceIpv4 = new BlockList();
    const referenceIpv6 = new BlockList();
    const ipv4 = () => `${String(random(256))}.${String(random(256))}.${String(random(256))}.${String(random(256))}`;
    const ipv6 = () => Array.from({ length: 8 }, () => random(0x10000).toString(16)).join(':');
    for (let i = 0; i < 5000; i++) {
      const [a, prefix] = [ipv4(), 12 + random(21)];
      list.push(`${a}/${String(prefix)}`);
      referenceIpv4.addSubnet(a, prefix, 'ipv4');
      const [b, prefix6] = [ipv6(), 8 + random(121)];
      list.push(`${b}/${String(prefix6)}`);
      referenceIpv6.addSubnet(b, prefix6, 'ipv6');
    }
    const matches = compileAddressMatcher(list);
    for (let i = 0; i < 300; i++) {
      const [a, b] = [ipv4(), ipv6()];
      assert.equal(matches(a), referenceIpv4.check(a, 'ipv4'), `seed ${String(seed)}: ${a}`);
      assert.equal(matches(b), referenceIpv6.check(b, 'ipv6'), `seed ${String(seed)}: ${b}`);
    }
  });
});

suite('parseAddress', () => {
  test('accepts exactly what node:net calls an address, and reads the same bytes as ipaddr.js', () => {
    const seed = Date.now() % 1e9;
    const { int: random } = createRandom(seed);
    const words = new Uint32Array(4);
    const pieces = [':', '::', ':', '.', '1', '0', 'ffff', 'a0', '25', '255', '0db8', '10.0.0.1', 'g'];
    let accepted = 0;
    for (let i = 0; i < 200_000; i++) {
      const text = Array.from({ length: 1 + random(15) }, () => pieces[random(pieces.length)] ?? '').join('');
      const family = parseAddress(text, words);
      assert.equal(family !== 0, isIPv4(text) || isIPv6(text), `seed ${String(seed)}: ${text}`);
      // ipaddr.js takes the deprecated `::d.d.d.d` (RFC 4291 §2.5.5.1) for the mapped form; node:net and we do not.
      if (family === 0 || /^::\d+\./.test(text)) continue;
      accepted++;
      const bytes = ipaddr.process(text).toByteArray();
      const read = [...words].flatMap((word) => [word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255]);
      assert.deepEqual(family === 4 ? read.slice(12) : read, bytes, `seed ${String(seed)}: ${text}`);
    }
    assert.ok(accepted > 100);
  });
});
