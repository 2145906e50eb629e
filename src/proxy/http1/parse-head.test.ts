import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GatewayError } from '../../errors/gateway-error.ts';
import { BodyLength, parseRequestHead, parseResponseHead, type RequestHead } from './parse-head.ts';

const limits = { maxHeadBytes: 1000, maxFields: 10 };
const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

function parse(text: string): RequestHead {
  const buffer = bytes(text);
  const head = parseRequestHead(buffer, 0, buffer.length, limits);
  assert.ok(head !== undefined, 'incomplete');
  return head;
}

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof GatewayError) return error.code;
    throw error;
  }
  return 'accepted';
}

describe('parseRequestHead', () => {
  it('reads request line and fields, and says where the head ends', () => {
    const head = parse('POST /a/b?c HTTP/1.1\r\nHost: X.example\r\nX-A:  one\t \r\nContent-Length: 3\r\n\r\nabc');
    assert.equal(head.method, 'POST');
    assert.equal(head.target, '/a/b?c');
    assert.equal(head.queryStart, 4);
    assert.equal(head.needsNormalising, false);
    assert.equal(head.minor, 1);
    assert.equal(head.host, 'X.example');
    assert.equal(head.keepAlive, true);
    assert.equal(head.bodyLength, 3);
    assert.equal(head.upgrade, undefined);
    assert.deepEqual(
      [...head.fields.entries()],
      [
        ['Host', 'X.example'],
        ['X-A', 'one'],
        ['Content-Length', '3'],
      ],
    );
    assert.equal(head.end, 73);
  });

  it('reads from the middle of a buffer', () => {
    const buffer = bytes('xxxGET / HTTP/1.0\r\n\r\nyyy');
    assert.equal(parseRequestHead(buffer, 3, buffer.length, limits)?.end, 21);
    assert.equal(parseRequestHead(buffer, 3, 20, limits), undefined);
  });

  it('is incomplete at every length short of the whole, and never wrong', () => {
    const text = '\r\nGET /a%20b HTTP/1.1\r\nHost: a\r\nX-Long: value\r\nConnection: close\r\n\r\n';
    const buffer = bytes(text);
    for (let end = 0; end < buffer.length; end++)
      assert.equal(parseRequestHead(buffer, 0, end, limits), undefined, `${end}`);
    assert.equal(parseRequestHead(buffer, 0, buffer.length, limits)?.end, buffer.length);
  });

  it('marks targets that have something to normalise', () => {
    for (const target of ['/a%20', '//a', '/a//b', '/./a', '/a/..', '/.a', '/a\\b', 'http://a/b']) {
      assert.equal(parse(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`).needsNormalising, true, target);
    }
    for (const target of ['/', '/a', '/a.b/c', '/a?b=//c/../%20', '*']) {
      assert.equal(parse(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`).needsNormalising, false, target);
    }
  });

  it('tells keep-alive by version and Connection (RFC 9112 §9.3)', () => {
    for (const [version, connection, keepAlive] of [
      ['1.1', '', true],
      ['1.1', 'Connection: close\r\n', false],
      ['1.1', 'Connection: keep-alive, Close\r\n', false],
      ['1.1', 'Connection: close\r\nConnection: keep-alive\r\n', false],
      ['1.0', '', false],
      ['1.0', 'Connection: Keep-Alive\r\n', true],
      ['1.0', 'Connection: keep-alive, close\r\n', false],
    ] as const) {
      assert.equal(
        parse(`GET / HTTP/${version}\r\nHost: a\r\n${connection}\r\n`).keepAlive,
        keepAlive,
        version + connection,
      );
    }
  });

  it('drops the fields that Connection names (RFC 9110 §7.6.1)', () => {
    const head = parse(
      'GET / HTTP/1.1\r\nHost: a\r\nX-Hop: 1\r\nConnection: x-hop , Keep-Alive\r\nX-Kept: 2\r\nx-HOP: 3\r\n\r\n',
    );
    assert.deepEqual(
      [...head.fields.entries()].map(([name]) => name),
      ['Host', 'Connection', 'X-Kept'],
    );
  });

  it('gives Upgrade where Connection lists it, and never h2c', () => {
    const upgrade = (value: string, connection = 'Upgrade'): string | undefined =>
      parse(`GET / HTTP/1.1\r\nHost: a\r\nConnection: ${connection}\r\nUpgrade: ${value}\r\n\r\n`).upgrade;
    assert.equal(upgrade('websocket'), 'websocket');
    assert.equal(upgrade('websocket', 'close'), undefined);
    assert.equal(upgrade('WebSocket, h2cx'), 'WebSocket, h2cx');
    for (const value of ['h2c', 'H2C', 'websocket,h2c', 'h2c , x', 'h2c/1', 'h2'])
      assert.equal(upgrade(value), undefined);
  });

  it('limits bytes, fields and the target apart', () => {
    const long = 'a'.repeat(1000);
    assert.equal(
      codeOf(() => parse(`GET /${long} HTTP/1.1\r\nHost: a\r\n\r\n`)),
      'REQUEST_TARGET_TOO_LONG',
    );
    assert.equal(
      codeOf(() => parse(`GET / HTTP/1.1\r\nHost: a\r\nX: ${long}\r\n\r\n`)),
      'REQUEST_HEADERS_TOO_LARGE',
    );
    assert.equal(
      codeOf(() => parse(`GET / HTTP/1.1\r\nHost: a\r\nX: ${long}`)),
      'REQUEST_HEADERS_TOO_LARGE',
    );
    assert.equal(
      codeOf(() => parse(`GET / HTTP/1.1\r\nHost: a\r\n${'X: 1\r\n'.repeat(10)}\r\n`)),
      'REQUEST_HEADERS_TOO_LARGE',
    );
    assert.equal(
      codeOf(() => parse('A'.repeat(1001))),
      'REQUEST_HEADERS_TOO_LARGE',
    );
    assert.equal(
      codeOf(() => parse('\r\n'.repeat(501))),
      'REQUEST_HEADERS_TOO_LARGE',
    );
  });

  it('names what it does not speak', () => {
    assert.equal(
      codeOf(() => parse('GET / HTTP/2.0\r\n\r\n')),
      'REQUEST_VERSION_UNSUPPORTED',
    );
    assert.equal(
      codeOf(() => parse('BREW / HTTP/1.1\r\nHost: a\r\n\r\n')),
      'REQUEST_METHOD_UNSUPPORTED',
    );
    assert.equal(
      codeOf(() => parse('GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n')),
      'REQUEST_EXPECTATION_FAILED',
    );
  });
});

