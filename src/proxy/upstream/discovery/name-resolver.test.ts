import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { startDnsServer, type DnsServer } from './dns-server.fixture.ts';
import { createManualClock, type ManualClock } from './manual-clock.fixture.ts';
import { createNameResolver, type NameResolver, type NameResolverOptions } from './name-resolver.ts';

interface Setup {
  readonly server: DnsServer;
  readonly clock: ManualClock;
  readonly resolver: NameResolver;
}

async function setUp(t: TestContext, options: NameResolverOptions = {}): Promise<Setup> {
  const server = await startDnsServer();
  const clock = createManualClock();
  const resolver = createNameResolver({ servers: [server.address], hostsFile: '/dev/null', clock, ...options });
  t.after(async () => {
    resolver.dispose();
    await server.close();
  });
  return { server, clock, resolver };
}

/** Resolves when the name's background resolution has been answered. */
async function refreshed({ server, resolver, clock }: Setup, name: string, move: () => void): Promise<void> {
  const asked = server.questions.length;
  const timers = clock.waiting;
  move();
  void resolver.ensure(resolver.name(name));
  // The answer has been taken in once the next timer stands.
  while (server.questions.length === asked || clock.waiting < timers) await new Promise(setImmediate);
}

describe('createNameResolver', () => {
  it('asks nothing until a name is used, then gives all its addresses', async (t) => {
    const { server, resolver } = await setUp(t);
    server.zone.names.set('a.test', { a: ['10.0.0.2', '10.0.0.1'], ttl: 60 });
    const name = resolver.name('A.test');
    assert.deepEqual([name.addresses, server.questions], [[], []]);
    await resolver.ensure(name);
    assert.deepEqual(name.addresses, ['10.0.0.1', '10.0.0.2']);
    assert.equal(resolver.ensure(name), undefined);
    assert.equal(resolver.name('a.TEST'), name);
    assert.deepEqual(server.questions, ['A a.test']);
  });

  it('asks once for users that come while the answer is under way', async (t) => {
    const { server, resolver } = await setUp(t);
    server.zone.names.set('a.test', { a: ['10.0.0.1'], ttl: 60 });
    const name = resolver.name('a.test');
    await Promise.all([resolver.ensure(name), resolver.ensure(name), resolver.ensure(name)]);
    assert.equal(server.questions.length, 1);
  });

  it('asks for AAAA where a name has no A', async (t) => {
    const { server, resolver } = await setUp(t);
    server.zone.names.set('six.test', { aaaa: ['2001:db8:0:0:0:0:0:1'], ttl: 60 });
    const name = resolver.name('six.test');
    await resolver.ensure(name);
    assert.deepEqual(name.addresses, ['2001:db8::1']);
  });

  it('asks a used name again before its TTL ends, in the background', async (t) => {
    const setup = await setUp(t);
    const { server, clock, resolver } = setup;
    server.zone.names.set('a.test', { a: ['10.0.0.1'], ttl: 30 });
    const name = resolver.name('a.test');
    await resolver.ensure(name);
    const { version } = resolver;
    server.zone.names.set('a.test', { a: ['10.0.0.9'], ttl: 30 });
    clock.advance(26_000);
    assert.equal(resolver.ensure(name), undefined);
    assert.equal(server.questions.length, 1);
    await refreshed(setup, 'a.test', () => {
      clock.advance(1000);
      assert.deepEqual(name.addresses, ['10.0.0.1']);
      assert.equal(resolver.ensure(name), undefined);
    });
    assert.deepEqual(name.addresses, ['10.0.0.9']);
    assert.ok(resolver.version > version);
  });

  it('lets an unused name expire, and makes its next user wait for a fresh answer', async (t) => {
    const { server, clock, resolver } = await setUp(t);
    server.zone.names.set('a.test', { a: ['10.0.0.1'], ttl: 30 });
    const name = resolver.name('a.test');
    await resolver.ensure(name);
    server.zone.names.set('a.test', { a: ['10.0.0.9'], ttl: 30 });
    clock.advance(600_000);
    assert.equal(server.questions.length, 1);
    assert.equal(clock.waiting, 0);
    const wait = resolver.ensure(name);
    assert.ok(wait);
    await wait;
    assert.deepEqual(name.addresses, ['10.0.0.9']);
  });

  it('keeps the last good answer while the server fails, asks again ever more slowly, and recovers', async (t) => {
    const setup = await setUp(t);
    const { server, clock, resolver } = setup;
    server.zone.names.set('a.test', { a: ['10.0.0.1'], ttl: 10 });
    const name = resolver.name('a.test');
    await resolver.ensure(name);
    void resolver.ensure(name);
    server.zone.failing = true;
    await refreshed(setup, 'a.test', () => {
      clock.advance(9000);
    });
    assert.deepEqual(name.addresses, ['10.0.0.1']);
    assert.equal(name.error instanceof Error && 'code' in name.error && name.error.code, 'ESERVFAIL');
    assert.equal(resolver.ensure(name), undefined);
    await refreshed(setup, 'a.test', () => {
      clock.advance(1000);
    });
    const asked = server.questions.length;
    clock.advance(1900);
    assert.equal(server.questions.length, asked);
    server.zone.failing = false;
    server.zone.names.set('a.test', { a: ['10.0.0.2'], ttl: 10 });
    await refreshed(setup, 'a.test', () => {
      clock.advance(100);
    });
    assert.deepEqual(name.addresses, ['10.0.0.2']);
    assert.equal(name.error, undefined);
  });

  it('ends the wait for a name that nobody knows, and says why', async (t) => {
    const { resolver } = await setUp(t);
    const name = resolver.name('no.test');
    await resolver.ensure(name);
    assert.deepEqual(name.addresses, []);
    assert.match(String(name.error), /ENOTFOUND/);
    assert.equal(resolver.ensure(name), undefined);
  });

  it('does not count the same addresses in another order as a change', async (t) => {
    const setup = await setUp(t);
    const { server, clock, resolver } = setup;
    server.zone.names.set('a.test', { a: ['10.0.0.1', '10.0.0.2'], ttl: 10 });
    const name = resolver.name('a.test');
    await resolver.ensure(name);
    void resolver.ensure(name);
    const { version } = resolver;
    server.zone.names.set('a.test', { a: ['10.0.0.2', '10.0.0.1'], ttl: 10 });
    await refreshed(setup, 'a.test', () => {
      clock.advance(9000);
    });
    assert.equal(resolver.version, version);
  });

  it('uses the configured validity instead of the TTL', async (t) => {
    const { server, clock, resolver } = await setUp(t, { validSeconds: 300 });
    server.zone.names.set('a.test', { a: ['10.0.0.1'], ttl: 1 });
    const name = resolver.name('a.test');
    await resolver.ensure(name);
    clock.advance(269_000);
    assert.equal(resolver.ensure(name), undefined);
    assert.equal(server.questions.length, 1);
  });

  it('does not ask at each request where the TTL is 0', async (t) => {
    const { server, clock, resolver } = await setUp(t);
    server.zone.names.set('a.test', { a: ['10.0.0.1'], ttl: 0 });
    const name = resolver.name('a.test');
    await resolver.ensure(name);
    clock.advance(800);
    assert.equal(resolver.ensure(name), undefined);
    assert.equal(server.questions.length, 1);
  });

  it('takes names of the hosts file from there', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'hosts-'));
    t.after(() => rm(folder, { recursive: true }));
    const hostsFile = join(folder, 'hosts');
    await writeFile(hostsFile, '# names\n::1 box\n10.1.1.1\tbox Box.lan # here\n10.1.1.2 box\n');
    const { server, resolver } = await setUp(t, { hostsFile });
    const name = resolver.name('box');
    await resolver.ensure(name);
    assert.deepEqual(name.addresses, ['10.1.1.1', '10.1.1.2']);
    await resolver.ensure(resolver.name('box.lan'));
    assert.deepEqual(resolver.name('BOX.LAN').addresses, ['10.1.1.1']);
    assert.deepEqual(server.questions, []);
  });

  it('never asks a DNS server for localhost (RFC 6761 §6.3)', async (t) => {
    const { server, resolver } = await setUp(t);
    const name = resolver.name('localhost');
    await resolver.ensure(name);
    assert.deepEqual(name.addresses, ['127.0.0.1']);
    assert.deepEqual(server.questions, []);
  });

  it('remembers no more names than its bound; a forgotten one is resolved anew when used', async (t) => {
    const { server, clock, resolver } = await setUp(t, { maxNames: 2 });
    for (const name of ['a.test', 'b.test', 'c.test']) server.zone.names.set(name, { a: ['10.0.0.1'], ttl: 60 });
    const first = resolver.name('a.test');
    await resolver.ensure(first);
    await resolver.ensure(resolver.name('b.test'));
    await resolver.ensure(resolver.name('c.test'));
    assert.equal(clock.waiting, 2);
    await resolver.ensure(first);
    assert.equal(clock.waiting, 2);
    assert.equal(server.questions.filter((question) => question === 'A a.test').length, 2);
  });

  it('leaves no timer and no query behind once disposed', async (t) => {
    const { server, clock, resolver } = await setUp(t);
    server.zone.names.set('a.test', { a: ['10.0.0.1'], ttl: 60 });
    await resolver.ensure(resolver.name('a.test'));
    const wait = resolver.ensure(resolver.name('b.test'));
    resolver.dispose();
    await wait;
    assert.equal(clock.waiting, 0);
  });
});
