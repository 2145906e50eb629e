import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { compilePlugin, TestExchange } from '../../plugin/testing/index.ts';
import { jwtAuth } from './index.ts';
import { parseToken } from './token.ts';

const encode = (text: string): string => Buffer.from(text, 'latin1').toString('base64url');
const secret = 'my-secret-key';

/** Signed all the same: what is inside must not matter to whether it is refused in order. */
function signed(header: string, payload: string): string {
  const input = `${encode(header)}.${encode(payload)}`;
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
}

/** xorshift32: repeatable from its seed. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

test('a token is three segments of canonical base64url, with two JSON objects', () => {
  const good = signed('{"alg":"HS256","kid":"a"}', '{"key":"k"}');
  assert.deepEqual(parseToken(good)?.payload, { key: 'k' });
  assert.equal(parseToken(good)?.keyId, 'a');
  for (const [header, payload] of [
    ['', '{}'],
    ['{}', '{}'],
    ['{"alg":7}', '{}'],
    ['{"alg":null}', '{}'],
    ['[]', '{}'],
    ['null', '{}'],
    ['"HS256"', '{}'],
    ['{"alg":"HS256"', '{}'],
    ['{"alg":"HS256"}', ''],
    ['{"alg":"HS256"}', '[]'],
    ['{"alg":"HS256"}', 'null'],
    ['{"alg":"HS256"}', '7'],
    ['{"alg":"HS256"}', '{"a":"\xff"}'],
    ['{"alg":"HS256"}', '\xef\xbb\xbf{}'],
    ['{"alg":"HS256","crit":[]}', '{}'],
    ['{"__proto__":{"alg":"HS256"}}', '{}'],
  ] as const) {
    assert.equal(parseToken(signed(header, payload)), undefined, `${header} ${payload}`);
  }
});

test('a deeply nested payload is refused or read, and never throws', () => {
  for (const depth of [100, 10_000, 200_000]) {
    parseToken(signed('{"alg":"HS256"}', `{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`));
  }
});

test('a payload’s __proto__ changes no object', () => {
  const payload = parseToken(signed('{"alg":"HS256"}', '{"__proto__":{"key":"k"}}'))?.payload;
  assert.equal(payload !== undefined && Object.hasOwn(payload, 'key'), false);
  assert.equal('key' in {}, false);
});

test('fuzzed tokens are 401, never an error (kong#14827)', () => {
  const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 2_000_000_000) + 1;
  const next = random(seed);
  const { state } = compilePlugin(jwtAuth, {}, { consumers: { jack: { key: 'k', secret } } });
  const alphabet = 'ABCabc019-_.=+/{}[]":, \t\u00ff%&;';
  const good = signed('{"alg":"HS256"}', '{"key":"k"}');
  const bits = [
    '{"alg":"HS256"}',
    '{"alg":"none"}',
    '{"key":"k"}',
    '{"key":',
    '1e999',
    '"exp":-1',
    'null',
    '\x00',
    '{',
    '}',
  ];
  const piece = (): string => bits[next(bits.length)] ?? '';
  for (let i = 0; i < 20_000; i++) {
    let token = good;
    if (next(3) === 0) token = [encode(piece() + piece()), encode(piece() + piece()), encode(piece())].join('.');
    if (next(3) === 0) token = signed(piece() + piece(), piece() + piece());
    for (let changes = next(6); changes > 0; changes--) {
      const at = next(token.length + 1);
      const character = alphabet[next(alphabet.length)] ?? '';
      token = token.slice(0, at) + (next(2) === 0 ? character : '') + token.slice(at + next(3));
    }
    const exchange = new TestExchange({ headers: { 'X-Token': 'x' } });
    exchange.headers.set('Authorization', token);
    const reply = jwtAuth.rewrite?.(state, exchange);
    assert.ok(!(reply instanceof Promise));
    const whole = token.replace(/^bearer +/i, '');
    if (reply === undefined) {
      assert.equal(parseToken(whole)?.payload['key'], 'k', `seed ${seed}: ${token}`);
      const [header = '', payload = '', signature] = whole.split('.');
      const expected = createHmac('sha256', secret).update(`${header}.${payload}`).digest('base64url');
      assert.equal(signature, expected, `seed ${seed}: ${token}`);
    } else assert.equal(reply.status, 401, `seed ${seed}: ${token}`);
  }
});
