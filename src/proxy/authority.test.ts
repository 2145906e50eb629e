import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GatewayError } from '../errors/gateway-error.ts';
import { parseAuthority } from './authority.ts';

describe('parseAuthority', () => {
  it('gives host and port, in lower case and without the root dot', () => {
    for (const [raw, host, port] of [
      ['a.example', 'a.example', undefined],
      ['A.Example:8080', 'a.example', 8080],
      ['a.example.', 'a.example', undefined],
      ['a.example:', 'a.example', undefined],
      ['[::1]:80', '[::1]', 80],
      ['[FE80::1]', '[fe80::1]', undefined],
      ['127.0.0.1:65535', '127.0.0.1', 65_535],
      ['under_score', 'under_score', undefined],
      ['', '', undefined],
    ] as const) {
      assert.deepEqual(parseAuthority(raw), { raw, host, port });
    }
  });

  it('refuses what is no host', () => {
    for (const raw of [
      ':80',
      'a b',
      'a/b',
      'a?b',
      'a#b',
      'user@a',
      'a@b@c',
      'a:b',
      'a:80:80',
      'a:65536',
      'a:-1',
      '::1',
      '[::1',
      '[::1]x',
      '[a]',
      'a\tb',
      'a\\b',
      'a"b',
      '<a>',
      'caf\u00e9',
      'a'.repeat(1100),
    ]) {
      assert.throws(
        () => parseAuthority(raw),
        (error: unknown) => error instanceof GatewayError && error.code === 'REQUEST_MALFORMED',
        raw,
      );
    }
  });

  it('remembers a bounded number of hosts, and none that it refused', () => {
    for (let i = 0; i < 5000; i++) assert.equal(parseAuthority(`h${i}.example`).host, `h${i}.example`);
    assert.throws(() => parseAuthority('a b'));
    assert.throws(() => parseAuthority('a b'));
    assert.equal(parseAuthority('h1.example'), parseAuthority('h1.example'));
  });
});
