import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { IndexedCredential } from '../../plugin/plugin.ts';
import { testConsumer, testDeps, TestExchange } from '../../plugin/testing/index.ts';
import { basicAuth } from './index.ts';
import { OpenedFields } from './opened-fields.ts';

type Found = IndexedCredential<{ digest: Buffer | undefined; hashed: undefined }>;

function credential(username: string, password: string): Found {
  const compiled = basicAuth.credential?.compile({ username: 'jack', password });
  return { consumer: testConsumer(username), state: compiled?.state as Found['state'] };
}

/** Presents `jack:secret` to a gateway that holds what `current` says. */
function gatewayWith(current: { found: Found | undefined }): (exchange?: TestExchange) => string {
  const credentials = { find: () => current.found, expired: () => false, consumer: () => undefined };
  const state = basicAuth.compile({ hide_credentials: false }, { ...testDeps(basicAuth), credentials });
  return (
    exchange = new TestExchange({
      headers: { Authorization: `Basic ${Buffer.from('jack:secret').toString('base64')}` },
    }),
  ) => {
    const reply = basicAuth.rewrite?.(state, exchange);
    assert.ok(!(reply instanceof Promise));
    return reply === undefined ? (exchange.consumer?.username ?? '') : (reply.reason ?? '');
  };
}

test('a field that opened a credential opens it again', () => {
  const present = gatewayWith({ found: credential('jack1', 'secret') });
  assert.equal(present(), 'jack1');
  assert.equal(present(), 'jack1');
});

test('a credential that was changed, moved or taken away is not opened by what opened the old one', () => {
  const current: { found: Found | undefined } = { found: credential('jack1', 'secret') };
  const present = gatewayWith(current);
  assert.equal(present(), 'jack1');
  current.found = credential('jack1', 'other');
  assert.equal(present(), 'basic-auth.wrong_password');
  current.found = credential('jack2', 'secret');
  assert.equal(present(), 'jack2');
  current.found = undefined;
  assert.equal(present(), 'basic-auth.unknown_user');
});

test('two fields are refused, also when each of them opened it', () => {
  const present = gatewayWith({ found: credential('jack1', 'secret') });
  assert.equal(present(), 'jack1');
  const field = `Basic ${Buffer.from('jack:secret').toString('base64')}`;
  const twice = new TestExchange({ headers: { Authorization: [field, field] } });
  assert.equal(present(twice), 'basic-auth.malformed');
});

test('what is kept is bounded, the oldest goes; another process has other digests', () => {
  const fields = new OpenedFields<number>(2);
  for (const [index, field] of ['a', 'b', 'c'].entries())
    fields.remember(fields.digest(field), { name: field, found: index });
  assert.equal(fields.find(fields.digest('a')), undefined);
  assert.equal(fields.find(fields.digest('c'))?.found, 2);
  assert.notEqual(new OpenedFields(2).digest('a'), fields.digest('a'));
});
