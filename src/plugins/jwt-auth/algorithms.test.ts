import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { isHmac, publicKey, publicKeyAlgorithms, secretKey, type Algorithm, type VerifyKey } from './algorithms.ts';

interface Vector {
  source: string;
  algorithm: Algorithm;
  key: Record<string, string>;
  token: string;
}

const vectors = JSON.parse(
  readFileSync(new URL('../../../test/vectors/jwt/jws.json', import.meta.url), 'utf8'),
) as Vector[];

function keyOf({ algorithm, key }: Vector): VerifyKey {
  if (isHmac(algorithm)) return secretKey(algorithm, Buffer.from(key['k'] ?? '', 'base64url'));
  return publicKey(algorithm, createPublicKey({ key, format: 'jwk' }));
}

for (const vector of vectors) {
  test(`${vector.algorithm} verifies what ${vector.source} publishes, and no change of it`, () => {
    const dot = vector.token.lastIndexOf('.');
    const input = vector.token.slice(0, dot);
    const signature = Buffer.from(vector.token.slice(dot + 1), 'base64url');
    const key = keyOf(vector);
    assert.equal(key.verify(input, signature), true);
    for (let i = 0; i < signature.length; i++) {
      const changed = Buffer.from(signature);
      changed[i] = (changed[i] ?? 0) ^ 1;
      assert.equal(key.verify(input, changed), false, `signature byte ${i}`);
    }
    for (let i = 0; i < input.length; i++) {
      const changed = `${input.slice(0, i)}${input[i] === 'A' ? 'B' : 'A'}${input.slice(i + 1)}`;
      if (changed !== input) assert.equal(key.verify(changed, signature), false, `input character ${i}`);
    }
    for (const length of [0, 1, signature.length - 1, signature.length + 1]) {
      const cut = Buffer.concat([signature, Buffer.alloc(1)]).subarray(0, length);
      assert.equal(key.verify(input, cut), false, `signature of ${length} bytes`);
    }
  });
}

test('a key of another kind or curve is refused for every algorithm', () => {
  const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
  const secp256k1 = generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey;
  const ed25519 = generateKeyPairSync('ed25519').publicKey;
  const x25519 = generateKeyPairSync('x25519').publicKey;
  for (const algorithm of publicKeyAlgorithms) {
    for (const key of [p256, secp256k1, ed25519, x25519]) {
      const right = (algorithm === 'ES256' && key === p256) || (algorithm === 'EdDSA' && key === ed25519);
      if (right) publicKey(algorithm, key);
      else assert.throws(() => publicKey(algorithm, key), /does not fit the algorithm/);
    }
  }
});
