import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FieldKind, fieldName } from './field-names.ts';
import { Fields } from './fields.ts';

function fields(...lines: readonly (readonly [string, string])[]): Fields {
  const result = new Fields();
  for (const [name, value] of lines) result.append(name, value);
  return result;
}

describe('Fields', () => {
  it('compares names without case and keeps order and spelling', () => {
    const headers = fields(['X-A', '1'], ['x-b', '2'], ['x-a', '3']);
    assert.equal(headers.get('X-a'), '1');
    assert.deepEqual(headers.getAll('x-A'), ['1', '3']);
    assert.equal(headers.has('X-B'), true);
    assert.equal(headers.get('x-c'), undefined);
    assert.deepEqual(
      [...headers.entries()],
      [
        ['X-A', '1'],
        ['x-b', '2'],
        ['x-a', '3'],
      ],
    );
  });

  it('replaces in place and removes every field of a name', () => {
    const headers = fields(['X-A', '1'], ['x-b', '2'], ['x-a', '3']);
    headers.set('X-a', '4');
    assert.deepEqual(
      [...headers.entries()],
      [
        ['X-a', '4'],
        ['x-b', '2'],
      ],
    );
    headers.append('X-B', '5');
    headers.remove('x-B');
    assert.deepEqual([...headers.entries()], [['X-a', '4']]);
  });

  it('keeps what is added past the room it began with, and nothing of what was removed', () => {
    const headers = new Fields();
    for (let i = 0; i < 40; i++) headers.append(`x-${i}`, `${i}`);
    for (let i = 0; i < 40; i += 2) headers.remove(`X-${i}`);
    headers.append('x-0', 'again');
    const odd = Array.from({ length: 20 }, (_, i) => [`x-${2 * i + 1}`, `${2 * i + 1}`]);
    assert.deepEqual([...headers.entries()], [...odd, ['x-0', 'again']]);
    assert.equal(headers.get('x-38'), undefined);
    assert.equal(headers.length, 21);
  });

  it('refuses what would break a line, and does not show the value', () => {
    const headers = new Fields();
    for (const value of ['a\r\nb: secret', 'secret\n', 'secret\0', 'secret\x7f', 'secret\u0100']) {
      for (const write of [() => headers.set('X', value), () => headers.append('X', value)])
        assert.throws(write, (error: unknown) => error instanceof TypeError && !error.message.includes('secret'));
    }
    headers.set('x-k', '1');
    headers.remove('x-k');
    for (const name of ['', 'a b', 'a:', 'a\r', 'é', 'x-\u212a'])
      assert.throws(() => headers.set(name, '1'), TypeError);
    assert.equal(headers.length, 0);
  });
});

describe('fieldName', () => {
  it('knows identity and forwarded fields in any case, and their aliases in any folding', () => {
    assert.equal(fieldName('X-CONSUMER-USERNAME').kind, FieldKind.identity);
    assert.equal(fieldName('x-forwarded-for').kind, FieldKind.forwarded);
    for (const name of [
      'X_Consumer_Username',
      'x.consumer.username',
      'X-Consumer_Username',
      "X'Real'IP",
      'Content_Length',
      'transfer.encoding',
    ])
      assert.equal(fieldName(name).kind, FieldKind.alias, name);
    for (const name of ['X-Consumer', 'X-Consumer-Usernames', 'x_other', 'XConsumerUsername'])
      assert.equal(fieldName(name).kind, FieldKind.plain, name);
  });

  it('classifies rightly when more names were seen than it keeps', () => {
    for (let i = 0; i < 10_000; i++) fieldName(`x-filler-${i}`);
    assert.equal(fieldName('x_CONSUMER-username').kind, FieldKind.alias);
    assert.equal(fieldName('x-CONSUMER-username').kind, FieldKind.identity);
    assert.equal(fieldName('X-Never-Seen').lower, 'x-never-seen');
  });
});
