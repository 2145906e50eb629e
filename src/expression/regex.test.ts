import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { ConfigError } from '../errors/gateway-error.ts';
import { compileRegex } from './regex.ts';

suite('compileRegex', () => {
  const cases: [pattern: string, text: string, expected: boolean][] = [
    ['^/api/(v\\d+)/', '/api/v2/x', true],
    ['(?i)^curl', 'CURL/8', true],
    ['a(?i)b|c', 'C', true],
    ['a(?i)b|c', 'AB', false],
    ['(a(?i)b)c', 'aBc', true],
    ['(a(?i)b)c', 'aBC', false],
    ['(?i:A)b', 'ab', true],
    ['(?i-s)^A.$', 'ab', true],
    ['(?-i)A', 'a', false],
    ['\\Aabc\\z', 'abc', true],
    ['\\Aabc\\z', 'xabc', false],
    ['abc\\Z', 'abc\n', true],
    ['abc$', 'abc\n', false],
    ['(?m)^b$', 'a\nb\nc', true],
    ['^.$', '\r', true],
    ['^.$', '\n', false],
    ['(?s)^.$', '\n', true],
    ['^[[:alpha:]_]+[[:digit:]]$', 'ab_1', true],
    ['[[:alpha:]]', ':', false],
    ['^[]x]+$', ']x]', true],
    ['^[^]x]+$', 'ab', true],
    ['^[^]x]+$', ']', false],
    ['^[\\w.\\-]+$', 'a-b.c', true],
    ['^[[]$', '[', true],
    ['\\/foo\\-bar\\_\\:', '/foo-bar_:', true],
    ['^\\{1\\}$', '{1}', true],
    ['^a{2,3}$', 'aaa', true],
    ['^a{,3}$', 'a{,3}', true],
    ['^{x}]$', '{x}]', true],
    ['^\\Qa.b\\E+$', 'a.bb', true],
    ['^\\Qa.b\\E$', 'axb', false],
    ['^\\x41\\x{42}$', 'AB', true],
    ['^\\x{1F600}$', '\u{1F600}', true],
    ['^\\h+\\R$', ' \t\r\n', true],
    ['^\\e\\a\\0$', '\x1b\x07\0', true],
    ['(?P<c>a)(?P=c)', 'aa', true],
    ["(?'c'a)\\k{c}", 'aa', true],
    ['(a)\\g{1}$', 'aa', true],
    ['^(?#note)a$', 'a', true],
    ['^\\p{Lu}\\P{Lu}\\-$', 'Ab-', true],
    ['^\\p{^Lu}$', 'A', false],
    ['(?<=a)b(?!c)', 'abd', true],
    ['(?<!a)b', 'ab', false],
  ];
  for (const [pattern, text, expected] of cases) {
    test(`${pattern} ${expected ? 'matches' : 'does not match'} ${JSON.stringify(text)}`, () => {
      assert.equal(compileRegex(pattern).test(text), expected);
    });
  }

  test('the flag i ignores case, but takes no other letter for an ASCII one', () => {
    assert.equal(compileRegex('^k$', 'i').test('K'), true);
    assert.equal(compileRegex('^k$', 'i').test('\u212A'), false);
  });

  const refused = [
    '(',
    ')',
    'a)',
    '[a',
    '*',
    'a**',
    'a++',
    '(?>a)',
    '(?R)',
    '(?x)a',
    '(*FAIL)',
    '(?(1)a)',
    '\\K',
    '\\X',
    '[\\H]',
    'a\\',
    '(?1)',
    'a{2}+',
    '[z-a]',
    '(?',
    '\\E',
  ];
  for (const pattern of refused) {
    test(`refuses ${pattern}`, () => {
      assert.throws(
        () => compileRegex(pattern),
        (error) =>
          error instanceof ConfigError && error.message.startsWith(`invalid regular expression '${pattern}': `),
      );
    });
  }
});
