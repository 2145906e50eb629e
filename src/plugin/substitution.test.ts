import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileReplacement, replaceMatch } from './substitution.ts';

function substitute(subject: string, regex: RegExp, template: string): string | undefined {
  const match = regex.exec(subject);
  return match === null ? undefined : replaceMatch(subject, match, compileReplacement(template)(match));
}

test('captures stand as $1, ${1} and $0; $$ is a dollar', () => {
  assert.equal(substitute('/a/b', /^\/(.*)\/(.*)/, '/$2/${1}0-$0-$$1'), '/b/a0-/a/b-$1');
});

test("JavaScript's own replacement patterns mean nothing", () => {
  assert.equal(substitute('/a', /a/, "$&$`$'$x"), "/$&$`$'$x");
});

test('a capture that took no part, or does not exist, is empty', () => {
  assert.equal(substitute('/nexus', /^\/nexus(\/|$)(x)?/, '/$2$9'), '/');
});
