import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GatewayError } from '../errors/gateway-error.ts';
import { encodePath, hasUnsafeSegments, normalisePath, normaliseServletPath } from './path.ts';

describe('normalisePath', () => {
  it('decodes once for rules, and leaves what goes upstream as it was where nothing needed resolving', () => {
    for (const [raw, path] of [
      ['/', '/'],
      ['/a%20b', '/a b'],
      ['/a%2Fb', '/a/b'],
      ['/%41%62', '/Ab'],
      ['/%252e%252e/x', '/%2e%2e/x'],
      ['/%E4%BD%A0', '/你'],
      ['/%ff', '/\ufffd'],
      ['/.well-known/x', '/.well-known/x'],
      ['/..a/...', '/..a/...'],
      ['/a%3Fb%23c', '/a?b#c'],
    ] as const) {
      assert.deepEqual(normalisePath(raw), { path, encoded: raw });
    }
  });

  it('resolves dots and merges slashes, however they are spelt (RFC 3986 §5.2.4)', () => {
    for (const [raw, path] of [
      ['//a', '/a'],
      ['/a//b///c', '/a/b/c'],
      ['/a/./b', '/a/b'],
      ['/a/.', '/a/'],
      ['/a/..', '/'],
      ['/a/b/..', '/a/'],
      ['/a/../b', '/b'],
      ['/a/%2e%2E/b', '/b'],
      ['/a%2f%2e%2e%2fb', '/b'],
      ['/a/b//../c', '/a/c'],
      ['/a//', '/a/'],
    ] as const) {
      assert.deepEqual(normalisePath(raw), { path, encoded: path }, raw);
    }
  });

  it('encodes again what it decoded for resolving', () => {
    assert.deepEqual(normalisePath('/x/../a%20b%25%E4%BD%A0?'.slice(0, -1)), {
      path: '/a b%你',
      encoded: '/a%20b%25%E4%BD%A0',
    });
  });

  it('gives the same path when it is given its own answer', () => {
    for (const raw of ['/a/./b%20c', '/a%2f..%2fb', '/x//%E4%BD%A0', '/a%252e/../b']) {
      const { path, encoded } = normalisePath(raw);
      assert.deepEqual(normalisePath(encoded), { path, encoded });
    }
  });

  it('refuses what two readers could read in two ways', () => {
    for (const raw of [
      '/%',
      '/%4',
      '/%zz',
      '/%%41',
      '/%00',
      '/a%0d%0ab',
      '/%7f',
      '/a\\b',
      '/a%5cb',
      '/..',
      '/../a',
      '/a/../../b',
      '/%2e%2e/a',
      '/a/..;/b',
      '/a/.;x=y/b',
      '/a/%2e%2e%3b/b',
      '/%c0%ae%c0%ae/a',
      '/%c1%9c',
      '/%e0%80%af',
      '/%f0%80%80%af',
      '/a//%ff',
    ]) {
      assert.throws(
        () => normalisePath(raw),
        (error: unknown) => error instanceof GatewayError && error.code === 'REQUEST_PATH_REFUSED',
        raw,
      );
    }
  });
});

describe('encodePath', () => {
  it('leaves what a path may hold and encodes the rest as UTF-8', () => {
    assert.equal(encodePath("/a-._~!$&'()*+,;=:@"), "/a-._~!$&'()*+,;=:@");
    assert.equal(encodePath('/a b?c#d%e"\r\n你😀'), '/a%20b%3Fc%23d%25e%22%0D%0A%E4%BD%A0%F0%9F%98%80');
  });
});

describe('hasUnsafeSegments', () => {
  it('is true for what an upstream could resolve, or what ends a path or a request line', () => {
    for (const path of [
      '/a/../b',
      '/a/..',
      '/./a',
      '/a/%2e%2e/b',
      '/a%2f..%2fb',
      '/a/..;x/b',
      '/a\\b',
      '/%',
      '/a%00',
    ]) {
      assert.equal(hasUnsafeSegments(path), true, path);
    }
    for (const path of ['/a b', '/a\r\nX: y', '/a?b', '/a#b', '/a\0', '/\u00e9']) {
      assert.equal(hasUnsafeSegments(path), true, path);
    }
  });

  it('is false for ordinary paths', () => {
    for (const path of ['/', '/a/b', '/a//b', '/a%20b', '/.well-known', '/a..b', '/...', '/a;b=c']) {
      assert.equal(hasUnsafeSegments(path), false, path);
    }
  });
});

describe('normaliseServletPath', () => {
  it('drops the parameters of each segment for rules, and sends them upstream', () => {
    for (const [raw, path] of [
      ['/a;v=1/b;x;y=2', '/a/b'],
      ['/admin;jsessionid=1', '/admin'],
      ['/a;', '/a'],
      ['/a/;x', '/a/'],
      ['/a%3Bb/c;d', '/a;b/c'],
      ['/a%20b;c', '/a b'],
    ] as const) {
      assert.deepEqual(normaliseServletPath(raw), { path, encoded: raw }, raw);
    }
  });

  it('sends the path without parameters where they could lead elsewhere', () => {
    for (const [raw, path] of [
      ['/a;x/../b;y', '/b'],
      ['/;x/a', '/a'],
      ['/a;x=%2f..%2fb', '/a'],
      ['//a;x', '/a'],
    ] as const) {
      assert.deepEqual(normaliseServletPath(raw), { path, encoded: path }, raw);
    }
  });

  it('refuses dot segments with parameters, however they are spelt', () => {
    for (const raw of ['/a/..;/b', '/a/.;x/b', '/a/%2e%2e;x=1/b', '/..;']) {
      assert.throws(() => normaliseServletPath(raw), GatewayError, raw);
    }
  });
});
