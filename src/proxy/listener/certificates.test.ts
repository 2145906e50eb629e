/** Which ssl item serves a name, and what is asked of clients for a host. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { certificate, certificateKey, otherKey } from '../../resources/certificate.fixture.ts';
import type { Ssl } from '../../resources/ssl.ts';
import { Certificates } from './certificates.ts';

const pair = { cert: certificate, key: certificateKey };
const asks = { client: { ca: certificate } };

function of(items: Readonly<Record<string, Ssl>>, fallback?: string): Certificates {
  const certificates = new Certificates({}, fallback);
  for (const [id, ssl] of Object.entries(items)) certificates.put(id, { ...pair, ...ssl });
  return certificates;
}

test('an exact name comes before a wildcard, which takes one label', () => {
  const certificates = of({ wild: { sni: '*.a.test' }, exact: { snis: ['x.a.test', 'b.test'] } });
  for (const [name, id] of [
    ['x.a.test', 'exact'],
    ['X.A.Test', 'exact'],
    ['x.a.test.', 'exact'],
    ['y.a.test', 'wild'],
    ['x.y.a.test', undefined],
    ['a.test', undefined],
    ['', undefined],
  ] as const)
    assert.equal(certificates.find(name)?.id, id, name);
});

test('a name with a NUL, or another byte that no host name holds, finds nothing (CVE-2025-66220)', () => {
  const certificates = of({ wild: { sni: '*.a.test' }, exact: { sni: 'good.test' } });
  for (const name of ['good.test\0.evil.test', 'good.test\0', '\0good.test', 'x\0.a.test', 'x y.a.test', 'é.a.test'])
    assert.equal(certificates.find(name), undefined, JSON.stringify(name));
});

test('what a wildcard asks of clients is asked for every host that a route with it takes', () => {
  const certificates = of({ wild: { sni: '*.a.test', ...asks }, exact: { sni: 'x.a.test' } });
  for (const [host, asked] of [
    ['y.a.test', true],
    ['y.z.a.test', true],
    ['y!.a.test', true],
    ['x.a.test', false],
    ['a.test', false],
    ['', false],
  ] as const)
    assert.equal(certificates.demandOf(host) !== undefined, asked, host);
});

test('of two items with one name the one that asks for client certificates serves it, whichever came last', () => {
  for (const order of [
    { asks: { sni: 'a.test', ...asks }, plain: { sni: 'a.test' } },
    { plain: { sni: 'a.test' }, asks: { sni: 'a.test', ...asks } },
  ]) {
    const certificates = of(order);
    assert.equal(certificates.find('a.test')?.id, 'asks');
    certificates.remove('asks');
    assert.equal(certificates.find('a.test')?.id, 'plain');
    assert.equal(certificates.demanding, false);
  }
});

test('of two items with one name that ask for nothing the last serves it, and the other once it is gone', () => {
  const certificates = of({ b: { sni: 'a.test' }, a: { sni: 'a.test' } });
  assert.equal(certificates.find('a.test')?.id, 'a');
  certificates.remove('a');
  assert.equal(certificates.find('a.test')?.id, 'b');
});

test('an item that cannot be used keeps its last good value, unless that asked for less than the item was to ask', () => {
  const broken = { ...pair, key: otherKey };
  const plain = of({ one: { sni: 'a.test' } });
  assert.throws(() => plain.put('one', { ...broken, sni: 'a.test' }));
  assert.ok(plain.find('a.test')?.context !== undefined);
  assert.throws(() => plain.put('one', { ...broken, sni: 'a.test', ...asks }), /its server names are refused/);
  assert.equal(plain.find('a.test')?.context, undefined);
  assert.ok(plain.demandOf('a.test') !== undefined);
  assert.throws(() => plain.put('one', { ...broken, sni: 'a.test', ...asks }), /its server names are refused/);
  assert.equal(plain.find('a.test')?.context, undefined);

  const asking = of({ one: { sni: 'a.test', ...asks } });
  assert.throws(() => asking.put('one', { ...broken, sni: 'a.test', ...asks }));
  assert.ok(asking.find('a.test')?.context !== undefined);
  assert.throws(() => asking.put('one', { ...broken, snis: ['a.test', 'b.test'], ...asks }), /are refused/);
  assert.deepEqual([asking.find('a.test')?.context, asking.find('b.test')?.context], [undefined, undefined]);
  asking.put('one', { ...pair, sni: 'a.test' });
  assert.ok(asking.find('a.test')?.context !== undefined);
  assert.equal(asking.demandOf('a.test'), undefined);
});

test('the revision tells of what is asked and of what no name is served, and of nothing else', () => {
  const certificates = of({ one: { sni: 'a.test', ...asks } }, 'fallback.test');
  const moves = (change: () => void): boolean => {
    const before = certificates.revision;
    change();
    return certificates.revision !== before;
  };
  assert.equal(
    moves(() => certificates.put('one', { ...pair, sni: 'a.test', ...asks })),
    false,
  );
  assert.equal(
    moves(() => certificates.put('two', { ...pair, sni: 'b.test' })),
    false,
  );
  assert.equal(
    moves(() => certificates.put('two', { ...pair, sni: 'b.test', ...asks })),
    true,
  );
  assert.equal(
    moves(() => certificates.put('two', { ...pair, sni: 'c.test', ...asks })),
    true,
  );
  assert.equal(
    moves(() => certificates.put('two', { ...pair, sni: 'c.test', client: { ca: certificate, depth: 2 } })),
    true,
  );
  assert.equal(
    moves(() => certificates.put('three', { ...pair, sni: '*.test' })),
    true,
  );
  assert.equal(certificates.fallback?.id, 'three');
  assert.equal(
    moves(() => certificates.remove('three')),
    true,
  );
  assert.equal(
    moves(() => certificates.remove('two')),
    true,
  );
});
