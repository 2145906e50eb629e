import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { compilePlugin, TestExchange, type HarnessOptions } from '../../plugin/testing/index.ts';
import { basicAuth } from './index.ts';

const jack: HarnessOptions = { consumers: { jack1: { username: 'jack2019', password: '123456' } } };

function basic(credentials: string): string {
  return `Basic ${Buffer.from(credentials).toString('base64')}`;
}

function attempt(authorization: string | string[] | undefined, config: object = {}, options = jack) {
  const headers: Record<string, string | string[]> =
    authorization === undefined ? {} : { Authorization: authorization };
  const exchange = new TestExchange({ headers });
  const { state, logged } = compilePlugin(basicAuth, config, options);
  const reply = basicAuth.rewrite?.(state, exchange);
  assert.ok(!(reply instanceof Promise), 'basic-auth answers at once');
  return { reply: reply ?? undefined, exchange, logged };
}

test('name and password attach the consumer that holds them', () => {
  const { reply, exchange } = attempt(basic('jack2019:123456'));
  assert.equal(reply, undefined);
  assert.equal(exchange.consumer?.username, 'jack1');
  assert.equal(exchange.headers.has('authorization'), true);
});

test('the scheme is read without case (RFC 9110 §11.1)', () => {
  const field = basic('jack2019:123456').replace('Basic', 'bASIC');
  assert.equal(attempt(field).exchange.consumer?.username, 'jack1');
});

test("no Authorization header is 401 with Basic realm='.'", () => {
  assert.deepEqual(attempt(undefined).reply, {
    status: 401,
    headers: { 'WWW-Authenticate': "Basic realm='.'" },
    body: { message: 'Missing authorization in request' },
    reason: 'basic-auth.missing',
  });
});

test('an unknown user and a wrong password get the same answer, without a challenge', () => {
  const unknown = attempt(basic('bar:bar')).reply;
  const wrong = attempt(basic('jack2019:12345')).reply;
  assert.deepEqual(unknown, {
    status: 401,
    headers: {},
    body: { message: 'Invalid user authorization' },
    reason: 'basic-auth.unknown_user',
  });
  assert.deepEqual({ ...wrong, reason: '' }, { ...unknown, reason: '' });
  assert.equal(wrong?.reason, 'basic-auth.wrong_password');
});

test('a configured realm is named in every challenge', () => {
  const config = { realm: 'internal' };
  for (const field of [undefined, basic('bar:bar'), 'Basic !']) {
    assert.deepEqual(attempt(field, config).reply?.headers, { 'WWW-Authenticate': 'Basic realm="internal"' });
  }
});

test('what is not Basic credentials is malformed', () => {
  const latin1 = `Basic ${Buffer.from('jäck:1', 'latin1').toString('base64')}`;
  const fields = ['', 'Basic', 'Basic ', 'Basic ****', `x${basic('a:b')}`, basic('no colon'), 'Bearer abc', latin1];
  for (const field of [...fields, [basic('jack2019:123456'), basic('jack2019:123456')]]) {
    const { reply, exchange } = attempt(field);
    assert.deepEqual(reply?.body, { message: 'Invalid authorization in request' }, String(field));
    assert.equal(exchange.consumer, undefined);
  }
});

test('the password is all that follows the first colon, spaces included (RFC 7617 §2)', () => {
  const options = { consumers: { jack: { username: 'jäck', password: 'a: b:c' } } };
  assert.equal(attempt(basic('jäck:a: b:c'), {}, options).exchange.consumer?.username, 'jack');
  assert.equal(attempt(basic('jäck:a'), {}, options).reply?.status, 401);
  assert.equal(attempt(basic('jäck:a:b:c'), {}, options).reply?.status, 401);
});

