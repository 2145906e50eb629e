/** The client's side of the HTTP/1.1 engine, alone: framing, order, limits, time-outs, closing. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ClientConnection } from '../../src/proxy/http1/client-connection.ts';
import { EchoHandler, type EngineHandler, startEngine } from './harness.ts';

const host = 'Host: a.example\r\n';
const get = (target: string, more = ''): string => `GET ${target} HTTP/1.1\r\n${host}${more}\r\n`;
const ten = Array.from({ length: 10 }, (_, i) => `/${i}`);

describe('pipelining', () => {
  it('answers 10 requests of one packet in order', async () => {
    const handler = new EchoHandler();
    await using engine = await startEngine(handler);
    using client = await engine.connect();
    client.write(ten.map((target) => get(target)).join(''));
    for (const target of ten) assert.equal((await client.response()).body.toString(), `GET ${target} 0\n`);
  });

  it('reads the same from a stream that is split at every byte', async () => {
    const stream = `POST /1 HTTP/1.1\r\n${host}Content-Length: 5\r\n\r\nhello${get('/2')}PUT /3 HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n${get('/4')}`;
    const handler = new EchoHandler();
    await using engine = await startEngine(handler);
    for (let at = 1; at < stream.length; at++) {
      using client = await engine.connect();
      handler.requests.length = 0;
      client.write(stream.slice(0, at));
      // The first part must have been read by itself: the second goes once the engine has had its turn.
      await new Promise((resolve) => setImmediate(resolve));
      client.write(stream.slice(at)).end();
      await client.untilEnd();
      assert.deepEqual(
        handler.requests.map(({ method, target, body, trailers }) => [method, target, body.toString(), trailers]),
        [
          ['POST', '/1', 'hello', []],
          ['GET', '/2', '', []],
          ['PUT', '/3', 'abcde', [['X-T', '1']]],
          ['GET', '/4', '', []],
        ],
        `split at ${at}`,
      );
    }
  });

  it('reads a stream that comes byte by byte', async () => {
    const handler = new EchoHandler();
    await using engine = await startEngine(handler);
    using client = await engine.connect();
    for (const byte of `${get('/1')}POST /2 HTTP/1.1\r\n${host}Content-Length: 2\r\n\r\nab`) {
      client.write(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal((await client.response()).body.toString(), 'GET /1 0\n');
    assert.equal((await client.response()).body.toString(), 'POST /2 2\nab');
  });

  it('answers the requests before one that is malformed, then refuses and closes', async () => {
    const handler = new EchoHandler();
    await using engine = await startEngine(handler);
    using client = await engine.connect();
    client.write(`${get('/1')}${get('/2')}GET /3\r\n\r\n${get('/4')}`);
    assert.equal((await client.response()).body.toString(), 'GET /1 0\n');
    assert.equal((await client.response()).body.toString(), 'GET /2 0\n');
    assert.equal((await client.response()).status, 400);
    assert.equal(await client.untilEnd(), '');
  });
});

describe('keep-alive', () => {
  it('keeps HTTP/1.1 connections and closes on Connection: close', async () => {
    await using engine = await startEngine(new EchoHandler());
    using client = await engine.connect();
    client.write(get('/1'));
    assert.equal((await client.response()).header('connection'), 'keep-alive');
    client.write(get('/2', 'Connection: close\r\n') + get('/3'));
    assert.equal((await client.response()).header('connection'), 'close');
    assert.equal(await client.untilEnd(), '');
  });

  it('closes HTTP/1.0 connections unless keep-alive is asked for', async () => {
    await using engine = await startEngine(new EchoHandler());
    using kept = await engine.connect();
    kept.write('GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
    assert.equal((await kept.response()).header('connection'), 'keep-alive');
    kept.write('GET /2 HTTP/1.0\r\n\r\n');
    assert.equal((await kept.response()).header('connection'), 'close');
    assert.equal(await kept.untilEnd(), '');
  });

  it('closes after the configured number of requests', async () => {
    await using engine = await startEngine(new EchoHandler(), { maxRequests: 2 });
    using client = await engine.connect();
    client.write(get('/1') + get('/2') + get('/3'));
    assert.equal((await client.response()).header('connection'), 'keep-alive');
    assert.equal((await client.response()).header('connection'), 'close');
    assert.equal(await client.untilEnd(), '');
  });

  it('closes an idle connection silently after its time-out', async () => {
    await using engine = await startEngine(new EchoHandler(), { keepAliveTimeoutMs: 20 });
    using client = await engine.connect();
    client.write(get('/1'));
    await client.response();
    assert.equal(await client.untilEnd(), '');
  });

  it('lets go of idle connections at once when it stops, and of busy ones after their response', async () => {
    const waiting: ClientConnection[] = [];
    await using engine = await startEngine({
      onRequest: (connection) => {
        waiting.push(connection);
        return { onClientGone: () => undefined, onDrain: () => undefined };
      },
    });
    using idle = await engine.connect();
    using busy = await engine.connect();
    busy.write(get('/busy'));
    while (waiting.length === 0) await new Promise((resolve) => setImmediate(resolve));
    for (const connection of engine.connections) connection.stop();
    assert.equal(await idle.untilEnd(), '');
    waiting[0]?.startResponse(200, 'OK', '', 0);
    waiting[0]?.endResponse();
    const response = await busy.response();
    assert.equal(response.status, 200);
    assert.equal(response.header('connection'), 'close');
    assert.equal(await busy.untilEnd(), '');
  });
});

describe('bodies', () => {
  it('answers Expect: 100-continue before the body is sent', async () => {
    await using engine = await startEngine(new EchoHandler());
    using client = await engine.connect();
    client.write(`POST /e HTTP/1.1\r\n${host}Expect: 100-continue\r\nContent-Length: 4\r\n\r\n`);
    assert.equal((await client.response()).status, 100);
    client.write('body');
    assert.equal((await client.response()).body.toString(), 'POST /e 4\nbody');
  });

  it('refuses an expectation that it does not know (RFC 9110 §10.1.1)', async () => {
    await using engine = await startEngine(new EchoHandler());
    using client = await engine.connect();
    client.write(`POST /e HTTP/1.1\r\n${host}Expect: 200-ok\r\nContent-Length: 4\r\n\r\n`);
    assert.equal((await client.response()).status, 417);
  });

  it('sends no 100 to HTTP/1.0', async () => {
    await using engine = await startEngine(new EchoHandler());
    using client = await engine.connect();
    client.write('POST /e HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody');
    assert.equal((await client.response()).status, 200);
  });

  it('sends no body to HEAD but its length', async () => {
    await using engine = await startEngine(new EchoHandler());
    using client = await engine.connect();
    client.write(`HEAD /h HTTP/1.1\r\n${host}\r\n${get('/next')}`);
    const head = await client.response(true);
    assert.equal(head.header('content-length'), '10');
    assert.equal((await client.response()).body.toString(), 'GET /next 0\n');
  });

  it('refuses a body that ends with the connection before it is whole', async () => {
    for (const [framing, part] of [
      ['Content-Length: 10', 'short'],
      ['Content-Length: 10', ''],
      ['Transfer-Encoding: chunked', '5\r\nhel'],
      ['Transfer-Encoding: chunked', '5\r\nhello\r\n0\r\n'],
    ] as const) {
      const handler = new EchoHandler();
      await using engine = await startEngine(handler);
      using client = await engine.connect();
      client.write(`POST /b HTTP/1.1\r\n${host}${framing}\r\n\r\n${part}`).end();
      assert.equal((await client.response()).status, 400, part);
      assert.equal(handler.requests[0]?.complete, false);
    }
  });

  it('refuses a body that is short, where the handler reads it after the connection ended', async () => {
    for (const part of ['', 'short']) {
      const { promise, resolve } = Promise.withResolvers<string>();
      await using engine = await startEngine({
        onRequest: (connection) => {
          connection.socket.once('end', () => setImmediate(read));
          // A body that waits unread holds the socket back: its end is not seen before it is read.
          if (part !== '') setTimeout(read, 20);
          function read(): void {
            connection.readBody({
              onData: () => undefined,
              onEnd: () => {
                resolve('whole');
              },
              onError: (error) => {
                resolve(error.code);
                connection.refuse(error);
              },
            });
          }
          return { onClientGone: () => undefined, onDrain: () => undefined };
        },
      });
      using client = await engine.connect();
      client.write(`POST /b HTTP/1.1\r\n${host}Content-Length: 10\r\n\r\n${part}`).end();
      assert.equal(await promise, 'REQUEST_MALFORMED');
      assert.equal((await client.response()).status, 400);
    }
  });

  it('answers what was answered at once before a client half-closed', async () => {
    await using engine = await startEngine(new EchoHandler());
    using client = await engine.connect();
    client.write(get('/1') + get('/2')).end();
    assert.equal((await client.response()).body.toString(), 'GET /1 0\n');
    assert.equal((await client.response()).body.toString(), 'GET /2 0\n');
    assert.equal(await client.untilEnd(), '');
  });
});

describe('a body that the handler does not read', () => {
  const ignoring = (): EngineHandler => ({
    onRequest: (connection) => {
      connection.startResponse(403, 'Forbidden', '', 2);
      connection.writeBody(Buffer.from('no'));
      connection.endResponse();
      return { onClientGone: () => undefined, onDrain: () => undefined };
    },
  });

  it('is read away when it is short, and the connection goes on', async () => {
    await using engine = await startEngine(ignoring());
    using client = await engine.connect();
    client.write(`POST /1 HTTP/1.1\r\n${host}Content-Length: 10\r\n\r\n01234`);
    assert.equal((await client.response()).header('connection'), 'keep-alive');
    client.write(`56789${get('/2')}`);
    assert.equal((await client.response()).status, 403);
  });

  it('closes the connection when it is long, chunked, or waits for 100 Continue', async () => {
    for (const fields of [
      'Content-Length: 1000000',
      'Transfer-Encoding: chunked',
      'Content-Length: 5\r\nExpect: 100-continue',
    ]) {
      await using engine = await startEngine(ignoring());
      using client = await engine.connect();
      client.write(`POST /1 HTTP/1.1\r\n${host}${fields}\r\n\r\n`);
      const response = await client.response();
      assert.equal(response.status, 403);
      assert.equal(response.header('connection'), 'close');
      assert.equal(await client.untilEnd(), '');
    }
  });

  it('does not hold the connection when the rest never comes', async () => {
    await using engine = await startEngine(ignoring(), { bodyTimeoutMs: 20 });
    using client = await engine.connect();
    client.write(`POST /1 HTTP/1.1\r\n${host}Content-Length: 10\r\n\r\n01234`);
    assert.equal((await client.response()).status, 403);
    assert.equal(await client.untilEnd(), '');
  });

  it('lets the client read the answer when it broke off inside the body', async () => {
    await using engine = await startEngine(ignoring());
    using client = await engine.connect();
    client.write(`POST /1 HTTP/1.1\r\n${host}Content-Length: 10\r\n\r\n01234`).end();
    assert.equal((await client.response()).status, 403);
    assert.equal(await client.untilEnd(), '');
  });
});

describe('limits', () => {
  it('answers 431 to a head that is too long, and to one that never ends', async () => {
    for (const bytes of [get('/', `X: ${'a'.repeat(2000)}\r\n`), `GET / HTTP/1.1\r\nX: ${'a'.repeat(2000)}`]) {
      await using engine = await startEngine(new EchoHandler(), { maxHeadBytes: 1000 });
      using client = await engine.connect();
      client.write(bytes);
      assert.equal((await client.response()).status, 431);
      assert.equal(await client.untilEnd(), '');
    }
  });

  it('answers 431 to too many fields', async () => {
    await using engine = await startEngine(new EchoHandler(), { maxFields: 10 });
    using client = await engine.connect();
    client.write(get('/1', 'X: 1\r\n'.repeat(9)));
    assert.equal((await client.response()).status, 200);
    client.write(get('/2', 'X: 1\r\n'.repeat(10)));
    assert.equal((await client.response()).status, 431);
  });

  it('answers 414 to a target that is too long', async () => {
    await using engine = await startEngine(new EchoHandler(), { maxHeadBytes: 1000 });
    using client = await engine.connect();
    client.write(get(`/${'a'.repeat(2000)}`));
    assert.equal((await client.response()).status, 414);
  });

  it('refuses trailers beyond the limit of a head', async () => {
    await using engine = await startEngine(new EchoHandler(), { maxHeadBytes: 500 });
    using client = await engine.connect();
    client.write(`POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n0\r\nX: ${'a'.repeat(2000)}`);
    assert.ok((await client.response()).status >= 400);
  });

  it('refuses a chunk size line beyond 256 bytes', async () => {
    await using engine = await startEngine(new EchoHandler());
    using client = await engine.connect();
    client.write(
      `POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n5;a=${'b'.repeat(300)}\r\nhello\r\n0\r\n\r\n`,
    );
    assert.equal((await client.response()).status, 400);
  });

  it('holds back a client that pipelines without reading answers', async () => {
    await using engine = await startEngine({
      onRequest: () => ({ onClientGone: () => undefined, onDrain: () => undefined }),
    });
    using client = await engine.connect();
    // Far more than the buffers of both ends hold.
    const flood = Buffer.alloc(1 << 20, get('/'));
    let taken = 0;
    const write = (): void => {
      if (taken === 24) return;
      client.socket.write(flood, () => {
        taken++;
        write();
      });
    };
    write();
    let last = -1;
    for (let same = 0; same < 15;) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      same = taken === last ? same + 1 : 0;
      last = taken;
    }
    assert.ok(taken < 24);
  });
});

describe('time-outs', () => {
  it('answers 408 to a head that drips in, however steadily', async () => {
    await using engine = await startEngine(new EchoHandler(), { headerTimeoutMs: 60 });
    using client = await engine.connect();
    client.write('GET / HTTP/1.1\r\nX: ');
    const drip = setInterval(() => client.write('a'), 5);
    assert.equal((await client.response()).status, 408);
    clearInterval(drip);
  });

  it('answers 408 to a second head that drips in line by line', async () => {
    await using engine = await startEngine(new EchoHandler(), { headerTimeoutMs: 60 });
    using client = await engine.connect();
    client.write(get('/1'));
    await client.response();
    client.write('GET / HTTP/1.1\r\n');
    const drip = setInterval(() => client.write('a: b\r\n'), 5);
    assert.equal((await client.response()).status, 408);
    clearInterval(drip);
  });

  it('answers 408 to a body that stops', async () => {
    const handler = new EchoHandler();
    await using engine = await startEngine(handler, { bodyTimeoutMs: 20 });
    using client = await engine.connect();
    client.write(`POST / HTTP/1.1\r\n${host}Content-Length: 10\r\n\r\n01234`);
    assert.equal((await client.response()).status, 408);
    assert.equal(handler.errors[0]?.code, 'REQUEST_TIMEOUT');
  });

  it('closes silently where nothing was ever sent', async () => {
    await using engine = await startEngine(new EchoHandler(), { headerTimeoutMs: 20 });
    using client = await engine.connect();
    assert.equal(await client.untilEnd(), '');
  });

  it('does not blame the client while its body is held back', async () => {
    const held: ClientConnection[] = [];
    let bytes = 0;
    await using engine = await startEngine(
      {
        onRequest: (connection) => {
          connection.readBody({
            onData: (piece) => {
              bytes += piece.length;
              if (held.length === 0) {
                held.push(connection);
                connection.pauseBody();
              }
            },
            onEnd: () => {
              connection.startResponse(200, 'OK', '', 0);
              connection.endResponse();
            },
            onError: (error) => {
              connection.refuse(error);
            },
          });
          return { onClientGone: () => undefined, onDrain: () => undefined };
        },
      },
      { bodyTimeoutMs: 20 },
    );
    using client = await engine.connect();
    client.write(`POST / HTTP/1.1\r\n${host}Content-Length: 10\r\n\r\n01234`);
    while (held.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setTimeout(resolve, 80));
    client.write('56789');
    held[0]?.resumeBody();
    assert.equal((await client.response()).status, 200);
    assert.equal(bytes, 10);
  });

  it('drops a client that takes no bytes of its answer', async () => {
    let gone = 0;
    await using engine = await startEngine(
      {
        onRequest: (connection) => {
          const write = (): void => {
            while (connection.writeBody(Buffer.alloc(1 << 20)));
          };
          connection.startResponse(200, 'OK', '', 1 << 30);
          write();
          return { onClientGone: () => gone++, onDrain: write };
        },
      },
      { sendTimeoutMs: 30 },
    );
    using client = await engine.connect();
    client.socket.pause();
    client.write(get('/'));
    while (gone === 0) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(engine.connections.size, 0);
  });
});
