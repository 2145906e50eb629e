import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigError } from '../errors/gateway-error.ts';
import { createHashForm, hashSecret, parseHashForm, type SlowHash } from './password-hash.ts';

function parseSlow(text: string): SlowHash {
  const form = parseHashForm(text);
  assert.ok(form.algorithm !== 'sha256');
  return form;
}

test("computes argon2id as the reference implementation's test vectors (phc-winner-argon2, test.c, CC0/Apache-2.0)", async () => {
  for (const [form, password] of [
    ['$hash://argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4', 'password'],
    ['$hash://argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc', 'password'],
  ] as const) {
    const parsed = parseSlow(form);
    assert.ok((await hashSecret(parsed, password)).equals(parsed.hash), form);
  }
});

test('computes scrypt as RFC 7914 §12', async () => {
  const hash = Buffer.from(
    '7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2' +
      'd5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887',
    'hex',
  );
  const base64 = hash.toString('base64').replaceAll('=', '');
  const form = parseSlow(
    `$hash://scrypt$ln=14,r=8,p=1$${Buffer.from('SodiumChloride').toString('base64').replaceAll('=', '')}$${base64}`,
  );
  assert.ok((await hashSecret(form, 'pleaseletmein')).equals(hash));
});

for (const algorithm of ['argon2id', 'scrypt'] as const) {
  test(`a form made with ${algorithm} matches its secret and none beside it`, async () => {
    const text = await createHashForm(algorithm, 'correct horse', 'gw1');
    const form = parseSlow(text);
    assert.equal(form.keyId, 'gw1');
    assert.ok((await hashSecret(form, 'correct horse')).equals(form.hash));
    for (const near of ['correct hors', 'correct horse ', 'Correct horse', ''])
      assert.ok(!(await hashSecret(form, near)).equals(form.hash), near);
    assert.notEqual(await createHashForm(algorithm, 'correct horse', 'gw1'), text, 'the salt is new each time');
  });
}

test('sha256 is the digest of the key', async () => {
  const text = await createHashForm('sha256', 'key');
  assert.deepEqual(parseHashForm(text), {
    algorithm: 'sha256',
    digest: '2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683',
  });
});

const salt = 'c29tZXNhbHRzYWx0';
const hash = 'CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc';
for (const [form, reason] of [
  ['$hash://', 'none of argon2id'],
  ['$hash://md5$abc', 'none of argon2id'],
  ['$hash://sha256$abc', '64 hexadecimal'],
  [`$hash://sha256$${'a'.repeat(64)}$x`, '64 hexadecimal'],
  [`$hash://scrypt$ln=22,r=8,p=1$${salt}$${hash}`, '256 MiB'],
  [`$hash://scrypt$ln=15,r=8,p=99$${salt}$${hash}`, 'p takes'],
  [`$hash://scrypt$ln=15,r=8$${salt}$${hash}`, 'p takes'],
  [`$hash://scrypt$ln=15,r=8,p=1,x=1$${salt}$${hash}`, 'x is not known'],
  [`$hash://scrypt$ln=15,r=8,p=1$${salt}`, 'hash takes'],
  [`$hash://scrypt$ln=15,r=8,p=1$${salt}$${hash}$${hash}$`, 'too many'],
  [`$hash://scrypt$ln=15,r=8,p=1$AA$${hash}`, 'salt takes'],
  [`$hash://scrypt$ln=15,r=8,p=1$!!$${hash}`, 'salt takes'],
  [`$hash://scrypt$keyid=a.b,ln=15,r=8,p=1$${salt}$${hash}`, 'keyid takes'],
  [`$hash://argon2id$v=16,m=256,t=2,p=1$${salt}$${hash}`, 'version 19'],
  [`$hash://argon2id$m=999999999,t=2,p=1$${salt}$${hash}`, 'm takes'],
  [`$hash://argon2id$m=4,t=2,p=1$${salt}$${hash}`, 'm takes'],
  [`$hash://argon2id$m=256,t=1e9,p=1$${salt}$${hash}`, 't takes'],
] as const) {
  test(`refuses ${form}`, () => {
    assert.throws(
      () => parseHashForm(form),
      (error) => error instanceof ConfigError && error.message.includes(reason) && !error.message.includes(hash),
    );
  });
}
