import assert from 'node:assert/strict';
import { test } from 'node:test';
import { brotliCompressSync, brotliDecompressSync, gunzipSync, gzipSync } from 'node:zlib';
import { compilePlugin, TestExchange, type TestExchangeInit } from '../../plugin/testing/index.ts';
import { responseRewrite } from './index.ts';

/** Runs both response phases over a body that comes in pieces; returns what would be sent. */
function respond(config: object, init: TestExchangeInit = {}, pieces: readonly (string | Uint8Array)[] = []) {
  const { state, logged } = compilePlugin(responseRewrite, config);
  const exchange = new TestExchange(init);
  responseRewrite.headerFilter?.(state, exchange);
  const sent: Uint8Array[] = [];
  const chunks = [...pieces.map((piece) => Buffer.from(piece)), Buffer.alloc(0)];
  chunks.forEach((chunk, i) => {
    const out = responseRewrite.bodyFilter?.(state, exchange, chunk, i === chunks.length - 1) ?? chunk;
    sent.push(Uint8Array.from(out));
    chunk.fill(0);
  });
  return { response: exchange.response, body: Buffer.concat(sent), logged };
}

test('status, body and headers are replaced', () => {
  const config = { status_code: 201, body: '{"ok":true}', headers: { 'X-Server': 'gw', 'X-Port': 80 } };
  const init = { response: { headers: { 'Content-Length': '5', 'Content-Encoding': 'gzip', ETag: '"x"' } } };
  const { response } = respond(config, init);
  assert.equal(response.status, 201);
  assert.equal(response.replacement, '{"ok":true}');
  assert.equal(response.headers.get('x-server'), 'gw');
  assert.equal(response.headers.get('x-port'), '80');
  for (const name of ['Content-Length', 'Content-Encoding', 'ETag']) assert.equal(response.headers.has(name), false);
});

test('body_base64 sends the bytes it stands for', () => {
  const { response } = respond({ body: Buffer.from([0, 255, 10]).toString('base64'), body_base64: true });
  assert.deepEqual([...(response.replacement as Uint8Array)], [0, 255, 10]);
  for (const body of ['', '****', 'abcde']) {
    assert.throws(() => compilePlugin(responseRewrite, { body, body_base64: true }), /invalid base64 content/);
  }
});

test('headers are added, set and removed in that order, with variables', () => {
  const headers = {
    add: ['Set-Cookie: a=b; Expires=Thu, 01 Jan 2026 00:00:00 GMT', 'X-Up:$remote_addr'],
    set: { 'X-Status': '$status' },
    remove: ['Server'],
  };
  const init = { response: { status: 404, headers: { 'Set-Cookie': 'c=d', Server: 'x', 'X-Status': 'old' } } };
  const { response } = respond({ headers }, init);
  assert.deepEqual(response.headers.getAll('set-cookie'), ['c=d', 'a=b; Expires=Thu, 01 Jan 2026 00:00:00 GMT']);
  assert.equal(response.headers.get('x-up'), '127.0.0.1');
  assert.equal(response.headers.get('x-status'), '404');
  assert.equal(response.headers.has('server'), false);
});

test('a variable cannot end a header line', () => {
  const { response } = respond({ headers: { set: { 'X-Q': '$arg_q' } } }, { target: '/?q=a%0d%0aY:%201' });
  assert.equal(response.headers.get('X-Q'), 'a%0D%0AY: 1');
});

test('vars choose the responses that are changed', () => {
  const config = { vars: [['status', '==', 500]], body: 'sorry', status_code: 503 };
  assert.equal(respond(config, { response: { status: 500 } }).response.replacement, 'sorry');
  const other = respond(config, { response: { status: 200 } }).response;
  assert.equal(other.replacement, undefined);
  assert.equal(other.status, 200);
  assert.throws(
    () => compilePlugin(responseRewrite, { vars: [['status', '?', 1]] }),
    /failed to validate the 'vars' expression: /,
  );
});

