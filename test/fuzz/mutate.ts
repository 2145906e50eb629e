/** Byte streams of HTTP/1.1 requests → others that are nearly that: what parsers disagree about. */
import type { Random } from '../../src/random.fixture.ts';

const lines = [
  'Transfer-Encoding: chunked\r\n',
  'Transfer-Encoding: identity\r\n',
  'Transfer-Encoding: chunked, chunked\r\n',
  'Transfer-Encoding : chunked\r\n',
  'Transfer-Encoding:\x0bchunked\r\n',
  'Content-Length: 0\r\n',
  'Content-Length: 5\r\n',
  'Content-Length: 05\r\n',
  'Content-Length: +5\r\n',
  'Content-Length: 5, 5\r\n',
  'Connection: close\r\n',
  'Connection: keep-alive\r\n',
  'Connection: upgrade\r\n',
  'Connection: Content-Length\r\n',
  'Upgrade: websocket\r\n',
  'Upgrade: h2c\r\n',
  'Expect: 100-continue\r\n',
  'Host: b.example\r\n',
  'Trailer: X-T\r\n',
  'X: y\r\n',
  ' folded\r\n',
  '\tfolded\r\n',
];

const tokens = [
  '\r\n',
  '\r',
  '\n',
  '\r\n\r\n',
  '\n\n',
  ' ',
  '\t',
  '\0',
  '\x0b',
  '\x0c',
  '\x7f',
  '\x80',
  '\xa0',
  '\xff',
  ':',
  ';',
  ',',
  '"',
  '\\',
  '#',
  '?',
  '%',
  '/',
  '0',
  '5',
  'a',
  'F',
  '-',
  '+',
  'x',
  'chunked',
  '0\r\n',
  '0\r\n\r\n',
  '5\r\nhello\r\n',
  ';a=b',
  ';a="b"',
  ' HTTP/1.1',
  ' HTTP/1.0',
  'HTTP/1.1',
  'GET / HTTP/1.1\r\nHost: a.example\r\n\r\n',
  'POST /p HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\n\r\nabc',
  'http://',
  '//',
  '/../',
  '*',
];

/** One to four changes; now and then a second stream behind the first. `corpus` must not be empty. */
export function mutate(random: Random, corpus: readonly Buffer[]): Buffer {
  let bytes = random.pick(corpus);
  if (random.int(6) === 0) bytes = Buffer.concat([bytes, random.pick(corpus)]);
  for (let i = random.int(4); i >= 0; i--) bytes = change(random, bytes, corpus);
  return bytes.subarray(0, 4096);
}

function change(random: Random, bytes: Buffer, corpus: readonly Buffer[]): Buffer {
  const at = random.int(bytes.length + 1);
  switch (random.int(10)) {
    case 0:
      return splice(bytes, at, 1, Buffer.from([random.int(256)]));
    case 1:
      return splice(bytes, at, 0, latin1(random.pick(tokens)));
    case 2:
      return splice(bytes, at, 1, latin1(random.pick(tokens)));
    case 3:
      return splice(bytes, at, 1 + random.int(8), Buffer.alloc(0));
    case 4: {
      const from = random.int(bytes.length + 1);
      return splice(bytes, at, 0, bytes.subarray(from, from + 1 + random.int(32)));
    }
    case 5:
      return splice(bytes, lineStart(bytes, at), 0, latin1(random.pick(lines)));
    case 6: {
      const start = lineStart(bytes, at);
      const end = lineStart(bytes, start + 1 + random.int(40));
      return splice(
        bytes,
        lineStart(bytes, random.int(bytes.length + 1)),
        0,
        bytes.subarray(start, Math.max(start, end)),
      );
    }
    case 7: {
      const other = random.pick(corpus);
      return Buffer.concat([bytes.subarray(0, at), other.subarray(random.int(other.length + 1))]);
    }
    case 8: {
      const crlf = bytes.indexOf('\r\n', at, 'latin1');
      return crlf < 0
        ? bytes
        : splice(bytes, crlf, 2, latin1(random.pick(['\n', '\r', '\r\r\n', '\n\r\n', '\r\n\r\n', ''])));
    }
    default:
      return digit(random, bytes, at);
  }
}

/** Another number in the place of one. */
function digit(random: Random, bytes: Buffer, from: number): Buffer {
  for (let i = from; i < bytes.length; i++) {
    const byte = bytes[i] ?? 0;
    if (byte >= 0x30 && byte <= 0x39)
      return splice(bytes, i, 1, latin1(String(random.int(random.pick([2, 10, 100, 1e16])))));
  }
  return bytes;
}

function lineStart(bytes: Buffer, at: number): number {
  const lineFeed = bytes.lastIndexOf(0x0a, Math.max(0, Math.min(at, bytes.length) - 1));
  return lineFeed + 1;
}

function splice(bytes: Buffer, at: number, remove: number, insert: Buffer): Buffer {
  return Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(Math.min(at + remove, bytes.length))]);
}

function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}
