import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { compilePlugin, TestExchange, type TestExchangeInit } from '../../plugin/testing/index.ts';
import { csrf } from './index.ts';

const name = 'apisix-csrf-token';

/** A token as a browser would keep it. */
function issue(config: object): { token: string; cookie: string } {
  const { state } = compilePlugin(csrf, config);
  const exchange = new TestExchange();
  csrf.headerFilter?.(state, exchange);
  const cookie = exchange.response.headers.get('set-cookie') ?? '';
  return { token: cookie.slice(cookie.indexOf('=') + 1, cookie.indexOf(';')), cookie };
}

function verdict(config: object, init: TestExchangeInit) {
  const { state } = compilePlugin(csrf, config);
  const reply = csrf.access?.(state, new TestExchange(init));
  assert.ok(!(reply instanceof Promise));
  return reply ?? undefined;
}

const post = (header: string | undefined, cookie: string | undefined): TestExchangeInit => ({
  method: 'POST',
  headers: {
    ...(header === undefined ? {} : { [name]: header }),
    ...(cookie === undefined ? {} : { Cookie: `${name}=${cookie}` }),
  },
});

test('a token in cookie and header lets an unsafe request pass', () => {
  const { token, cookie } = issue({ key: 'k' });
  assert.match(cookie, /^apisix-csrf-token=[\w+/=]+;path=\/;SameSite=Lax;Expires=\w{3}, \d\d .* GMT$/);
  assert.equal(verdict({ key: 'k' }, post(token, token)), undefined);
});

test('safe methods need no token', () => {
  for (const method of ['GET', 'HEAD', 'OPTIONS']) assert.equal(verdict({ key: 'k' }, { method }), undefined);
  assert.equal(verdict({ key: 'k' }, { method: 'DELETE' })?.status, 401);
});

test('each refusal speaks APISIX’s words', () => {
  const { token } = issue({ key: 'k' });
  const message = (init: TestExchangeInit) => verdict({ key: 'k' }, init)?.body;
  assert.deepEqual(message(post(undefined, token)), { error_msg: 'no csrf token in headers' });
  assert.deepEqual(message(post(token, undefined)), { error_msg: 'no csrf cookie' });
  assert.deepEqual(message(post(token, 'x')), { error_msg: 'csrf token mismatch' });
  assert.deepEqual(message(post('x', 'x')), { error_msg: 'Failed to verify the csrf token signature' });
});

test('a token of another key, or changed in any character, is refused', () => {
  const { token } = issue({ key: 'other' });
  assert.equal(verdict({ key: 'k' }, post(token, token))?.reason, 'csrf.invalid_token');
  const json = JSON.parse(Buffer.from(issue({ key: 'k' }).token, 'base64').toString()) as Record<string, unknown>;
  for (const changed of [
    { ...json, random: `${String(json['random'])}0` },
    { ...json, expires: Number(json['expires']) + 1 },
    { ...json, sign: '' },
    { ...json, sign: undefined },
    { ...json, random: 1 },
    null,
    [],
  ]) {
    const forged = Buffer.from(JSON.stringify(changed)).toString('base64');
    assert.equal(verdict({ key: 'k' }, post(forged, forged))?.reason, 'csrf.invalid_token', JSON.stringify(changed));
  }
});

test('a token expires, and with 0 never', (t) => {
  const { token } = issue({ key: 'k' });
  mock.timers.enable({ apis: ['Date'], now: Date.now() + 61_000 });
  t.after(() => {
    mock.timers.reset();
  });
  assert.equal(verdict({ key: 'k', expires: 60 }, post(token, token))?.status, 401);
  assert.equal(verdict({ key: 'k', expires: 120 }, post(token, token)), undefined);
  assert.equal(verdict({ key: 'k', expires: 0 }, post(token, token)), undefined);
});

test('two tokens are never the same', () => {
  assert.notEqual(issue({ key: 'k' }).token, issue({ key: 'k' }).token);
});

test('a name that is no header is refused', () => {
  assert.throws(() => compilePlugin(csrf, { key: 'k', name: 'a b' }));
  assert.throws(() => compilePlugin(csrf, {}));
});
