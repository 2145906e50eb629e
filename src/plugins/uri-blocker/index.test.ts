import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compilePlugin, TestExchange } from '../../plugin/testing/index.ts';
import { uriBlocker } from './index.ts';

function verdict(config: object, target: string) {
  const { state } = compilePlugin(uriBlocker, config);
  const reply = uriBlocker.rewrite?.(state, new TestExchange({ target }));
  assert.ok(!(reply instanceof Promise));
  return reply ?? undefined;
}

test('a pattern found anywhere in path or query blocks, with no body', () => {
  const config = { block_rules: ['root.exe', 'root.m+', 'select.+(from|limit)'] };
  for (const target of ['/root.exe?a=a', '/hello?x=root.mmm', '/?name=;select%20from%20sys']) {
    assert.deepEqual(verdict(config, target), { status: 403, reason: 'uri-blocker.blocked' });
  }
  assert.equal(verdict(config, '/hello?name=select'), undefined);
});

test('an encoded path does not carry a request past a rule', () => {
  const config = { block_rules: ['^/admin', '\\.exe\\?x=1$'] };
  assert.equal(verdict(config, '/%61dmin')?.status, 403);
  assert.equal(verdict(config, '/root%2eexe?x=1')?.status, 403);
});

test('status, message and case are configurable', () => {
  const config = { block_rules: ['AA', '^/bb'], rejected_code: 501, rejected_msg: 'access is not allowed' };
  assert.equal(verdict(config, '/aa'), undefined);
  assert.deepEqual(verdict({ ...config, case_insensitive: true }, '/BB'), {
    status: 501,
    reason: 'uri-blocker.blocked',
    body: { error_msg: 'access is not allowed' },
  });
});

test('a list of well-formed patterns is required', () => {
  assert.throws(() => compilePlugin(uriBlocker, {}));
  assert.throws(() => compilePlugin(uriBlocker, { block_rules: ['.+('] }), /invalid regular expression/);
  compilePlugin(uriBlocker, { block_rules: [] });
});