describe('parseResponseHead', () => {
  const respond = (text: string): ReturnType<typeof parseResponseHead> => {
    const buffer = bytes(text);
    return parseResponseHead(buffer, 0, buffer.length, limits);
  };

  it('reads status, reason and framing', () => {
    const head = respond('HTTP/1.1 404 Not Here\r\nContent-Length: 0\r\n\r\n');
    assert.equal(head?.status, 404);
    assert.equal(head.reason, 'Not Here');
    assert.equal(head.bodyLength, 0);
    assert.equal(head.keepAlive, true);
    assert.equal(respond('HTTP/1.1 200\r\n\r\n')?.reason, '');
    assert.equal(respond('HTTP/1.1 200 \r\n\r\n')?.reason, '');
    assert.equal(respond('HTTP/1.1 200 OK\r\n\r\n')?.bodyLength, BodyLength.untilClose);
    assert.equal(respond('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')?.bodyLength, BodyLength.chunked);
    assert.equal(respond('HTTP/1.0 200 OK\r\n\r\n')?.keepAlive, false);
  });

  it('is incomplete at every length short of the whole', () => {
    const buffer = bytes('HTTP/1.1 200 OK\r\nX-A: b\r\n\r\n');
    for (let end = 0; end < buffer.length; end++)
      assert.equal(parseResponseHead(buffer, 0, end, limits), undefined, `${end}`);
  });

  it('refuses what is no response', () => {
    for (const text of [
      'SSH-2.0-OpenSSH\r\n\r\n',
      'SSH-2',
      'HTTP/1.1 20 OK\r\n\r\nxx',
      'HTTP/1.1 099 No\r\n\r\n',
      'HTTP/1.1 2000 OK\r\n\r\n',
      'HTTP/1.1  200 OK\r\n\r\n',
      'HTTP/3.0 200 OK\r\n\r\n',
      'HTTP/1.1 200 OK\nX: y\n\n',
      'HTTP/1.1 200 O\0K\r\n\r\n',
    ]) {
      assert.equal(
        codeOf(() => respond(text)),
        'UPSTREAM_MALFORMED',
        text,
      );
    }
  });
});
