import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { readShared } from './shared-read.ts';

/** A client and the socket that a server accepted for it. */
async function pair(t: TestContext): Promise<{ client: Socket; accepted: Socket; server: Server }> {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [accepted] = (await once(server, 'connection')) as [Socket];
  t.after(() => {
    client.destroy();
    server.close();
  });
  return { client, accepted, server };
}

function received(accepted: Socket): { socket: Socket; first: Promise<string> } {
  const { promise, resolve } = Promise.withResolvers<string>();
  const socket = readShared(accepted, (buffer, length) => {
    resolve(buffer.toString('latin1', 0, length));
  });
  return { socket, first: promise };
}

test('an accepted socket is read, written and closed through the one that replaces it', async (t) => {
  const { client, accepted } = await pair(t);
  const { socket, first } = received(accepted);
  assert.equal(socket.remotePort, client.localPort);
  client.write('to the server');
  assert.equal(await first, 'to the server');
  socket.write('to the client');
  const [answer] = (await once(client, 'data')) as [Buffer];
  assert.equal(answer.toString(), 'to the client');
  client.end();
  await once(socket, 'end');
  socket.end();
  await once(client, 'close');
});

test('connections share the memory that they are read into', async (t) => {
  const buffers = new Set<Buffer>();
  for (const { client, accepted } of [await pair(t), await pair(t)]) {
    const { promise, resolve } = Promise.withResolvers<Buffer>();
    const socket = readShared(accepted, resolve);
    client.write('x');
    buffers.add(await promise);
    socket.destroy();
  }
  assert.equal(buffers.size, 1);
});

test('the server does not count a replaced socket for ever', async (t) => {
  const { accepted, server } = await pair(t);
  const { socket } = received(accepted);
  socket.destroy();
  await once(server.close(), 'close');
});

test('a socket without a handle to move is read in the usual way', async (t) => {
  const { client, accepted } = await pair(t);
  Object.defineProperty(accepted, '_handle', { value: undefined });
  const piece = Promise.withResolvers<string>();
  const socket = readShared(accepted, (buffer, length) => {
    piece.resolve(buffer.toString('latin1', 0, length));
  });
  assert.equal(socket, accepted);
  accepted.emit('data', Buffer.from('as ever'));
  assert.equal(await piece.promise, 'as ever');
  client.destroy();
});
