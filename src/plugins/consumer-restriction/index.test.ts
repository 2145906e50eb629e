import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compilePlugin, testConsumer, TestExchange, type TestExchangeInit } from '../../plugin/testing/index.ts';
import { consumerRestriction } from './index.ts';

function verdict(config: object, init: TestExchangeInit) {
  const { state } = compilePlugin(consumerRestriction, config);
  const reply = consumerRestriction.access?.(state, new TestExchange(init));
  assert.ok(!(reply instanceof Promise));
  return reply ?? undefined;
}

const as = (username: string, method = 'GET'): TestExchangeInit => ({ method, consumer: testConsumer(username) });

test('a whitelist lets in its consumers and refuses the others in APISIX’s words', () => {
  const config = { whitelist: ['jack1'] };
  assert.equal(verdict(config, as('jack1')), undefined);
  const reply = verdict(config, as('jack2'));
  assert.equal(reply?.status, 403);
  assert.deepEqual(reply.body, { message: 'The consumer_name is forbidden.' });
  assert.equal(reply.reason, 'consumer-restriction.not_whitelisted');
});

test('a blacklist goes before the whitelist', () => {
  const config = { whitelist: ['jack1', 'jack2'], blacklist: ['jack2'] };
  assert.equal(verdict(config, as('jack1')), undefined);
  assert.equal(verdict(config, as('jack2'))?.reason, 'consumer-restriction.blacklisted');
  assert.equal(verdict({ blacklist: ['jack2'] }, as('jack1')), undefined);
});

test('a request without what is restricted is 401', () => {
  for (const type of ['consumer_name', 'consumer_group_id', 'service_id', 'route_id']) {
    const reply = verdict({ type, blacklist: ['x'] }, {});
    assert.equal(reply?.status, 401);
    assert.deepEqual(reply.body, { message: `The request is rejected, please check the ${type} for this request` });
  }
});

test('group, service and route are restricted by their ids', () => {
  const init = {
    consumer: testConsumer('jack', { groupId: 'g1' }),
    route: { id: 'r1', serviceId: 's1' },
  };
  for (const [type, id] of [
    ['consumer_group_id', 'g1'],
    ['service_id', 's1'],
    ['route_id', 'r1'],
  ]) {
    assert.equal(verdict({ type, whitelist: [id] }, init), undefined);
    assert.deepEqual(verdict({ type, blacklist: [id] }, init)?.body, { message: `The ${String(type)} is forbidden.` });
  }
});

test('allowed_by_methods limits the users it names and no others', () => {
  const config = { allowed_by_methods: [{ user: 'jack1', methods: ['POST'] }] };
  assert.equal(verdict(config, as('jack1', 'POST')), undefined);
  assert.equal(verdict(config, as('jack1', 'GET'))?.reason, 'consumer-restriction.method_refused');
  assert.equal(verdict(config, as('jack2', 'GET')), undefined);
});

test('allowed_by_methods adds users to a whitelist and does not undo it', () => {
  const config = { whitelist: ['jack1'], allowed_by_methods: [{ user: 'jack2', methods: ['POST'] }] };
  assert.equal(verdict(config, as('jack1', 'DELETE')), undefined);
  assert.equal(verdict(config, as('jack2', 'POST')), undefined);
  assert.equal(verdict(config, as('jack2', 'GET'))?.status, 403);
  assert.equal(verdict(config, as('jack3', 'POST'))?.status, 403);
});

test('status and message of a refusal are configurable', () => {
  const reply = verdict({ blacklist: ['jack1'], rejected_code: 451, rejected_msg: 'not you' }, as('jack1'));
  assert.equal(reply?.status, 451);
  assert.deepEqual(reply.body, { message: 'not you' });
});

test('a configuration without any list is refused', () => {
  assert.throws(() => compilePlugin(consumerRestriction, { type: 'route_id' }));
  assert.throws(() => compilePlugin(consumerRestriction, { whitelist: [] }));
  assert.throws(() => compilePlugin(consumerRestriction, { allowed_by_methods: [{ user: 'a', methods: ['FETCH'] }] }));
});