test('filters see the body whole, in order, once or everywhere', () => {
  const filters = [
    { regex: 'hello', scope: 'global', replace: 'bye' },
    { regex: '(w)orld', replace: '$1ide $$' },
  ];
  assert.equal(respond({ filters }, {}, ['hel', 'lo world hello', ' world']).body.toString(), 'bye wide $ bye world');
});

test('filters match bytes: other text and binary come through unchanged', () => {
  const binary = Uint8Array.from({ length: 256 }, (_, byte) => byte);
  const filters = [{ regex: '中', scope: 'global', replace: 'é' }];
  const { body } = respond({ filters }, {}, ['中文', binary]);
  assert.deepEqual(body, Buffer.concat([Buffer.from('é文'), binary]));
  const empty = [{ regex: 'x*', scope: 'global', replace: '-' }];
  assert.equal(respond({ filters: empty }, {}, ['axb']).body.toString(), '-a--b-');
});

test('options i, m and s have an effect', () => {
  const filters = [{ regex: '^b.c$', replace: '-', options: 'jimso' }];
  assert.equal(respond({ filters }, {}, ['a\nB\nC\n']).body.toString(), 'a\n-\n');
});

test('a compressed body is read, changed and compressed again', () => {
  const filters = [{ regex: 'hello', replace: 'bye' }];
  const init = (encoding: string) => ({
    response: { headers: { 'Content-Encoding': encoding, 'Content-Length': '9' } },
  });
  const gzip = respond({ filters }, init('gzip'), [gzipSync('hello')]);
  assert.equal(gunzipSync(gzip.body).toString(), 'bye');
  assert.equal(gzip.response.headers.get('content-encoding'), 'gzip');
  assert.equal(gzip.response.headers.has('content-length'), false);
  const brotli = respond({ filters }, init('br'), [brotliCompressSync('hello')]);
  assert.equal(brotliDecompressSync(brotli.body).toString(), 'bye');
});

test('a body that cannot be decoded, or not read at all, passes unchanged and is logged', () => {
  const filters = [{ regex: 'hello', replace: 'bye' }];
  for (const encoding of ['gzip', 'compress']) {
    const { body, logged } = respond({ filters }, { response: { headers: { 'Content-Encoding': encoding } } }, [
      'hello',
    ]);
    assert.equal(body.toString(), 'hello');
    assert.equal(logged.length, 1);
  }
});

test('a body beyond 16 MiB passes unchanged and whole', () => {
  const filters = [{ regex: 'x', scope: 'global', replace: 'y' }];
  const piece = 'x'.repeat(6 * 1024 * 1024);
  const { body, logged } = respond({ filters }, {}, [piece, piece, piece, piece]);
  assert.equal(body.length, 4 * piece.length);
  assert.equal(body.includes('y'), false);
  assert.equal(logged.length, 1);
});

test('only a configuration with filters has the body brought to it', () => {
  const filters = [{ regex: 'x', replace: 'y' }];
  assert.equal(responseRewrite.filtersBody?.(compilePlugin(responseRewrite, { filters }).state), true);
  assert.equal(responseRewrite.filtersBody(compilePlugin(responseRewrite, { body: 'x' }).state), false);
});

test('bad configuration is refused', () => {
  const filters = [{ regex: '(', replace: 'y' }];
  assert.throws(() => compilePlugin(responseRewrite, { filters }), /regex "\(" validation failed: /);
  assert.throws(() => compilePlugin(responseRewrite, { filters: [{ regex: 'x', replace: '', options: 'x' }] }));
  assert.throws(() => compilePlugin(responseRewrite, { body: 'x', filters: [{ regex: 'x', replace: 'y' }] }));
  assert.throws(() => compilePlugin(responseRewrite, { headers: { add: ['novalue'] } }));
  assert.throws(() => compilePlugin(responseRewrite, { status_code: 199 }));
});
