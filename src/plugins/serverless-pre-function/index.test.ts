import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ConfigError } from '../../errors/gateway-error.ts';
import { compilePlugin, TestExchange } from '../../plugin/testing/index.ts';
import { serverlessPreFunction } from './index.ts';

const allowed = { attributes: { code_in_config: true } };
const compile = (functions: readonly string[], phase?: string) =>
  compilePlugin(serverlessPreFunction, { functions, ...(phase === undefined ? {} : { phase }) }, allowed);

function refused(source: string): string {
  try {
    compile([source]);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.message;
  }
  return assert.fail('it was taken');
}

describe('serverless-pre-function', () => {
  it('is refused, with the setting that allows it, where the settings do not', () => {
    for (const attributes of [{}, { code_in_config: 'true' }, { code_in_config: false }])
      assert.throws(
        () => compilePlugin(serverlessPreFunction, { functions: ['() => {}'] }, { attributes }),
        (error) => error instanceof ConfigError && error.message.includes('gatewright.code_in_config: true'),
      );
  });

  it('calls each function with the configuration and the exchange, in access where no phase is given', async () => {
    const { state } = compile([
      "(conf, exchange) => { exchange.headers.set('X-Phase', conf.phase); }",
      "async function (conf, exchange) { await null; exchange.headers.set('X-Second', exchange.method); };",
      "let calls = 0; return (conf, exchange) => exchange.headers.set('X-Calls', String(++calls));",
    ]);
    const exchange = new TestExchange({ method: 'PUT' });
    assert.equal(serverlessPreFunction.rewrite?.(state, exchange), undefined);
    assert.equal(exchange.headers.get('x-phase'), undefined);
    await serverlessPreFunction.access?.(state, exchange);
    assert.equal(exchange.headers.get('x-phase'), 'access');
    assert.equal(exchange.headers.get('x-second'), 'PUT');
    await serverlessPreFunction.access?.(state, exchange);
    assert.equal(exchange.headers.get('x-calls'), '2');
  });

  it('the first reply ends the request; a reply of a promise does too', async () => {
    const { state } = compile([
      "async () => ({ status: 403, body: { message: 'no' } })",
      "(conf, exchange) => exchange.headers.set('X-Late', '1')",
    ]);
    const exchange = new TestExchange();
    assert.deepEqual(await serverlessPreFunction.access?.(state, exchange), { status: 403, body: { message: 'no' } });
    assert.equal(exchange.headers.get('x-late'), undefined);
  });

  it('what is no reply throws: a request does not pass for a slip of the pen', async () => {
    for (const source of [
      "() => 'no'",
      '() => 403',
      '() => false',
      '() => ({ code: 403 })',
      '() => ({ status: 99 })',
    ]) {
      const { state } = compile([source]);
      assert.throws(
        () => serverlessPreFunction.access?.(state, new TestExchange()),
        /functions\[0\] returned no reply/,
      );
    }
    const { state } = compile(["async () => 'no'"]);
    await assert.rejects(async () => serverlessPreFunction.access?.(state, new TestExchange()), TypeError);
  });

  it('header_filter and body_filter cannot wait; body_filter rewrites each piece', () => {
    const head = compile(["(conf, exchange) => { exchange.response.headers.set('X-Seen', '1'); }"], 'header_filter');
    const exchange = new TestExchange();
    serverlessPreFunction.headerFilter?.(head.state, exchange);
    assert.equal(exchange.response.headers.get('x-seen'), '1');
    assert.throws(() => {
      serverlessPreFunction.headerFilter?.(compile(['async () => {}'], 'header_filter').state, exchange);
    }, /cannot wait/);

    const body = compile(
      [
        '(conf, exchange, chunk) => Buffer.from(chunk).toString().toUpperCase()',
        "(conf, exchange, chunk, last) => (last ? Buffer.concat([chunk, Buffer.from('.')]) : undefined)",
      ],
      'body_filter',
    );
    assert.equal(serverlessPreFunction.filtersBody?.(body.state), true);
    assert.equal(serverlessPreFunction.filtersBody(head.state), false);
    const filter = (text: string, last: boolean): string =>
      Buffer.from(
        serverlessPreFunction.bodyFilter?.(body.state, exchange, Buffer.from(text), last) ?? new Uint8Array(),
      ).toString();
    assert.equal(filter('ab', false), 'AB');
    assert.equal(filter('c', true), 'C.');
  });

  it('log: a function that fails is logged, and the next one runs', async () => {
    const { state, logged } = compile(
      ["() => { throw new Error('one'); }", "async () => { throw new Error('two'); }", "() => deps.log.info('three')"],
      'log',
    );
    serverlessPreFunction.log?.(state, new TestExchange());
    await new Promise(setImmediate);
    assert.deepEqual(logged, ['error plugin failed', 'info three', 'error plugin failed']);
  });

  it('deps and the modules of Node.js are in scope', () => {
    const { state } = compile([
      "const { basename } = process.getBuiltinModule('node:path'); return () => ({ status: 200, body: basename(deps.scope + '/x') });",
    ]);
    assert.deepEqual(serverlessPreFunction.access?.(state, new TestExchange()), { status: 200, body: 'x' });
  });

  it('a syntax error is refused with its line', () => {
    assert.match(
      refused('(conf, exchange) => {\n  const a = 1;\n  const = 2;\n}'),
      /^functions\[0\], line 3: Unexpected/,
    );
    assert.match(refused('let n = 0;\nreturn (conf) => { n++ ;'), /^functions\[0\], line \d: Unexpected/);
    assert.match(refused("throw new Error('at once');"), /^functions\[0\], line 1: Error: at once/);
  });

  it('statements that never end, and what is no function, are refused', () => {
    assert.match(refused('for (;;);\nreturn () => {}'), /did not end within 1000 ms/);
    assert.match(refused("'text'"), /is no function; expected \(conf, exchange\) => /);
    assert.match(refused(''), /is no function/);
  });

  it('Lua is refused, and told as such', () => {
    for (const source of [
      'return function(conf, ctx)\n  ngx.say("hello")\nend',
      'return function() local core = require("apisix.core") end',
      '-- says hello\nreturn function(conf, ctx) return 403 end',
    ])
      assert.match(refused(source), /^functions\[0\]: is Lua, which Apache APISIX runs; Gatewright runs JavaScript/);
  });
});
