/** `gatewright plugin test examples/plugins` runs it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startPlugin } from 'gatewright/plugin/testing';
import plugin from './replace-text.ts';

const config = { search: 'http://orders.internal', replacement: 'https://api.example.com' };
const page = { 'Content-Type': 'text/html; charset=utf-8' };

test('replaces the text wherever the pieces of the body are cut', async () => {
  const body = '<a href="http://orders.internal/1">café</a> http://orders.inter <b>http://orders.internal</b>';
  await using gateway = await startPlugin(plugin, config);
  for (let cut = 1; cut < body.length; cut++) {
    gateway.upstream.answer = () => ({ headers: page, body: pieces(body.slice(0, cut), body.slice(cut)) });
    const response = await gateway.fetch('/');
    assert.equal(await response.text(), body.replaceAll(config.search, config.replacement));
  }
});

test('leaves other kinds of content, and what is compressed, as they are', async () => {
  await using gateway = await startPlugin(plugin, config);
  gateway.upstream.answer = () => ({ headers: { 'Content-Type': 'image/svg+xml' }, body: config.search });
  assert.equal(await (await gateway.fetch('/')).text(), config.search);
  assert.equal(gateway.upstream.last.headers['accept-encoding'], undefined);
});

async function* pieces(...texts: string[]): AsyncIterable<string> {
  for (const text of texts) {
    yield text;
    // The next piece goes out by itself.
    await new Promise(setImmediate);
  }
}
