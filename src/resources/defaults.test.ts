import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { defaultsOf } from './defaults.ts';

describe('defaultsOf', () => {
  const fill = defaultsOf({
    type: 'object',
    properties: {
      header: { type: 'string', default: 'apikey' },
      list: { type: 'array', default: ['a'] },
      nested: { type: 'object', properties: { on: { type: 'boolean', default: false } } },
      rows: { type: 'array', items: { type: 'object', properties: { weight: { default: 1 } } } },
    },
  });

  it('fills what is absent, in nested objects and in items, and leaves what is there', () => {
    const value = { header: 'x-key', nested: {}, rows: [{}, { weight: 0 }] };
    fill(value);
    assert.deepEqual(value, {
      header: 'x-key',
      list: ['a'],
      nested: { on: false },
      rows: [{ weight: 1 }, { weight: 0 }],
    });
  });

  it('gives each value its own copy of a default', () => {
    const first: { list?: string[] } = {};
    const second: { list?: string[] } = {};
    fill(first);
    first.list?.push('b');
    fill(second);
    assert.deepEqual(second.list, ['a']);
  });

  it('makes no object that is absent', () => {
    const value: Record<string, unknown> = {};
    fill(value);
    assert.deepEqual(Object.keys(value), ['header', 'list']);
  });
});
