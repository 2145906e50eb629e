import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import type { IndexedCredential } from '../../plugin/plugin.ts';
import { testConsumer, testDeps, TestExchange } from '../../plugin/testing/index.ts';
import type { VerifyKey } from './algorithms.ts';
import type { CredentialState } from './credential.ts';
import { jwtAuth } from './index.ts';
import { schema } from './schema.ts';
import { VerifiedTokens } from './verified-tokens.ts';

const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

function tokenFor(payload: object): string {
  const input = `${encode({ alg: 'HS256' })}.${encode(payload)}`;
  return `${input}.${createHmac('sha256', 's').update(input).digest('base64url')}`;
}

/** A credential that counts how often its key is used. */
function counting(username: string): IndexedCredential<CredentialState> & { verified: number } {
  const real = jwtAuth.credential?.compile({
    key: 'k',
    secret: 's',
    algorithm: 'HS256',
    exp: 60,
    base64_secret: false,
    lifetime_grace_period: 0,
  }).state as CredentialState;
  const counted = {
    consumer: testConsumer(username),
    verified: 0,
    state: {
      ...real,
      key: {
        algorithm: 'HS256',
        verify: (input, signature) => {
          counted.verified++;
          return real.key?.verify(input, signature) === true;
        },
      } satisfies VerifyKey as VerifyKey,
    },
  };
  return counted;
}

function compileWith(find: () => IndexedCredential<CredentialState> | undefined) {
  const config = Object.fromEntries(
    Object.entries(schema['properties'] as Record<string, { default?: unknown }>).map(([name, field]) => [
      name,
      field.default,
    ]),
  );
  const deps = { ...testDeps(jwtAuth), credentials: { find, expired: () => false, consumer: () => undefined } };
  return jwtAuth.compile(config as never, deps);
}

function request(state: ReturnType<typeof compileWith>, token: string): string | undefined {
  const exchange = new TestExchange({ headers: { Authorization: token } });
  const reply = jwtAuth.rewrite?.(state, exchange);
  assert.ok(!(reply instanceof Promise));
  return reply?.reason ?? exchange.consumer?.username;
}

test('a verified token is not verified again, until its credential or consumer changes or goes', () => {
  let current: ReturnType<typeof counting> | undefined = counting('jack');
  const state = compileWith(() => current);
  const token = tokenFor({ key: 'k' });
  for (let i = 0; i < 3; i++) assert.equal(request(state, token), 'jack');
  assert.equal(current.verified, 1);
  current = counting('jill');
  for (let i = 0; i < 3; i++) assert.equal(request(state, token), 'jill');
  assert.equal(current.verified, 1);
  current = undefined;
  assert.equal(request(state, token), 'jwt-auth.unknown_key');
});

test('a token that failed is not remembered: it is verified each time', () => {
  const credential = counting('jack');
  const state = compileWith(() => credential);
  const forged = `${tokenFor({ key: 'k' }).slice(0, -4)}AAAA`;
  for (let i = 0; i < 3; i++) assert.equal(request(state, forged), 'jwt-auth.bad_signature');
  assert.equal(credential.verified, 3);
});

test('a remembered token ends with its lifetime', (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: 1_000_000 });
  const credential = counting('jack');
  const state = compileWith(() => credential);
  const token = tokenFor({ key: 'k', exp: 1010 });
  assert.equal(request(state, token), 'jack');
  t.mock.timers.setTime(1_009_999);
  assert.equal(request(state, token), 'jack');
  assert.equal(credential.verified, 1);
  t.mock.timers.setTime(1_010_000);
  assert.equal(request(state, token), 'jwt-auth.expired');
});

test('what is remembered is bounded: the oldest goes', () => {
  const tokens = new VerifiedTokens<{ notBefore: number; expires: number }>();
  const always = { notBefore: -Infinity, expires: Infinity };
  for (let i = 0; i < 5000; i++) tokens.remember(String(i), always);
  const kept = Array.from({ length: 5000 }, (_, i) => tokens.find(String(i), 0)).filter((item) => item !== undefined);
  assert.equal(kept.length, 4096);
  assert.equal(tokens.find('4999', 0), always);
  assert.equal(tokens.find('0', 0), undefined);
});
