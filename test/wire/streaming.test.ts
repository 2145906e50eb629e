/** Bodies of any size pass through with flat memory, at the pace of the slower side. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';
import { routeTo, startGateway, startUpstream } from './gateway.ts';

const mebibyte = 1 << 20;
/** `STREAM_MEBIBYTES` for longer runs. */
const total = Number(process.env['STREAM_MEBIBYTES'] ?? 512) * mebibyte;
const piece = Buffer.alloc(mebibyte, 'x');

/** Peak of resident memory above where it stood, in MiB. */
function watchMemory(): () => number {
  globalThis.gc?.();
  const start = process.memoryUsage().rss;
  let peak = start;
  const timer = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().rss);
  }, 10);
  return () => {
    clearInterval(timer);
    return (peak - start) / mebibyte;
  };
}

/** Writes `bytes` at the pace of the reader. */
function pour(socket: Socket, bytes: number): Promise<void> {
  return new Promise((resolve) => {
    let left = bytes;
    const write = (): void => {
      while (left > 0) {
        const part = left < piece.length ? piece.subarray(0, left) : piece;
        left -= part.length;
        if (!socket.write(part) && left > 0) {
          socket.once('drain', write);
          return;
        }
      }
      resolve();
    };
    write();
  });
}

/** Takes the socket's bytes over from whoever read them, counting; pauses a moment every 32 MiB. */
function drain(socket: Socket, onBytes: (count: number) => void): void {
  let since = 0;
  socket.removeAllListeners('data');
  socket.on('data', (chunk: Buffer) => {
    onBytes(chunk.length);
    since += chunk.length;
    if (since < 32 * mebibyte) return;
    since = 0;
    socket.pause();
    setTimeout(() => socket.resume(), 5);
  });
}

describe('streaming', () => {
  it(`a response of ${total / mebibyte} MiB to a slow reader`, { timeout: 110_000 }, async () => {
    await using upstream = await startUpstream(async (peer) => {
      await peer.request();
      peer.write(`HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`);
      await pour(peer.socket, total);
    });
    await using gateway = await startGateway({ resources: routeTo(upstream) });
    using client = await gateway.connect();
    const grown = watchMemory();
    let taken = 0;
    await new Promise<void>((resolve) => {
      drain(client.socket, (count) => {
        taken += count;
        if (taken >= total) resolve();
      });
      client.write('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n');
    });
    const growth = grown();
    assert.ok(taken >= total && taken < total + 1000);
    assert.ok(growth < 160, `grew by ${growth} MiB`);
  });

  it(`a request of ${total / mebibyte} MiB to a slow upstream`, { timeout: 110_000 }, async () => {
    let taken = 0;
    await using upstream = await startUpstream(async (peer) => {
      await peer.until(() => peer.text.includes('\r\n\r\n'));
      taken = peer.received.length - peer.received.indexOf('\r\n\r\n') - 4;
      await new Promise<void>((resolve) => {
        drain(peer.socket, (count) => {
          taken += count;
          if (taken >= total) resolve();
        });
      });
      peer.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    });
    await using gateway = await startGateway({ resources: routeTo(upstream) });
    using client = await gateway.connect();
    const grown = watchMemory();
    client.write(`POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: ${total}\r\n\r\n`);
    await pour(client.socket, total);
    assert.equal((await client.response()).status, 200);
    const growth = grown();
    assert.equal(taken, total);
    assert.ok(growth < 160, `grew by ${growth} MiB`);
  });

  it('stops taking from an upstream whose client does not read', async () => {
    let written = 0;
    await using upstream = await startUpstream(async (peer) => {
      await peer.request();
      peer.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
      const chunk = Buffer.concat([Buffer.from('100000\r\n'), piece, Buffer.from('\r\n')]);
      const write = (): void => {
        while (written < 256) {
          written++;
          if (!peer.socket.write(chunk)) {
            peer.socket.once('drain', write);
            return;
          }
        }
      };
      write();
    });
    await using gateway = await startGateway({ resources: routeTo(upstream) });
    using client = await gateway.connect();
    client.socket.pause();
    client.write('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n');
    await settled(() => written);
    assert.ok(written > 0 && written < 64, `${written} MiB`);
  });

  it('stops taking from a client whose upstream does not read', async () => {
    await using upstream = await startUpstream((peer) => {
      peer.socket.pause();
    });
    await using gateway = await startGateway({ resources: routeTo(upstream) });
    using client = await gateway.connect();
    client.write('POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n');
    const chunk = Buffer.concat([Buffer.from('100000\r\n'), piece, Buffer.from('\r\n')]);
    let written = 0;
    const write = (): void => {
      while (written < 256) {
        written++;
        if (!client.socket.write(chunk)) {
          client.socket.once('drain', write);
          return;
        }
      }
    };
    write();
    await settled(() => written);
    assert.ok(written > 0 && written < 64, `${written} MiB`);
  });

  it('sends each piece on as it comes', async () => {
    await using upstream = await startUpstream(async (peer) => {
      await peer.until(() => peer.text.includes('\r\n\r\n'));
      peer.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n');
      await peer.until(() => peer.text.includes('ping'));
      peer.write('3\r\ntwo\r\n');
      await peer.until(() => peer.text.includes('pong'));
      peer.write('0\r\n\r\n');
    });
    await using gateway = await startGateway({ resources: routeTo(upstream) });
    using client = await gateway.connect();
    client.write('POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n');
    await client.until(() => client.text.includes('one'));
    client.write('4\r\nping\r\n');
    await client.until(() => client.text.includes('two'));
    client.write('4\r\npong\r\n0\r\n\r\n');
    assert.equal((await client.response()).body.toString(), 'onetwo');
  });
});

/** Until the value has not changed for a while: what flowed has stopped. */
async function settled(value: () => number): Promise<void> {
  for (let last = -1, same = 0; same < 10;) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    same = value() === last ? same + 1 : 0;
    last = value();
  }
}