test('an unresolved reference is not itself a password or a name (apisix#13667)', () => {
  const reference = '$env://PASSWORD';
  const byPassword = { consumers: { jack: { username: 'jack', password: reference } } };
  const byName = { consumers: { jack: { username: reference, password: 'x' } } };
  assert.equal(attempt(basic(`jack:${reference}`), {}, byPassword).reply?.reason, 'basic-auth.wrong_password');
  assert.equal(attempt(basic('jack:'), {}, byPassword).reply?.status, 401);
  assert.equal(attempt(basic(`${reference}:x`), {}, byName).reply?.status, 401);
});

test('an empty password matches only a consumer that has one', () => {
  assert.equal(attempt(basic('jack2019:')).reply?.status, 401);
  assert.equal(attempt(basic(':')).reply?.status, 401);
});

test('hide_credentials removes the header, also where anonymous access takes over (apisix#13468)', () => {
  const config = { hide_credentials: true, anonymous_consumer: 'guest' };
  const options: HarnessOptions = { consumers: { ...jack.consumers, guest: undefined } };
  const known = attempt(basic('jack2019:123456'), config, options).exchange;
  assert.equal(known.consumer?.username, 'jack1');
  assert.equal(known.headers.has('authorization'), false);
  const guest = attempt(basic('jack2019:wrong'), config, options).exchange;
  assert.equal(guest.consumer?.username, 'guest');
  assert.equal(guest.headers.has('authorization'), false);
});

test('an anonymous consumer that does not exist is 401 and logged', () => {
  const { reply, logged } = attempt(undefined, { anonymous_consumer: 'nobody' });
  assert.deepEqual(reply?.body, { message: 'Invalid user authorization' });
  assert.deepEqual(logged, ['error anonymous consumer nobody does not exist']);
});

test('known and unknown users take the same time (GHSA-8fcf-v89g-xpg6)', () => {
  const { state } = compilePlugin(basicAuth, {}, jack);
  const known = basic('jack2019:654321');
  const unknown = basic('jack2020:654321');
  const medians = [known, unknown].map(() => [] as number[]);
  for (let round = 0; round < 400; round++) {
    [known, unknown].forEach((field, i) => {
      const exchanges = Array.from({ length: 20 }, () => new TestExchange({ headers: { Authorization: field } }));
      const start = performance.now();
      for (const exchange of exchanges) void basicAuth.rewrite?.(state, exchange);
      medians[i]?.push(performance.now() - start);
    });
  }
  const [knownMs = 0, unknownMs = 0] = medians.map((times) => times.sort((a, b) => a - b)[times.length >> 1] ?? 0);
  const difference = Math.abs(knownMs - unknownMs) / Math.max(knownMs, unknownMs);
  assert.ok(difference < 0.25, `medians ${String(knownMs)} and ${String(unknownMs)} ms`);
});

test('a user whose credential has expired gets the answer of an unknown one; the reason is another', () => {
  const expired = attempt(basic('jack2019:123456'), {}, { ...jack, expired: ['jack1'] }).reply;
  const unknown = attempt(basic('bar:123456')).reply;
  assert.equal(expired?.reason, 'basic-auth.expired');
  assert.deepEqual({ ...expired, reason: '' }, { ...unknown, reason: '' });
});

const vectors = JSON.parse(
  readFileSync(new URL('../../../test/vectors/basic/credentials.json', import.meta.url), 'utf8'),
) as { source: string; user: string; password: string; field: string }[];

for (const { source, user: username, password, field } of vectors) {
  test(`the example of ${source} is let in, and no change of one character of it`, () => {
    const options = { consumers: { one: { username, password } } };
    assert.equal(attempt(field, {}, options).reply, undefined);
    for (let i = 'Basic '.length; i < field.length; i++) {
      for (const character of ['A', 'b', '0', '+', '=', ' ']) {
        const changed = field.slice(0, i) + character + field.slice(i + 1);
        if (changed !== field) assert.equal(attempt(changed, {}, options).reply?.status, 401, changed);
      }
    }
  });
}
