import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigError } from '../errors/gateway-error.ts';
import { compileRegex, compileReplacement, replaceMatch } from './regex.ts';

function substitute(subject: string, pattern: string, template: string): string | undefined {
  const match = compileRegex(pattern).exec(subject);
  return match === null ? undefined : replaceMatch(subject, match, compileReplacement(template)(match));
}

test('captures stand as $1, ${1} and $0; $$ is a dollar', () => {
  assert.equal(substitute('/a/b', '^/(.*)/(.*)', '/$2/${1}0-$0-$$1'), '/b/a0-/a/b-$1');
});

test("JavaScript's own replacement patterns mean nothing", () => {
  assert.equal(substitute('/a', 'a', "$&$`$'$x"), "/$&$`$'$x");
});

test('a capture that took no part is empty', () => {
  assert.equal(substitute('/nexus', '^/nexus(/|$)(.*)', '/$2$9'), '/');
});

test('PCRE forms that JavaScript reads otherwise are translated', () => {
  assert.equal(substitute('/A1', '(?i)\\A/(?P<letter>a)\\d\\z', '$1'), 'A');
  assert.equal(substitute('x]y', '[]]', '-'), 'x-y');
  assert.equal(substitute('ab12', '[[:alpha:]]+', '-'), '-12');
  assert.equal(substitute('a[b', '[a[]+', '-'), '-b');
  assert.equal(substitute('a b', 'a\\hb', '-'), '-');
  assert.equal(substitute('aa', '(?P<x>a)(?P=x)(?#twice)', '-'), '-');
  assert.equal(substitute('é', '\\x{e9}', '-'), '-');
});

test('what cannot be translated is refused, not changed', () => {
  for (const pattern of [
    '(?>a)',
    'a++',
    'a*+b',
    'a{2}+',
    '(?R)',
    '(*FAIL)',
    '\\Ka',
    '(?|a|b)',
    'a(?i)b',
    '[a',
    '(a',
    '[[:foo:]]',
  ]) {
    assert.throws(() => compileRegex(pattern), ConfigError, pattern);
  }
  assert.throws(() => compileRegex('a', 'x'), /unsupported regex option "x"/);
});

test('lazy quantifiers and a literal + after a group stay what they are', () => {
  assert.equal(substitute('aaa', 'a+?', '-'), '-aa');
  assert.equal(substitute('abab', '(?:ab)+', '-'), '-');
  assert.equal(substitute('a+', 'a\\++', '-'), '-');
});
