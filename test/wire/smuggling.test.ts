/** Byte streams with two readings: each is answered with an error and a closed connection, and nothing after it is read. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { loadRefused, loadValid } from '../vectors/load.ts';
import { EchoHandler, startEngine } from './harness.ts';

describe('requests with more than one reading', () => {
  for (const vector of loadRefused()) {
    it(`refuses and closes: ${vector.name} (${vector.source})`, async () => {
      const handler = new EchoHandler();
      await using engine = await startEngine(handler);
      using client = await engine.connect();
      client.write(vector.bytes);
      for (let i = 0; i < vector.accepted; i++) assert.equal((await client.response()).status, 200);
      const refusal = await client.response(vector.bytes.toString('latin1', 0, 4) === 'HEAD');
      assert.ok(refusal.status >= 400, `${refusal.status}`);
      assert.equal(refusal.header('connection'), 'close');
      assert.equal(await client.untilEnd(), '');
      assert.equal(handler.requests.filter(({ complete }) => complete).length, vector.accepted);
      assert.equal(handler.requests.length, vector.accepted + (vector.inBody ? 1 : 0));
    });
  }
});

describe('requests with one reading', () => {
  for (const { name, bytes, count } of loadValid()) {
    it(`accepts: ${name}`, async () => {
      const handler = new EchoHandler();
      await using engine = await startEngine(handler);
      using client = await engine.connect();
      client.write(bytes).end();
      await client.untilEnd();
      assert.deepEqual(handler.errors, []);
      assert.equal(handler.requests.length, count);
      assert.ok(handler.requests.every(({ complete }) => complete));
    });
  }
});
