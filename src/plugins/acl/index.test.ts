import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compilePlugin, testConsumer, TestExchange } from '../../plugin/testing/index.ts';
import { acl } from './index.ts';

function verdict(config: object, who: { labels?: Record<string, string>; user?: object }): number | undefined {
  const { labels, user } = who;
  const exchange = new TestExchange(labels === undefined ? {} : { consumer: testConsumer('jack', { labels }) });
  if (user !== undefined) exchange.context.set('external_user', user);
  const { state } = compilePlugin(acl, config);
  const once = acl.access?.(state, exchange);
  const again = acl.access?.(state, exchange);
  assert.ok(!(once instanceof Promise));
  assert.deepEqual(again, once);
  return once?.status;
}

const platform = { allow_labels: { team: ['platform', 'infra'] } };

test('allow_labels lets in who has one of the values, in every spelling of a label', () => {
  for (const team of ['platform', '["sales","infra"]', 'sales,infra', 'sales , infra']) {
    assert.equal(verdict(platform, { labels: { team } }), undefined, team);
  }
  for (const team of ['sales', 'Platform', 'platforms', '["platform"', '[1]', '{"a":"platform"}', '']) {
    assert.equal(verdict(platform, { labels: { team } }), 403, team);
  }
  assert.equal(verdict(platform, { labels: { role: 'platform' } }), 403);
  assert.equal(verdict(platform, { labels: {} }), 403);
});

test('deny_labels refuses, and goes before allow_labels', () => {
  const config = { deny_labels: { team: ['sales'] } };
  assert.equal(verdict(config, { labels: { team: 'sales' } }), 403);
  assert.equal(verdict(config, { labels: { team: 'platform' } }), undefined);
  assert.equal(verdict({ ...config, ...platform }, { labels: { team: 'platform,sales' } }), 403);
});

test('a caller who is nobody is 401', () => {
  const { state } = compilePlugin(acl, platform);
  const reply = acl.access?.(state, new TestExchange());
  assert.ok(!(reply instanceof Promise));
  assert.equal(reply?.status, 401);
  assert.deepEqual(reply.body, { message: 'Missing authentication.' });
});

test('status and message of a refusal are configurable', () => {
  const refuse = (config: object): unknown => {
    const { state } = compilePlugin(acl, { ...platform, ...config });
    return acl.access?.(state, new TestExchange({ consumer: testConsumer('jack') }));
  };
  assert.deepEqual(refuse({}), {
    status: 403,
    body: { message: 'The consumer is forbidden.' },
    reason: 'acl.refused',
  });
  assert.deepEqual(refuse({ rejected_code: 418, rejected_msg: 'no' }), {
    status: 418,
    body: { message: 'no' },
    reason: 'acl.refused',
  });
});

test('an outside user is judged by a field of its claims', () => {
  const groups = { allow_labels: { groups: ['admins'] } };
  assert.equal(verdict(groups, { user: { groups: ['users', 'admins'] } }), undefined);
  assert.equal(verdict(groups, { user: { groups: 'users,admins' } }), undefined);
  assert.equal(verdict(groups, { user: { groups: ['users'] } }), 403);
  assert.equal(verdict(groups, { user: {} }), 403);
  const nested = { ...groups, external_user_label_field_key: 'groups' };
  const user = { realm: { access: { 'the roles': ['admins'] } } };
  for (const field of ["$.realm.access['the roles']", "$..access['the roles']", "$.realm..access['the roles']"]) {
    assert.equal(verdict({ ...nested, external_user_label_field: field }, { user }), undefined, field);
  }
  assert.equal(verdict({ ...nested, external_user_label_field: '$.realm.roles' }, { user }), 403);
});

test('a parser takes only its own kind', () => {
  const config = (parser: string, more: object = {}): object => ({
    allow_labels: { groups: ['a'] },
    external_user_label_field_parser: parser,
    ...more,
  });
  assert.equal(verdict(config('table'), { user: { groups: ['a'] } }), undefined);
  assert.equal(verdict(config('table'), { user: { groups: 'a' } }), 403);
  assert.equal(verdict(config('json'), { user: { groups: '["a"]' } }), undefined);
  assert.equal(verdict(config('json'), { user: { groups: ['a'] } }), 403);
  const segmented = config('segmented_text', { external_user_label_field_separator: '\\|' });
  assert.equal(verdict(segmented, { user: { groups: 'b | a' } }), undefined);
  assert.equal(verdict(segmented, { user: { groups: 'b,a' } }), 403);
});

test('what cannot be evaluated is refused when written', () => {
  for (const config of [
    {},
    { allow_labels: {} },
    { ...platform, external_user_label_field_parser: 'segmented_text' },
    { ...platform, external_user_label_field: '$.a[0]' },
    { ...platform, external_user_label_field: '$' },
    { ...platform, external_user_label_field_parser: 'segmented_text', external_user_label_field_separator: '(' },
  ]) {
    assert.throws(() => compilePlugin(acl, config), JSON.stringify(config));
  }
});
