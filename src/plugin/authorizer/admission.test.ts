import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigError } from '../../errors/gateway-error.ts';
import { TestExchange } from '../testing/exchange.ts';
import { testConsumer } from '../testing/harness.ts';
import { Admission } from './admission.ts';

const consumers = { consumer: (name: string) => (name === 'jack' ? testConsumer('jack') : undefined) };

/** Authenticates as the gateway does. */
class IdentifiedExchange extends TestExchange {
  override authenticate(consumer: ReturnType<typeof testConsumer>): void {
    super.authenticate(consumer);
    this.headers.set('X-Consumer-Username', consumer.username);
  }
}
const sent = (exchange: TestExchange): Record<string, string> =>
  Object.fromEntries([...exchange.headers.entries()].filter(([name]) => /^x/i.test(name)));

test('what a client sends under a name that is the authoriser’s does not go upstream, however it is spelt', () => {
  const forged = { 'X-Tenant': 'f', X_Tenant: 'f', 'x.tenant': 'f', 'X-TENANT': 'f', 'X-Mine': 'm' };
  // Listed, whether it is set or not.
  for (const headers of [[], [['X-Tenant', 'a']]] as const) {
    const exchange = new TestExchange({ headers: forged });
    assert.equal(new Admission('upstream_headers', ['x-tenant'], consumers).admit(exchange, { headers }), true);
    assert.deepEqual(sent(exchange), { 'X-Mine': 'm', ...Object.fromEntries(headers) });
  }
  // Set, and not listed.
  const exchange = new TestExchange({ headers: forged });
  assert.equal(
    new Admission('upstream_headers', [], consumers).admit(exchange, { headers: [['X-Tenant', 'a']] }),
    true,
  );
  assert.deepEqual(sent(exchange), { 'X-Mine': 'm', 'X-Tenant': 'a' });
});

test('a consumer that does not exist is let in by nobody, and nothing is set', () => {
  const exchange = new TestExchange();
  const admission = new Admission('upstream_headers', [], consumers);
  for (const consumer of ['nobody', ''])
    assert.equal(admission.admit(exchange, { consumer, headers: [['X-Tenant', 'a']] }), false);
  assert.deepEqual([sent(exchange), exchange.consumer], [{}, undefined]);
});

test('who the caller is says the gateway, whatever headers the authoriser sets', () => {
  const exchange = new IdentifiedExchange();
  const headers = [
    ['X-Consumer-Username', 'root'],
    ['X-Tenant', 'a'],
  ] as const;
  assert.equal(new Admission('upstream_headers', [], consumers).admit(exchange, { consumer: 'jack', headers }), true);
  assert.equal(exchange.consumer?.username, 'jack');
  assert.deepEqual(sent(exchange), { 'X-Tenant': 'a', 'X-Consumer-Username': 'jack' });
});

test('a header that frames a message is refused when it is written', () => {
  assert.throws(() => new Admission('upstream_headers', ['Content-Length'], consumers), {
    name: ConfigError.name,
    message: /^upstream_headers: /,
  });
});
