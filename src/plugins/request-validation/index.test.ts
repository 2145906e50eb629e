import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GatewayError } from '../../errors/gateway-error.ts';
import { compilePlugin, TestExchange, type TestExchangeInit } from '../../plugin/testing/index.ts';
import { requestValidation } from './index.ts';

async function attempt(config: object, init: TestExchangeInit) {
  const { state } = compilePlugin(requestValidation, config);
  return (await requestValidation.rewrite?.(state, new TestExchange(init))) ?? undefined;
}

const body_schema = {
  type: 'object',
  required: ['required_payload'],
  properties: {
    required_payload: { type: 'string' },
    array_payload: { type: 'array', minItems: 1, items: { type: 'integer', minimum: 200, maximum: 599 } },
  },
};
const json = (body: string, type = 'application/json'): TestExchangeInit => ({
  method: 'POST',
  body,
  headers: { 'Content-Type': type },
});

test('headers are validated by their schema, whatever their case in the request', async () => {
  const header_schema = {
    type: 'object',
    required: ['User-Agent', 'X-Mode'],
    properties: { 'User-Agent': { type: 'string', pattern: '^curl/' }, 'X-Mode': { enum: ['a', 'b'] } },
  };
  const of = async (headers: Record<string, string | string[]>) => attempt({ header_schema }, { headers });
  const textOf = async (headers: Record<string, string>): Promise<string> => {
    const body = (await of(headers))?.body;
    return typeof body === 'string' ? body : '';
  };
  assert.equal(await of({ 'user-agent': 'curl/8', 'x-mode': 'a' }), undefined);
  assert.deepEqual(await of({ 'User-Agent': 'curl/8', 'X-Mode': 'c' }), {
    status: 400,
    body: 'property "X-Mode" validation failed: matches none of the enum values',
    reason: 'request-validation.headers',
  });
  assert.match(await textOf({ 'User-Agent': 'other', 'X-Mode': 'a' }), /failed to match pattern "\^curl\/"/);
  assert.match(await textOf({ 'User-Agent': 'curl/8' }), /property "X-Mode" is required/);
  assert.equal((await of({ 'User-Agent': 'curl/8', 'X-Mode': ['a', 'b'] }))?.status, 400);
});

test('a JSON body is validated', async () => {
  assert.equal(await attempt({ body_schema }, json('{"required_payload":"hello","array_payload":[301]}')), undefined);
  assert.deepEqual(await attempt({ body_schema }, json('{}')), {
    status: 400,
    body: 'property "required_payload" is required',
    reason: 'request-validation.body',
  });
  for (const body of ['', 'x', '{"required_payload":"a"', '{"required_payload":1}', '[]', 'null', '"a"']) {
    assert.equal((await attempt({ body_schema }, json(body)))?.status, 400, body);
  }
});

test('no spelling of Content-Type gets around the schema (CVE-2025-32442, CVE-2026-25223)', async () => {
  const types = [
    'application/json\t; charset=utf-8',
    'Application/JSON',
    'application/json;',
    'text/plain',
    '',
    'x/y;a',
  ];
  for (const type of types) {
    assert.equal((await attempt({ body_schema }, json('{"required_payload":1}', type)))?.status, 400, type);
    assert.equal(await attempt({ body_schema }, json('{"required_payload":"a"}', type)), undefined, type);
  }
  assert.equal((await attempt({ body_schema }, { body: '{"required_payload":1}' }))?.status, 400);
  const form = 'required_payload=a&x';
  for (const type of ['application/x-www-form-urlencoded', 'Application/X-WWW-Form-Urlencoded ; charset=x']) {
    assert.equal(await attempt({ body_schema }, json(form, type)), undefined, type);
    assert.equal((await attempt({ body_schema }, json('a=b', type)))?.status, 400, type);
    // Twice is a list, which is no text.
    assert.equal((await attempt({ body_schema }, json(`${form}&required_payload=b`, type)))?.status, 400, type);
  }
});

test('a key twice in one object is refused, wherever it stands and however it is spelt (CVE-2022-25757)', async () => {
  for (const body of [
    '{"required_payload":"a","required_payload":1}',
    '{"required_payload":1,"required_payload":"a"}',
    '{"required_payload":"a","required\\u005fpayload":1}',
    '{"required_payload":"a","x":[{"b":1,"b":2}]}',
    '{"required_payload":"a","__proto__":1,"__proto__":2}',
  ]) {
    assert.equal((await attempt({ body_schema }, json(body)))?.body, 'the body has a key twice in one object', body);
  }
  for (const body of [
    '{"required_payload":"a\\":\\"b","x":{"required_payload":1}}',
    '{"required_payload":"\\\\","x":["a:","b\\":"],"__proto__":{}}',
    '{ "required_payload" : "a" , "":"" }',
  ]) {
    assert.equal(await attempt({ body_schema }, json(body)), undefined, body);
  }
});

test('deep nesting ends in an answer', async () => {
  const deep = `{"required_payload":"a","x":${'['.repeat(5000)}${']'.repeat(5000)}}`;
  assert.equal(await attempt({ body_schema }, json(deep)), undefined);
});

test('bytes that are no UTF-8 are refused; a body beyond the bound is 413', async () => {
  const { state } = compilePlugin(requestValidation, { body_schema, max_req_body_size: 10 });
  const exchange = new TestExchange({ method: 'POST' });
  exchange.body = () => Promise.resolve(Buffer.from('{"required_payload":"\xff"}', 'latin1'));
  assert.equal((await requestValidation.rewrite?.(state, exchange))?.body, 'the body is not UTF-8');
  exchange.body = () => Promise.reject(new GatewayError('REQUEST_BODY_TOO_LARGE'));
  assert.equal((await requestValidation.rewrite?.(state, exchange))?.status, 413);
});

test('a refusal has the configured status and message', async () => {
  const config = { body_schema, rejected_code: 403, rejected_msg: 'no' };
  assert.deepEqual(await attempt(config, json('{}')), { status: 403, body: 'no', reason: 'request-validation.body' });
});

test('no schema, and what is no schema, is refused when written', () => {
  assert.throws(() => compilePlugin(requestValidation, {}));
  assert.throws(() => compilePlugin(requestValidation, { body_schema: { type: 'nothing' } }), /body_schema is no JSON/);
  assert.throws(() => compilePlugin(requestValidation, { header_schema: { properties: { a: { pattern: '(' } } } }));
});
