import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GatewayError } from '../../errors/gateway-error.ts';
import { ChunkedDecoder } from './chunked.ts';

const limits = { maxHeadBytes: 500, maxFields: 10 };

/** Decodes `text` in pieces that end at the given offsets. */
function decode(
  text: string,
  cuts: readonly number[] = [],
): { body: string; trailers: unknown; rest: string; done: boolean } {
  const decoder = new ChunkedDecoder('REQUEST_MALFORMED', limits);
  let body = '';
  let rest = '';
  let from = 0;
  for (const to of [...cuts, text.length]) {
    const buffer = Buffer.from(text.slice(from, to), 'latin1');
    const taken = decoder.decode(buffer, 0, buffer.length, (start, end) => {
      body += buffer.toString('latin1', start, end);
    });
    rest += buffer.toString('latin1', taken);
    from = to;
  }
  const { trailers, done } = decoder;
  return { body, trailers: trailers === undefined ? undefined : [...trailers.entries()], rest, done };
}

const whole = '5\r\nhello\r\nA;a=b;c="d;\\"e"\r\n0123456789\r\n0\r\nX-T: 1\r\nX-U:\r\n\r\nnext';
const expected = {
  body: 'hello0123456789',
  trailers: [
    ['X-T', '1'],
    ['X-U', ''],
  ],
  rest: 'next',
  done: true,
};

describe('ChunkedDecoder', () => {
  it('gives the body, the trailers, and leaves what follows', () => {
    assert.deepEqual(decode(whole), expected);
    assert.deepEqual(decode('0\r\n\r\n'), { body: '', trailers: undefined, rest: '', done: true });
  });

  it('reads the same wherever the bytes are cut', () => {
    for (let first = 1; first < whole.length; first++) {
      assert.deepEqual(decode(whole, [first]), expected, `cut at ${first}`);
      for (let second = first + 1; second < whole.length; second += 7) {
        assert.deepEqual(decode(whole, [first, second]), expected, `cut at ${first} and ${second}`);
      }
    }
    assert.deepEqual(
      decode(
        whole,
        Array.from({ length: whole.length - 1 }, (_, i) => i + 1),
      ),
      expected,
    );
  });

  it('is not done before the last byte', () => {
    const text = '3\r\nabc\r\n0\r\nX: y\r\n\r\n';
    for (let end = 0; end < text.length; end++) assert.equal(decode(text.slice(0, end)).done, false);
  });

  it('takes extensions as RFC 9112 §7.1.1 writes them, and no others', () => {
    for (const extension of ['', ';a', ';a=b', ';a;b;c', ';a="b"', ';a=""', ';a="\\\\\\"";b', `;a=${'b'.repeat(200)}`])
      assert.equal(decode(`1${extension}\r\nx\r\n0${extension}\r\n\r\n`).done, true, extension);
    for (const extension of [
      ';',
      ';;',
      ';a=',
      ';=b',
      ';a="b',
      ';a="b"c',
      ';a=b=c',
      ' ',
      ' ;a',
      '; a',
      ';a b',
      ';a\x00',
      `;${'a'.repeat(300)}`,
    ])
      assert.throws(() => decode(`1${extension}\r\nx\r\n0\r\n\r\n`), GatewayError, extension);
  });

  it('bounds sizes and trailers', () => {
    assert.throws(() => decode('10000000000000\r\n'), /chunk size too large/);
    assert.equal(decode('0000000000001\r\nx\r\n0\r\n\r\n').body, 'x');
    assert.throws(() => decode(`0\r\nX: ${'a'.repeat(600)}`), GatewayError);
    assert.throws(() => decode(`0\r\n${'X: 1\r\n'.repeat(11)}\r\n`), GatewayError);
  });

  it('names the side that sent it', () => {
    const decoder = new ChunkedDecoder('UPSTREAM_MALFORMED', limits);
    assert.throws(
      () => decoder.decode(Buffer.from('x'), 0, 1, () => undefined),
      (error: unknown) => error instanceof GatewayError && error.code === 'UPSTREAM_MALFORMED',
    );
  });
});
