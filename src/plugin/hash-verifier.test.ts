import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HashVerifier, sameHash, type HashedSecret } from './hash-verifier.ts';
import { hashSecret, parseHashForm } from './password-hash.ts';

/** Cheap, so that a test makes many. */
async function hashed(secret: string, passes = 1): Promise<HashedSecret> {
  const head = `$hash://scrypt$ln=${String(passes)},r=8,p=1$c29tZXNhbHRzYWx0$`;
  const form = parseHashForm(head + 'A'.repeat(43));
  assert.ok(form.algorithm !== 'sha256');
  return { form: { ...form, hash: await hashSecret(form, secret) }, remembered: undefined };
}

const jack = { name: 'jack', from: '127.0.0.1' };

test('a right secret is hashed once, then known at once', async () => {
  const verifier = new HashVerifier();
  const credential = await hashed('secret');
  const first = verifier.verify(credential, { ...jack, secret: 'secret' });
  assert.ok(first instanceof Promise);
  assert.equal(await first, true);
  assert.equal(verifier.verify(credential, { ...jack, secret: 'secret' }), true);
  assert.ok(!JSON.stringify(credential).includes('secret'));
  assert.equal(
    await new HashVerifier().verify(credential, { ...jack, secret: 'secret' }),
    true,
    'another key: hashed anew',
  );
});

test('no mutation of a secret passes, before or after the right one was seen', async () => {
  const verifier = new HashVerifier({ maxFrom: 1000, maxWaiting: 1000 });
  const secret = 'Tr0ub4dor&3';
  const credential = await hashed(secret);
  const mutations = new Set([`${secret} `, ` ${secret}`, `${secret}\0`, '', secret.toLowerCase(), secret + secret]);
  for (let i = 0; i < secret.length; i++) {
    mutations.add(secret.slice(0, i) + secret.slice(i + 1));
    mutations.add(secret.slice(0, i) + String.fromCharCode(secret.charCodeAt(i) ^ 1) + secret.slice(i + 1));
  }
  for (const round of ['before', 'after']) {
    for (const mutation of mutations)
      assert.equal(await verifier.verify(credential, { ...jack, secret: mutation }), false, `${round} ${mutation}`);
    assert.equal(await verifier.verify(credential, { ...jack, secret }), true);
  }
});

test('a failed attempt is known for its name, and only for it', async () => {
  const verifier = new HashVerifier();
  const credential = await hashed('secret');
  assert.equal(await verifier.verify(credential, { ...jack, secret: 'wrong' }), false);
  assert.equal(verifier.verify(credential, { ...jack, secret: 'wrong' }), false);
  assert.ok(verifier.verify(credential, { ...jack, name: 'jill', secret: 'wrong' }) instanceof Promise);
});

test('an attempt for nobody is hashed and remembered like one for somebody', async () => {
  const verifier = new HashVerifier();
  const { form } = await hashed('secret');
  const attempt = { ...jack, name: 'nobody', secret: 'secret' };
  const first = verifier.refuse(form, attempt);
  assert.ok(first instanceof Promise);
  assert.equal(await first, false, 'even where the secret is the right one of the form');
  assert.equal(verifier.refuse(form, attempt), false);
});

test('the same attempt twice at once is hashed once', async () => {
  const verifier = new HashVerifier({ maxFrom: 1 });
  const credential = await hashed('secret');
  const attempts = Array.from({ length: 50 }, () => verifier.verify(credential, { ...jack, secret: 'secret' }));
  assert.equal(new Set(attempts).size, 1);
  assert.equal(await attempts[0], true);
});

test('a flood of wrong secrets is refused beyond the queue, and what was verified goes on at once', async () => {
  const verifier = new HashVerifier({ maxWaiting: 4, maxFrom: 1000 });
  const credential = await hashed('secret', 12);
  assert.equal(await verifier.verify(credential, { ...jack, secret: 'secret' }), true);
  const flood = Array.from({ length: 100 }, (_, i) =>
    verifier.verify(credential, { ...jack, secret: `wrong ${String(i)}` }),
  );
  assert.equal(flood.filter((verdict) => verdict === undefined).length, 95, 'one under way, four wait');
  assert.equal(verifier.verify(credential, { ...jack, secret: 'secret' }), true);
  const judged = [];
  for (const verdict of flood.slice(0, 5)) judged.push(await verdict);
  assert.deepEqual(judged, [false, false, false, false, false]);
  assert.ok(verifier.verify(credential, { ...jack, secret: 'later' }) instanceof Promise, 'there is place again');
});

test('one address cannot take the whole queue', async () => {
  const verifier = new HashVerifier({ maxFrom: 2, maxWaiting: 10 });
  const credential = await hashed('secret', 12);
  const from = (address: string, secret: string) =>
    verifier.verify(credential, { name: 'jack', from: address, secret });
  const flood = Array.from({ length: 10 }, (_, i) => from('192.0.2.1', `wrong ${String(i)}`));
  assert.equal(flood.filter((verdict) => verdict === undefined).length, 8);
  assert.equal(await from('192.0.2.2', 'secret'), true);
  for (const verdict of flood) await verdict;
  assert.equal(await from('192.0.2.1', 'secret'), true);
});

test('remembers a bounded number of failures', async () => {
  const verifier = new HashVerifier({ maxFailures: 2 });
  const credential = await hashed('secret');
  for (const secret of ['1', '2', '3']) await verifier.verify(credential, { ...jack, secret });
  assert.equal(verifier.verify(credential, { ...jack, secret: '3' }), false);
  const forgotten = verifier.verify(credential, { ...jack, secret: '1' });
  assert.ok(forgotten instanceof Promise);
  await forgotten;
});

test('a credential that was compiled again is the same only with the same salt and hash', async () => {
  const one = await hashed('secret');
  assert.ok(sameHash(one, await hashed('secret')));
  assert.ok(!sameHash(one, await hashed('other')));
  assert.ok(!sameHash(one, undefined));
});
